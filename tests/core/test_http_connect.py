"""HTTP's CONNECT: what is asked for, however it is cut; what is refused, and what the client is told."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.doorway import Ask, Asked
from alg.core.errors import AlgError, BindError, ConnectError, PluginError, PolicyError, ProtocolError, TlsError
from alg.core.http_connect import MAX_HEAD, MAX_HEADERS, ConnectDoorway
from alg.core.model import Endpoint
from alg.core.opening import MAX_EARLY_DATA
from tests.core.openings import feed, in_every_way, refused_at
from tests.core.test_hosts import AMBIGUOUS, LONGEST

BOUND = Endpoint.parse("192.0.2.7", 20000)
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
USERS = {"bob": "al:ice", "zo\u00eb": "p\u00e4ss"}


def connect(target: bytes = b"ftp.example.org:21", *fields: bytes, version: bytes = b"1.1") -> bytes:
    """A request with these header fields behind its Host."""
    return b"\r\n".join((b"CONNECT %s HTTP/%s" % (target, version), b"Host: " + target, *fields, b"", b""))


def basic(name: str, password: str) -> bytes:
    """The field that proves who one is (RFC 7617)."""
    return b"Proxy-Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode())


BOB = basic("bob", "al:ice")


def guarded(users: Mapping[str, str] = USERS) -> ConnectDoorway:
    """A doorway for these users."""
    return ConnectDoorway(users)


def read(answer: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """An answer as a client's parser has it: status, fields and body; nothing is left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="CONNECT", target="a:1", headers=[("Host", "a:1")]))
    client.receive_data(answer)
    event = client.next_event()
    assert isinstance(event, h11.Response)
    status, fields, body = event.status_code, dict(event.headers), b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data[0] == b""
    assert b"server" not in fields
    assert b"via" not in fields
    return status, fields, body


# What is asked for.


@pytest.mark.parametrize("rest", [b"", b"\r", b"\x16\x03\x01\r\n\r\nearly"], ids=["alone", "byte", "early"])
@pytest.mark.parametrize(
    ("data", "host", "port"),
    [
        (connect(), "ftp.example.org", 21),
        (connect(b"192.0.2.5:65535"), "192.0.2.5", 65535),
        (connect(b"[2001:DB8::5]:1"), "2001:db8::5", 1),
        (connect(b"[::ffff:192.0.2.5]:443"), "192.0.2.5", 443),
        (connect(LONGEST + b":80"), LONGEST.decode(), 80),
        (b"CONNECT a.example:443 HTTP/1.0\r\n\r\n", "a.example", 443),
        (b"\r\n" + connect(), "ftp.example.org", 21),
        (connect(b"a:1", b"Content-Length: 0", b"Proxy-Connection: Keep-Alive", b"User-Agent: x"), "a", 1),
        (connect(b"a:1", b"Proxy-Authorization: nonsense", b"Proxy-Authorization: "), "a", 1),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: elsewhere:2\r\n\r\n", "a", 1),
    ],
)
def test_requests(data: bytes, host: str, port: int, rest: bytes) -> None:
    """Whole, in any two pieces, byte by byte; and what stands behind them is the session's. The target is what counts."""
    doorway, error = in_every_way(ConnectDoorway, data + rest)
    assert error is None
    assert doorway.asked == Asked(Ask.CONNECT, host, port)
    assert (doorway.user, doorway.take_replies(), doorway.take_rest()) == (None, b"", rest)
    assert doorway.granted(BOUND) == GRANTED
    assert doorway.refused(ConnectError("")) == b""


def test_curl() -> None:
    """As curl 7.88 sends it, with a password."""
    doorway = guarded()
    doorway.receive(
        b"CONNECT ftp.example.org:21 HTTP/1.1\r\nHost: ftp.example.org:21\r\nProxy-Authorization: Basic Ym9iOmFsOmljZQ==\r\n"
        b"User-Agent: curl/7.88.1\r\nProxy-Connection: Keep-Alive\r\n\r\n"
    )
    assert (doorway.asked, doorway.user) == (Asked(Ask.CONNECT, "ftp.example.org", 21), "bob")


def test_the_answer_is_a_parsers() -> None:
    """A success has no length, and what follows it is the tunnel's."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="CONNECT", target="a:1", headers=[("Host", "a:1")]))
    client.send(h11.EndOfMessage())
    client.receive_data(GRANTED + b"220 hello")
    event = client.next_event()
    assert isinstance(event, h11.Response)
    assert (event.status_code, list(event.headers)) == (200, [])
    assert client.next_event() is h11.PAUSED
    assert client.trailing_data[0] == b"220 hello"


# What is refused.


BODY = b"Content-Length: 5"

BROKEN = [
    (b"\x16\x03\x01", 400, "bad_head"),
    (b"\x05\x01\0", 400, "bad_head"),
    (b" " + connect(), 400, "bad_head"),
    (b"\r\n\r\n" + connect(), 400, "bad_head"),
    (b"\rX", 400, "bad_head"),
    (b"\r\n\n", 400, "bad_head"),
    (b"CONNECT\r\n\r\n", 400, "bad_head"),
    (b"CONNECT a:1\r\n\r\n", 400, "bad_head"),
    (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 400, "bad_head"),  # no Host
    (connect(b"a:1", b"Host: b"), 400, "bad_head"),
    (connect(b"a:1", b"Two Words: x"), 400, "bad_head"),
    (connect(b"a:1", b"No-Colon"), 400, "bad_head"),
    (connect(b"a:1", b"X: a\0b"), 400, "bad_head"),
    (connect(b"a:1", b"X: a\rb"), 400, "bad_head"),
    (connect(b"a:1", b"X: a\x01b"), 400, "bad_head"),  # this one, and the next, h11 lets pass
    (connect(b"a:1", b"X: a\x7fb"), 400, "bad_head"),
    (connect(b"a:1", b"X: a", b" b"), 400, "obs_fold"),
    (connect(b"a:1", b"X: a", b"\tb"), 400, "obs_fold"),
    (b"CONNECT a:1 HTTP/1.1\nHost: a\n\n", 400, "bare_lf"),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\n\r\n", 400, "bare_lf"),
    (connect(version=b"2.0"), 505, "bad_version"),
    (connect(version=b"1.2"), 505, "bad_version"),
    (connect(version=b"0.9"), 505, "bad_version"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_version"),
    (b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 405, "method_not_allowed"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405, "method_not_allowed"),
    (b"connect a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),  # methods are case-sensitive
    (connect(b"a:1", BODY), 400, "unexpected_body"),
    (connect(b"a:1", b"Transfer-Encoding: chunked"), 400, "unexpected_body"),
    (connect(b"a:1", b"Content-Length: 0", b"Transfer-Encoding: chunked"), 400, "unexpected_body"),
    (connect(b"a:1", b"Transfer-Encoding: gzip"), 400, "bad_head"),
    (connect(b"a:1", b"Content-Length: 0", BODY), 400, "bad_head"),
    *(
        (connect(b"a:1", b"Content-Length: " + text), 400, "bad_head")
        for text in (b"+0", b"-1", b"0x0", b"1_0", b"0 0")
    ),
    *(
        (connect(target), 400, "bad_target")
        for target in (
            b"a",
            b"/",
            b"*",
            b"http://a/",
            b"a:",
            b":80",
            b"::1:80",
            b"a:b:80",
            b"a:80/",
            b"[::1]",
            b"[::1]80",
        )
    ),
    *((connect(b"a:" + port), 400, "bad_target") for port in (b"+80", b"-1", b"8_0", b"0x50", b"80.0")),
    *((connect(b"a:" + port), 400, "bad_port") for port in (b"0", b"00", b"080", b"65536", b"99999", b"1" * 500)),
    *((connect(b"bob@a.example:80"), 400, "bad_target"), (connect(b"a%2eb:80"), 400, "bad_host")),
    *((connect(b"[1.2.3.4]:80"), 400, "bad_host"), (connect(b"[::1%251]:80"), 400, "bad_target")),
    *((connect(b"[:::]:80"), 400, "bad_address"), (connect(b"[::ffff:010.0.0.1]:80"), 400, "bad_address")),
]


@pytest.mark.parametrize(("data", "status", "reason"), BROKEN)
def test_what_is_broken(data: bytes, status: int, reason: str) -> None:
    """However it is cut, and whatever follows: nothing is asked for; the client is told why, and that it is over."""
    follows = connect(b"evil.example:22")
    doorway, error = in_every_way(ConnectDoorway, data + follows)
    assert error is not None
    assert error.reason == reason
    assert (doorway.asked, doorway.rest) == (None, b"")
    answer = doorway.refused(error)
    assert read(answer)[0] == status
    assert read(answer)[1][b"connection"] == b"close"
    assert read(answer)[2] == reason.encode() + b"\r\n"
    assert (read(answer)[1].get(b"allow") == b"CONNECT") == (status == 405)
    assert doorway.refused(error) == b""


@pytest.mark.parametrize("text", [text for text in AMBIGUOUS if b":" not in text and len(text) < 4_000])
def test_ambiguous_hosts_get_no_further(text: bytes) -> None:
    """T05."""
    doorway = ConnectDoorway()
    assert isinstance(feed(doorway, [connect(text + b":80")]), ProtocolError)
    assert doorway.asked is None


def test_a_number_bomb_is_no_value_error() -> None:
    """Nor slow: h11 before 0.15 makes a number of any digits (T93)."""
    error = feed(ConnectDoorway(), [connect(b"a:1", b"Content-Length: " + b"9" * 5_000)])
    assert isinstance(error, ProtocolError)


def test_it_is_seen_as_early_as_can_be() -> None:
    """The first byte of what is no HTTP, the line that ends wrongly."""
    assert refused_at(ConnectDoorway(), b"\x16\x03\x01") == 1
    assert refused_at(ConnectDoorway(), b"CONNECT a:1 HTTP/1.1\nHost: a") == 21


def padded(size: int) -> bytes:
    """A request whose head has so many bytes."""
    return connect(b"a:1", b"X: " + b"x" * (size - len(connect(b"a:1", b"X: "))))


def test_the_longest_head() -> None:
    """At the bound, and one byte above, which is seen with its last byte within the bound."""
    doorway = ConnectDoorway()
    assert feed(doorway, [padded(MAX_HEAD) + b"rest"]) is None
    assert (doorway.asked, doorway.rest) == (Asked(Ask.CONNECT, "a", 1), b"rest")
    for parts in ([padded(MAX_HEAD + 1)], [padded(MAX_HEAD + 1)[:MAX_HEAD], b""], [b"x" * MAX_HEAD], [b"x" * 10**6]):
        doorway = ConnectDoorway()
        error = feed(doorway, parts)
        assert error is not None
        assert error.reason == "head_too_large"
        assert read(doorway.refused(error))[0] == 431
    assert feed(ConnectDoorway(), [padded(MAX_HEAD + 1)[: MAX_HEAD - 1]]) is None


def test_the_most_fields() -> None:
    """At the bound, and one above."""
    fields = [b"X: y"] * (MAX_HEADERS - 1)  # and Host
    doorway, error = in_every_way(ConnectDoorway, connect(b"a:1", *fields))
    assert error is None
    assert doorway.asked is not None
    doorway, error = in_every_way(ConnectDoorway, connect(b"a:1", *fields, b"X: z"))
    assert error is not None
    assert error.reason == "head_too_large"


def test_early_data_has_a_bound() -> None:
    """At it, and one byte above."""
    assert feed(ConnectDoorway(), [connect() + b"x" * MAX_EARLY_DATA]) is None
    doorway = ConnectDoorway()
    error = feed(doorway, [connect() + b"x" * (MAX_EARLY_DATA + 1)])
    assert error is not None
    assert error.reason == "too_much_early_data"
    assert doorway.rest == b""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *((PolicyError("", reason="upstream_refused"), 403), (PolicyError("", reason="self_target"), 403)),
        *((ConnectError("", reason="connect_refused"), 502), (ConnectError("", reason="not_resolved"), 502)),
        *((ConnectError("", reason="connect_timeout"), 504), (TlsError(""), 502), (BindError(""), 503)),
        *((ProtocolError("", reason="too_slow"), 408), (PluginError(""), 500)),
    ],
)
def test_the_status_of_a_refusal(error: AlgError, status: int) -> None:
    """And its reason, but not its words, which may name addresses that are not the client's business."""
    doorway = ConnectDoorway()
    doorway.receive(connect())
    answer = doorway.refused(type(error)("10.9.8.7 is inside", reason=error.reason))
    assert read(answer)[0] == status
    assert read(answer)[2] == error.reason.encode() + b"\r\n"
    assert b"10.9.8.7" not in answer


def test_a_reason_is_one_line() -> None:
    """Whatever it is made of, an answer stays one (T28)."""
    doorway = ConnectDoorway()
    doorway.receive(connect())
    answer = doorway.refused(PolicyError("", reason="a\r\nX: y\0\r\n\r\nHTTP/1.1 200 OK\u00e9"))
    assert read(answer)[0] == 403
    assert answer.count(b"\r\n") == 6
    assert b"\0" not in answer


def test_who_has_said_nothing_is_told_nothing() -> None:
    """Of a time-out, say; a part of a request is answered."""
    slow = ProtocolError("", reason="too_slow")
    assert ConnectDoorway().refused(slow) == b""
    doorway = ConnectDoorway()
    doorway.receive(b"C")
    assert read(doorway.refused(slow))[0] == 408


# Who asks.


@pytest.mark.parametrize(
    ("field", "user"),
    [
        *((BOB, "bob"), (basic("zo\u00eb", "p\u00e4ss"), "zo\u00eb"), (BOB.replace(b"Basic", b"bASIC"), "bob")),
        *((BOB.replace(b"Proxy-A", b"PROXY-A"), "bob"), (BOB.replace(b"Basic ", b"Basic   "), "bob")),
    ],
)
def test_who_proves_it_gets_in(field: bytes, user: str) -> None:
    """At once, however it is cut."""
    doorway, error = in_every_way(guarded, connect(b"a:1", field) + b"early")
    assert error is None
    assert (doorway.asked, doorway.user, doorway.rest) == (Asked(Ask.CONNECT, "a", 1), user, b"early")
    assert doorway.take_replies() == b""


WRONG = [
    *(
        b"X: y",
        basic("bob", "alice"),
        basic("bob", ""),
        basic("eve", "al:ice"),
        basic("", ""),
        BOB + b"=",
        BOB[:-3] + b"!!!!",
    ),
    *(b"Proxy-Authorization: Basic", b"Proxy-Authorization: Basic Ym9i", b"Proxy-Authorization: Basic \xff\xff"),
    *(
        BOB.replace(b"Basic", b"Bearer"),
        BOB.replace(b"Proxy-", b""),
        BOB.replace(b"Basic ", b"Basic"),
        basic("Bob", "al:ice"),
    ),
]


@pytest.mark.parametrize("field", WRONG)
def test_who_does_not_may_try_once_more(field: bytes) -> None:
    """On the same connection, and then never."""
    request = connect(b"a:1", field)
    doorway = guarded()
    doorway.receive(request)
    status, fields, body = read(doorway.take_replies())
    assert (status, fields[b"proxy-authenticate"], body) == (407, b'Basic realm="alg"', b"not_authenticated\r\n")
    assert b"connection" not in fields
    assert (doorway.asked, doorway.user) == (None, None)
    doorway.receive(connect(b"b:2", BOB))
    assert (doorway.asked, doorway.user) == (Asked(Ask.CONNECT, "b", 2), "bob")
    assert doorway.granted(BOUND) == GRANTED
    doorway, error = in_every_way(guarded, request + request + connect(b"c:3", BOB))
    assert isinstance(error, PolicyError)
    assert error.reason == "not_authenticated"
    assert (doorway.asked, doorway.user) == (None, None)
    first = doorway.take_replies()
    assert read(first)[0] == 407
    last = read(doorway.refused(error))
    assert (last[0], last[1][b"connection"]) == (407, b"close")
    assert b"proxy-authenticate" in last[1]


@pytest.mark.parametrize(
    "request_",
    [
        connect(version=b"1.0"),
        connect(b"a:1", b"Connection: close"),
        connect(b"a:1", b"Proxy-Connection: x , Close"),
        connect(b"a:1", BOB, BOB),
        connect(b"a:1", basic("bob", "no"), BOB),
    ],
)
def test_who_may_not_try_again(request_: bytes) -> None:
    """Who would not keep the connection, or says two things about who it is."""
    doorway, error = in_every_way(guarded, request_ + connect(b"b:2", BOB))
    assert error is not None
    assert error.reason in ("not_authenticated", "bad_head")
    assert doorway.asked is None
    assert read(doorway.refused(error))[1][b"connection"] == b"close"


def test_what_was_meant_for_the_tunnel_is_no_second_try() -> None:
    """Somebody else may have written it; without a password in it, it gets nowhere."""
    doorway, error = in_every_way(guarded, connect(b"a:1") + b"\x16\x03\x01")
    assert error is not None
    assert error.reason == "bad_head"
    doorway, error = in_every_way(guarded, connect(b"a:1") + connect(b"evil.example:22"))
    assert error is not None
    assert error.reason == "not_authenticated"
    assert doorway.asked is None


def test_no_users_are_not_everybody() -> None:
    """An empty table lets nobody in."""
    doorway = guarded({})
    doorway.receive(connect(b"a:1", basic("", "")))
    assert doorway.asked is None


@pytest.mark.parametrize(
    "request_",
    [
        *(connect(b"a:1", basic("bob", "s3cret")), connect(b"a:1", b"X y", basic("bob", "s3cret"))),
        *(connect(b"a:1", basic("bob", "s3cret").replace(b":", b"")), connect(b"a:1", basic("bob", "s3cret") + b"\r")),
        *(connect(b"bob:s3cret@a:1"), connect(b"bob:s3cret@a"), connect(b"s3cret@a:1")),
    ],
)
def test_a_password_is_not_told(request_: bytes) -> None:
    """In no error and no answer, wherever it stood."""
    doorway = guarded()
    error = feed(doorway, [request_, request_])
    assert error is not None
    words = f"{error!r} {doorway.refused(error)!r}"
    assert "s3cret" not in words
    assert base64.b64encode(b"bob:s3cret").decode() not in words


@given(st.lists(st.binary(max_size=80) | st.sampled_from([connect(), b"CONNECT ", b"\r\n", BODY, BOB]), max_size=8))
def test_any_bytes(parts: list[bytes]) -> None:
    """Nothing but what `feed` lets pass, and the same however it is cut."""
    for make in (ConnectDoorway, guarded):
        doorway, whole = make(), make()
        error, again = feed(doorway, parts), feed(whole, [b"".join(parts)])
        assert (error and error.reason, doorway.asked) == (again and again.reason, whole.asked)
        doorway.refused(error or ProtocolError(""))


@given(
    st.lists(st.sampled_from([b"GET", b"x" * 4_000, b"X: y\r\n", b"\r", b"CONNECT a:1 HTTP/1.1\r\n", BOB]), max_size=40)
)
def test_what_is_kept_is_bounded(parts: list[bytes]) -> None:
    """Until a head is complete no more waits than one may have."""
    doorway = guarded()
    for part in parts:
        feed(doorway, [part])
        assert len(doorway._buffer) < MAX_HEAD

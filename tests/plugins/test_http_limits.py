"""Time and number: slow clients, too many requests, what an operator allows, and what a client is told of each end."""

from __future__ import annotations

import time

import pytest
from alg_http import HttpConfig, HttpPlugin
from alg_http.config import Forwarded, HostHeader
from alg_http.refusals import status_of

from alg.plugin import AlgError, BindError, ConnectError, PolicyError, ProtocolError, Side, TlsError
from tests.plugins.http_talk import UPGRADE, UPGRADED, answer, get, talk


def test_who_asks_cannot_be_taken_out() -> None:
    """`Connection` names fields of one hop; who names those by which a server knows its user would be somebody else."""
    book = talk()
    book.client(get(b"/", b"Connection: cookie, authorization, x", b"Cookie: a=b", b"Authorization: c", b"X: d"))
    assert b"\r\nCookie: a=b\r\nAuthorization: c\r\n" in book.to_server
    assert b"X: d" not in book.to_server
    book = talk(HttpConfig(forwarded=Forwarded.PASS))
    book.client(get(b"/", b"Connection: X-Forwarded-For", b"X-Forwarded-For: 192.0.2.1"))
    assert b"\r\nX-Forwarded-For: 192.0.2.1\r\n" in book.to_server


def test_a_slow_head() -> None:
    """T79: the deadline is that of the whole head, whatever drips in meanwhile."""
    book = talk()
    for byte in get()[:20]:
        book.client(bytes((byte,)))
        book.wait(1.6)
    assert book.to_client.startswith(b"HTTP/1.1 408 ")
    assert (book.reasons, book.closed, book.to_server) == (["too_slow"], True, b"")


def test_a_connection_that_is_kept_alive() -> None:
    """It ends without a word, which would be taken for an answer; one that has begun to ask is told."""
    book = talk()
    book.client(get())
    book.wait(1000)
    book.server(answer(b""))
    told = book.to_client
    book.wait(74)
    assert not book.closed
    book.wait(2)
    assert (book.to_client, book.reasons) == (told, ["too_slow"])
    book = talk()
    book.client(get())
    book.server(answer(b""))
    book.client(b"GET /")
    book.wait(76)
    assert b"HTTP/1.1 408 " in book.to_client


def test_a_websocket_has_no_deadline() -> None:
    """Nor has an answer that is long in coming."""
    book = talk()
    book.client(UPGRADE + b"\r\n")
    book.wait(1000)
    book.server(UPGRADED + b"\r\n")
    book.wait(1000)
    assert not book.closed


def test_too_many_requests() -> None:
    """Twice the rate at once, then no more."""
    book = talk(HttpConfig(request_rate=2))
    for _ in range(4):
        book.client(get())
        book.server(answer(b""))
    book.client(get())
    assert b"HTTP/1.1 429 " in book.to_client
    assert book.reasons == ["request_rate"]


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        (b"gw.example", True),
        (b"GW.EXAMPLE:8080", True),
        (b"other:9", True),
        (b"other", False),
        (b"evil.example", False),
    ],
)
def test_hosts(host: bytes, passes: bool) -> None:
    """T49: a page of another host that has itself resolved to us (DNS rebinding) gets nothing."""
    book = talk(HttpConfig(allowed_hosts=("gw.example", "other:9")))
    book.client(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    if passes:
        assert book.to_server
        return
    assert book.to_client.startswith(b"HTTP/1.1 421 ")
    assert (book.to_server, book.reasons, book.closed) == (b"", ["foreign_host"], False)
    book.client(b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n")
    assert book.to_server


@pytest.mark.parametrize(
    ("host", "known"),
    [
        (b"10.77.1.1:8080", True),
        (b"[::1]:8080", True),
        (b"localhost:8080", True),
        (b"gw:8080", True),
        (b"evil:8080", False),
    ],
)
def test_dns_rebinding(host: bytes, known: bool) -> None:
    """T49: a page whose own name leads to us keeps its origin, so that the server sees that it is foreign; and where the server
    takes no names, its name is refused here. A name that our certificate was shown for is none of those.
    """
    fields = b"Host: %s\r\nOrigin: http://%s\r\n" % (host, host)
    listed = ("gw",) if host.startswith(b"gw") else ()
    for rule in (HostHeader.REWRITE, HostHeader.ADDRESS):
        book = talk(HttpConfig(host_header=rule, allowed_hosts=listed))
        book.client(b"GET / HTTP/1.1\r\n%s\r\n" % fields)
        assert (b"Origin: http://10.77.2.2:8080" in book.to_server) == known
        refused = rule is HostHeader.ADDRESS and not known
        assert (book.to_server == b"", book.to_client[:13] == b"HTTP/1.1 421 ") == (refused, refused)
    secure = talk(implicit_tls=(Side.CLIENT,), server_name="evil")
    secure.client(b"GET / HTTP/1.1\r\n%s\r\n" % fields)
    assert (b"Origin: http://10.77.2.2:8080" in secure.to_server) == (b"gw" not in host)


@pytest.mark.parametrize("path", [b"/json", b"/json/list?x=/../y", b"/json/%61"])
def test_paths(path: bytes) -> None:
    """Those that are allowed pass."""
    book = talk(HttpConfig(allowed_paths=("/json", "/json/*")))
    book.client(get(path))
    assert book.to_server


@pytest.mark.parametrize(
    "path",
    [
        *(
            b"/",
            b"/JSON",
            b"/jsonx",
            b"/json/../x",
            b"/json/%2e%2e/x",
            b"/json/..",
            b"/json//x",
            b"/json/a%2fb",
            b"/json/a%5Cb",
        ),
        *(b"/json/./x", b"/json/a\\b", b"/json/%00", b"/x/..;/json"),
    ],
)
def test_paths_that_are_refused(path: bytes) -> None:
    """And what servers read in more than one way, even where it looks right."""
    book = talk(HttpConfig(allowed_paths=("/json", "/json/*")))
    book.client(get(path))
    assert (book.to_server, book.reasons) == (b"", ["path_refused"])
    assert book.to_client.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("request_", [get().replace(b"GET", b"HEAD"), get(b"/", b"Connection: close")])
def test_a_refusal_is_framed_as_its_request_wants(request_: bytes) -> None:
    """HEAD gets no body; who wants to close is closed."""
    book = talk(HttpConfig(allowed_hosts=("x",)))
    book.client(request_)
    body = book.to_client.partition(b"\r\n\r\n")[2]
    assert (body == b"") == request_.startswith(b"HEAD")
    assert book.closed == (b"close" in request_)


def test_a_refused_request_with_a_body_is_the_last() -> None:
    """What follows would be taken for a request."""
    book = talk(HttpConfig(allowed_hosts=("x",)))
    book.client(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (book.to_server, book.closed) == (b"", True)
    assert book.to_client.count(b"HTTP/1.1 ") == 1


def test_servers_that_break_off() -> None:
    """Before an answer: 502. In the middle of one the client must see that it is cut off."""
    book = talk()
    book.client(get())
    book.lose(Side.SERVER)
    assert book.to_client.startswith(b"HTTP/1.1 502 ")
    for framing, begun in ((b"Content-Length: 10", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhel")):
        book = talk()
        book.client(get())
        book.server(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (framing, begun))
        told = book.to_client
        book.end(Side.SERVER)
        assert (book.to_client, book.reasons) == (told, ["truncated"])
    for begun_head in (b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1"):
        book = talk()
        book.client(get())
        book.server(begun_head)
        book.end(Side.SERVER)
        assert book.to_client.startswith(b"HTTP/1.1 502 ")


def test_clients_that_break_off() -> None:
    """In a head, in a body, in a chunk."""
    for said in (
        b"GET",
        get()[:20],
        get()[:16],
        get()[:-2],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel",
    ):
        book = talk()
        book.client(said)
        book.end(Side.CLIENT)
        assert book.reasons == ["truncated"]
    for rest in (b"5\r\nhel", b"5\r\nhello", b"5", b"0\r\nX: y\r\n", b"4001\r\nabc"):
        book = talk()
        book.client(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
        book.end(Side.CLIENT)
        assert book.reasons == ["truncated"]


def test_large_chunks_pass_unread() -> None:
    """Framed anew, and nothing is kept of them."""
    book = talk()
    book.client(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8001\r\n")
    for _ in range(0x8001):
        book.client(b"x")
    book.client(b"\r\n0\r\n\r\n")
    body = book.to_server.partition(b"\r\n\r\n")[2]
    assert body == b"8001\r\n" + b"x" * 0x8001 + b"\r\n0\r\n\r\n"
    book.server(answer(b""))
    assert not book.closed


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"220 ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 65,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_answers_that_are_none(said: bytes) -> None:
    """502, and nothing of them passes."""
    book = talk()
    book.client(get())
    book.server(said)
    assert b"HTTP/1.1 502 " in book.to_client
    assert book.closed
    assert len(book.reasons) == 1


def test_a_server_that_speaks_first() -> None:
    """It is no HTTP server; a client that has asked nothing yet is told at once."""
    book = talk()
    book.server(b"220 ready\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 502 ")
    assert book.reasons == ["unsolicited_response"]


def test_a_server_that_ends_between_two_requests() -> None:
    """So do we."""
    book = talk()
    book.client(get())
    book.server(answer(b""))
    book.end(Side.SERVER)
    assert (book.closed, book.error) == (True, None)


def test_informational_answers_and_http_1_0() -> None:
    """They do not reach who cannot know them."""
    book = talk()
    book.client(b"GET / HTTP/1.0\r\n\r\n")
    book.server(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert book.to_client == b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


def test_an_early_answer_ends_it() -> None:
    """413 in the middle of an upload: the rest would be taken for a request."""
    book = talk()
    book.client(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    book.server(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 413 ")
    assert book.closed


def test_connect() -> None:
    """Where it is allowed: only a server that agrees gets a tunnel, and nobody may be ahead of it."""
    config = HttpConfig(connect=True)
    book = talk(config)
    book.client(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
    book.server(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert not book.closed
    book = talk(config)
    book.client(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly")
    book.server(b"HTTP/1.1 200 OK\r\n\r\n")
    assert book.reasons == ["bytes_before_upgrade"]
    assert not book.to_server.endswith(b"early")
    book = talk(config)
    book.client(b"CONNECT a HTTP/1.1\r\nHost: a:1\r\n\r\n")
    assert book.reasons == ["bad_target"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectError("", reason="connect_timeout"), 504),
        (ConnectError("", reason="connect_refused"), 502),
        (TlsError(""), 502),
        (BindError(""), 503),
        (AlgError("", reason="stopped"), 503),
        (AlgError("", reason="idle"), 408),
        (PolicyError(""), 403),
        (ProtocolError("", reason="anything"), 400),
        (ProtocolError("", reason="bad_transfer_encoding"), 501),
    ],
)
def test_statuses(error: AlgError, status: int) -> None:
    """Each kind of failure has its own."""
    assert status_of(error, by_server=False) == status
    if isinstance(error, ProtocolError):
        assert status_of(error, by_server=True) == 502


def test_a_client_that_cannot_be_served() -> None:
    """Before there is a session."""
    refused = HttpPlugin(HttpConfig()).refusal(BindError("full", reason="too_many_sessions"))
    assert refused is not None
    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert refused.endswith(b"\r\n\r\nService Unavailable: too_many_sessions\n")


def test_idle_while_the_server_thinks() -> None:
    """504: it was the server's turn."""
    assert status_of(AlgError("", reason="idle"), by_server=True) == 504


@pytest.mark.parametrize("field", [b"Refresh: ;" + b" " * 15000 + b"'a'b", b"Refresh: " + b"1" * 15000 + b"'a'b"])
def test_fields_that_only_look_like_something(field: bytes) -> None:
    """What is none is found to be none in one pass: 15 000 bytes took seconds."""
    book = talk()
    book.client(get())
    began = time.process_time()
    book.server(answer(b"", field))
    assert time.process_time() - began < 0.5
    assert field in book.to_client


def test_who_asks_cannot_be_claimed() -> None:
    """Neither by another spelling that servers take for the same, nor in a trailer."""
    book = talk(HttpConfig(forwarded=Forwarded.SET))
    claims = [
        b"X-Real-IP: 192.0.2.1",
        b"X_Forwarded_For: 192.0.2.1",
        b"X-Forwarded-Port: 192",
        b"Forwarded: for=192.0.2.1",
    ]
    book.client(
        get(b"/", b"Transfer-Encoding: chunked", b"A: b", *claims)
        + b"0\r\nC: d\r\n"
        + b"\r\n".join(claims)
        + b"\r\n\r\n"
    )
    assert b"192" not in book.to_server
    assert b"\r\nX-Forwarded-For: 10.77.1.2\r\n" in book.to_server
    assert book.to_server.endswith(b"0\r\nC: d\r\n\r\n")

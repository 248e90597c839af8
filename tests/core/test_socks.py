"""SOCKS4, 4A and 5 without passwords: what is asked for, however it is cut, what is refused, and with which words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.doorway import Ask, Asked
from alg.core.errors import AlgError, BindError, ConnectError, PluginError, PolicyError, ProtocolError
from alg.core.hosts import MAX_HOST
from alg.core.model import Endpoint
from alg.core.opening import MAX_EARLY_DATA
from alg.core.socks import SocksDoorway
from alg.core.socks4 import MAX_USER_ID
from tests.core.openings import feed, in_every_way, refused_at
from tests.core.test_hosts import AMBIGUOUS, LONGEST

HELLO = b"\x05\x01\x00"
BOUND, BOUND6 = Endpoint.parse("192.0.2.7", 20000), Endpoint.parse("2001:db8::7", 20000)
NOWHERE = b"\x01" + bytes(6)


def named(host: bytes, port: int = 80, command: int = 1) -> bytes:
    """A SOCKS5 request with a name, behind the greeting."""
    return HELLO + bytes((5, command, 0, 3, len(host))) + host + port.to_bytes(2)


def socks4a(host: bytes, port: int = 80, user: bytes = b"me", command: int = 1) -> bytes:
    """A SOCKS4A request."""
    return bytes((4, command)) + port.to_bytes(2) + b"\0\0\0\x01" + user + b"\0" + host + b"\0"


REQUESTS = [
    # As zeek's capture of a real client has it: a browser, through SOCKS5.
    (bytes.fromhex("050100 050100030e7777772e6f736e6577732e636f6d0050"), Ask.CONNECT, "www.osnews.com", 80),
    (HELLO + bytes.fromhex("05010001c0a800020016"), Ask.CONNECT, "192.168.0.2", 22),
    (HELLO + bytes.fromhex("05020001c0000205 0000"), Ask.BIND, "192.0.2.5", 0),
    (HELLO + bytes.fromhex("05030001000000000000"), Ask.ASSOCIATE, "0.0.0.0", 0),
    # PySocks names no host: what an ASSOCIATE says of the client is not relied on, and need not be one.
    (HELLO + b"\x05\x03\0\x03\x010\x12\x34", Ask.ASSOCIATE, "0.0.0.0", 0x1234),
    (HELLO + b"\x05\x03\0\x04" + IPv6Address("2001:db8::1").packed + b"\0\0", Ask.ASSOCIATE, "2001:db8::1", 0),
    (HELLO + b"\x05\x01\0\x04" + IPv6Address("2001:db8::1").packed + b"\xff\xff", Ask.CONNECT, "2001:db8::1", 65535),
    (HELLO + b"\x05\x01\0\x04" + IPv6Address("::ffff:10.0.0.5").packed + b"\0\x15", Ask.CONNECT, "10.0.0.5", 21),
    (b"\x05\x03\x02\x01\x00" + named(b"::1")[3:], Ask.CONNECT, "::1", 80),
    (b"\x05\xff" + bytes(255) + named(LONGEST)[3:], Ask.CONNECT, LONGEST.decode(), 80),
    (bytes.fromhex("04010015c000020500"), Ask.CONNECT, "192.0.2.5", 21),
    (bytes.fromhex("04020000c0000205") + b"x" * MAX_USER_ID + b"\0", Ask.BIND, "192.0.2.5", 0),
    (bytes.fromhex("0402000000000000 00"), Ask.BIND, "0.0.0.0", 0),
    (socks4a(b"ftp.example.org", 21), Ask.CONNECT, "ftp.example.org", 21),
    (socks4a(LONGEST, user=b""), Ask.CONNECT, LONGEST.decode(), 80),
    (b"\x04\x01\0\x50\0\0\0\xff\0a\0", Ask.CONNECT, "a", 80),
    (b"\x04\x01\0\x50\0\0\x01\0\0", Ask.CONNECT, "0.0.1.0", 80),
]


@pytest.mark.parametrize("rest", [b"", b"\x05", b"\x16\x03\x01early\0"], ids=["alone", "byte", "early"])
@pytest.mark.parametrize(("data", "kind", "host", "port"), REQUESTS)
def test_requests(data: bytes, kind: Ask, host: str, port: int, rest: bytes) -> None:
    """Whole, in any two pieces, byte by byte; and what stands behind them is the session's."""
    doorway, error = in_every_way(SocksDoorway, data + rest)
    assert error is None
    assert doorway.asked == Asked(kind, host, port)
    assert doorway.user is None
    assert doorway.take_replies() == (b"\x05\0" if data[0] == 5 else b"")
    assert doorway.take_rest() == rest
    assert doorway.rest == b""


@pytest.mark.parametrize(("data", "kind", "host", "port"), REQUESTS)
def test_nothing_is_asked_before_the_last_byte(data: bytes, kind: Ask, host: str, port: int) -> None:
    """And there is no rest before that."""
    doorway = SocksDoorway()
    assert feed(doorway, [data[:-1]]) is None
    assert (doorway.asked, doorway.complete, doorway.rest, doorway.take_rest()) == (None, False, b"", b"")
    doorway.receive(data[-1:])
    assert doorway.asked == Asked(kind, host, port)


FAILED, NOT_ALLOWED, NO_COMMAND, NO_TYPE = (b"\x05" + bytes((code, 0)) + NOWHERE for code in (1, 2, 7, 8))
REJECTED = b"\0\x5b" + bytes(6)
NO_METHOD = b"\x05\xff"

BROKEN = [
    # What is no SOCKS is seen with its first byte, and not answered.
    *((byte + b"ET / HTTP/1.1\r\n", 1, "not_socks", b"") for byte in (b"G", b"\x16", b"\0", b"\x06", b"\xff")),
    (b"\x05\x00", 2, "no_methods", NO_METHOD),
    (b"\x05\x01\x02", 3, "no_acceptable_method", NO_METHOD),
    (b"\x05\xff" + b"\x80" * 255, 257, "no_acceptable_method", NO_METHOD),
    # Another version inside, each way.
    (HELLO + b"\x04\x01", 4, "bad_version", FAILED),
    (HELLO + b"\x01\x01", 4, "bad_version", FAILED),
    *((HELLO + bytes((5, command)), 5, "unknown_command", NO_COMMAND) for command in (0, 4, 0xF0, 255)),
    *((bytes((4, command)), 2, "unknown_command", REJECTED) for command in (0, 3, 5, 255)),
    (HELLO + b"\x05\x01\x01", 6, "bad_request", FAILED),
    *((HELLO + bytes((5, 1, 0, kind)), 7, "unknown_address_type", NO_TYPE) for kind in (0, 2, 5, 9, 255)),
    (HELLO + bytes((5, 3, 0, 9)), 7, "unknown_address_type", NO_TYPE),
    (named(b"")[:-2], 8, "bad_host", FAILED),
    (named(b"a.example\0b")[:-2], 19, "bad_host", FAILED),
    (named(b"\0" * 255)[:-2], 263, "bad_host", FAILED),
    (named(b"a" * (MAX_HOST + 1))[:-2], 262, "bad_host", FAILED),
    (named(b"a.example", 0), 19, "bad_port", FAILED),
    (HELLO + bytes.fromhex("05010001c00002050000"), 13, "bad_port", FAILED),
    (bytes.fromhex("04010000c000020500"), 9, "bad_port", REJECTED),
    (socks4a(b"a", 0), 13, "bad_port", REJECTED),
    (socks4a(b""), 12, "bad_host", REJECTED),
    (bytes.fromhex("04010050c0000205") + b"x" * (MAX_USER_ID + 1), 264, "user_id_too_long", REJECTED),
    (socks4a(b"a" * (MAX_HOST + 1)), 265, "host_too_long", REJECTED),
]


@pytest.mark.parametrize(("data", "at", "reason", "answer"), BROKEN)
def test_what_is_broken(data: bytes, at: int, reason: str, answer: bytes) -> None:
    """It is refused with the byte that shows it, and however it is cut; nothing is asked for, then or later."""
    assert refused_at(SocksDoorway(), data) == at
    doorway, error = in_every_way(SocksDoorway, data + HELLO + named(b"evil.example"))
    assert error is not None
    assert error.reason == reason
    doorway.take_replies()
    assert doorway.refused(error) == answer
    assert doorway.refused(error) == b""
    assert (doorway.asked, doorway.user, doorway.rest) == (None, None, b"")


@pytest.mark.parametrize("text", [text for text in AMBIGUOUS if len(text) <= 255])
def test_ambiguous_hosts_get_no_further(text: bytes) -> None:
    """T05: in SOCKS5, and in SOCKS4A, where NUL ends a name."""
    doorway = SocksDoorway()
    error = feed(doorway, [named(text)])
    assert isinstance(error, ProtocolError)
    assert error.reason == "bad_host"
    if b"\0" not in text:
        doorway = SocksDoorway()
        error = feed(doorway, [socks4a(text)])
        assert error is not None
        assert error.reason in ("bad_host", "host_too_long")
    assert doorway.asked is None


REFUSALS = [
    (ConnectError("", reason="connect_refused"), 5),
    (ConnectError("", reason="connect_timeout"), 6),
    (ConnectError("", reason="not_resolved"), 4),
    (ConnectError("", reason="host_unreachable"), 4),
    (ConnectError("", reason="network_unreachable"), 3),
    (ConnectError(""), 4),
    (PolicyError("", reason="upstream_refused"), 2),
    (PolicyError("", reason="self_target"), 2),
    (BindError("", reason="no_port"), 1),
    (ProtocolError("", reason="too_slow"), 1),
    (PluginError(""), 1),
]


@pytest.mark.parametrize(("error", "code"), REFUSALS)
def test_the_code_of_a_refusal(error: AlgError, code: int) -> None:
    """RFC 1928 section 6; SOCKS4 has one for all."""
    doorway = SocksDoorway()
    doorway.receive(named(b"a.example"))
    assert doorway.refused(error) == b"\x05\0" + bytes((5, code, 0)) + NOWHERE  # the first two were not taken before
    assert doorway.refused(error) == b""
    doorway = SocksDoorway()
    doorway.receive(socks4a(b"a.example"))
    assert doorway.refused(error) == REJECTED


def test_a_success() -> None:
    """Our end of the connection, in either family; after that there is nothing to refuse."""
    for bound, end in ((BOUND, b"\x01\xc0\0\x02\x07\x4e\x20"), (BOUND6, b"\x04" + BOUND6.address.packed + b"\x4e\x20")):
        doorway = SocksDoorway()
        doorway.receive(named(b"a.example"))
        assert doorway.take_replies() == b"\x05\0"
        assert doorway.granted(bound) == b"\x05\0\0" + end
        assert doorway.refused(ConnectError("")) == b""


def test_a_success_in_socks4() -> None:
    """An IPv6 address has no room: 0.0.0.0 means ours."""
    for bound, end in ((BOUND, b"\x4e\x20\xc0\0\x02\x07"), (BOUND6, b"\x4e\x20\0\0\0\0")):
        doorway = SocksDoorway()
        doorway.receive(socks4a(b"a.example"))
        assert doorway.granted(bound) == b"\0\x5a" + end
        assert doorway.refused(ConnectError("")) == b""


def test_bind_has_two_replies() -> None:
    """Where we listen, and who came."""
    doorway = SocksDoorway()
    doorway.receive(HELLO + bytes.fromhex("05020001c00002050000"))
    assert doorway.granted(BOUND) == b"\x05\0" + b"\x05\0\0\x01\xc0\0\x02\x07\x4e\x20"
    assert doorway.came(Endpoint.parse("192.0.2.5", 20)) == b"\x05\0\0\x01\xc0\0\x02\x05\0\x14"
    assert doorway.refused(ConnectError("")) == b""
    doorway = SocksDoorway()
    doorway.receive(bytes.fromhex("04020000c000020500"))
    assert doorway.granted(BOUND) == b"\0\x5a\x4e\x20\xc0\0\x02\x07"
    assert doorway.came(Endpoint.parse("192.0.2.5", 20)) == b"\0\x5a\0\x14\xc0\0\x02\x05"


def test_bind_may_fail_after_its_first_reply() -> None:
    """Nobody came: the second one says so."""
    doorway = SocksDoorway()
    doorway.receive(HELLO + bytes.fromhex("05020001c00002050000"))
    doorway.granted(BOUND)
    assert doorway.refused(ConnectError("", reason="connect_timeout")) == b"\x05\x06\0" + NOWHERE
    assert doorway.refused(ConnectError("")) == b""


def test_who_has_said_nothing_is_told_nothing() -> None:
    """Of a time-out, say; and who has said a part of it, in what they speak."""
    slow = ProtocolError("", reason="too_slow")
    for said, answer in ((b"", b""), (b"\x05", NO_METHOD), (b"\x04", REJECTED), (HELLO, b"\x05\0" + FAILED)):
        doorway = SocksDoorway()
        doorway.receive(said)
        assert doorway.refused(slow) == answer


def test_early_data_has_a_bound() -> None:
    """At it, and one byte above; in one piece, and behind the request."""
    for parts in ([named(b"a")], [named(b"a"), b""]):
        doorway = SocksDoorway()
        assert feed(doorway, [*parts[:-1], parts[-1] + b"x" * MAX_EARLY_DATA]) is None
        assert len(doorway.rest) == MAX_EARLY_DATA
        error = feed(doorway, [b"x"])
        assert error is not None
        assert error.reason == "too_much_early_data"
        assert doorway.rest == b""
        assert doorway.refused(error) == b"\x05\0" + FAILED


def test_what_is_taken_makes_room() -> None:
    """The bound is for what waits."""
    doorway = SocksDoorway()
    doorway.receive(named(b"a"))
    for _ in range(3):
        doorway.receive(b"x" * MAX_EARLY_DATA)
        assert len(doorway.take_rest()) == MAX_EARLY_DATA


@given(
    st.sampled_from([b"", b"\x05", b"\x04", HELLO, HELLO + b"\x05\x01\0\x03", b"\x04\x01\0\x50\0\0\0\x01"]),
    st.lists(st.binary(max_size=80), max_size=8),
)
def test_any_bytes(start: bytes, parts: list[bytes]) -> None:
    """Nothing but what `feed` lets pass; little is kept; the answer to whatever came of it is short."""
    doorway = SocksDoorway()
    error = feed(doorway, [start, *parts])
    whole = SocksDoorway()
    again = feed(whole, [b"".join([start, *parts])])
    assert (error and error.reason, doorway.asked) == (again and again.reason, whole.asked)
    assert len(doorway.refused(error or ProtocolError(""))) <= 12


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=300))
def test_what_is_kept_is_bounded(parts: list[bytes]) -> None:
    """Until a request is complete no more waits than one may have."""
    doorway = SocksDoorway()
    for part in [socks4a(b"")[:-1].replace(b"me", b"x" * MAX_USER_ID), *parts]:
        feed(doorway, [part])
        assert len(doorway._buffer) <= 8 + MAX_USER_ID + 1 + MAX_HOST + 1 or doorway.complete


names = st.from_regex(rb"[a-z]([a-z0-9-]{0,20}[a-z])?(\.[a-z]{1,20}){0,4}", fullmatch=True)


@given(st.sampled_from([1, 2, 3]), st.ip_addresses() | names, st.integers(1, 65535))
def test_socks5_reads_what_was_written(command: int, host: IPv4Address | IPv6Address | bytes, port: int) -> None:
    """Names, and addresses in their canonical form."""
    if isinstance(host, bytes):
        data, text = named(host, port, command), "0.0.0.0" if command == 3 else host.decode()
    else:
        place = Endpoint(host, port)
        kind = 1 if host.version == 4 else 4
        data, text = HELLO + bytes((5, command, 0, kind)) + host.packed + port.to_bytes(2), str(place.address)
    doorway = SocksDoorway()
    doorway.receive(data)
    assert doorway.asked is not None
    assert (doorway.asked.host, doorway.asked.port) == (text, port)

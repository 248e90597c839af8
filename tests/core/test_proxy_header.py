"""The PROXY header, received: both versions, however they are cut, and everything that is none; row T51."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.crc32c import crc32c
from alg.core.model import Endpoint
from alg.core.opening import MAX_EARLY_DATA
from alg.core.proxy_header import MAX_BLOCK, MAX_LINE, ProxyHeader, ProxyHeaderReader
from alg.core.proxy_protocol import SIGNATURE, ProxyVersion, format_header
from tests.core.openings import feed, in_every_way, refused_at

SOURCE, DESTINATION = Endpoint.parse("192.0.2.1", 56324), Endpoint.parse("192.0.2.11", 443)
SOURCE6, DESTINATION6 = Endpoint.parse("2001:db8::1", 1), Endpoint.parse("2001:db8::b", 65535)
V4 = bytes.fromhex("c0000201 c000020b dc04 01bb")
V6 = SOURCE6.address.packed + DESTINATION6.address.packed + b"\0\x01\xff\xff"
LONG6 = b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
NOOP = b"\x04\0\0"


def block(body: bytes, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes((command, family)) + (len(body) if length is None else length).to_bytes(2) + body


def extra(kind: int, value: bytes) -> bytes:
    """A type-length-value."""
    return bytes((kind,)) + len(value).to_bytes(2) + value


def checked(before: bytes = b"", after: bytes = b"") -> bytes:
    """A header with a checksum, between these."""
    blank = block(V4 + before + extra(3, bytes(4)) + after)
    at = 16 + len(V4) + len(before) + 3
    return blank[:at] + crc32c(blank).to_bytes(4) + blank[at + 4 :]


def flipped(data: bytes, at: int) -> bytes:
    """With one bit of that byte turned."""
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


FOUR, SIX, NOBODY = ProxyHeader(SOURCE, DESTINATION), ProxyHeader(SOURCE6, DESTINATION6), ProxyHeader()


@pytest.mark.parametrize("rest", [b"", b"\r", b"\x16\x03\x01\r\n"], ids=["alone", "byte", "glued"])
@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.11 56324 443\r\n", FOUR),
        (b"PROXY TCP6 2001:db8::1 2001:DB8:0::b 1 65535\r\n", SIX),
        (b"PROXY TCP6 ::ffff:c000:201 ::ffff:192.0.2.11 56324 443\r\n", FOUR),  # HAProxy writes the second form
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 0\r\n", ProxyHeader(*(Endpoint.parse(a, 0) for a in ("0.0.0.0", "255.255.255.255")))),
        (b"PROXY TCP6 " + LONG6 + b" " + LONG6 + b" 65535 65535\r\n", ProxyHeader(*[Endpoint(IPv6Address(LONG6.decode()), 65535)] * 2)),
        (b"PROXY UNKNOWN\r\n", NOBODY),
        (b"PROXY UNKNOWN " + LONG6 + b" " + LONG6 + b" 65535 65535\r\n", NOBODY),  # 107 bytes: the longest
        (block(V4), FOUR),
        (block(V6, family=0x21), SIX),
        (block(IPv6Address("::ffff:192.0.2.1").packed + IPv6Address("::ffff:192.0.2.11").packed + V4[8:], family=0x21), FOUR),
        (block(V4 + NOOP + extra(2, b"ftp.example.org") + extra(0xEE, bytes(300))), FOUR),
        (checked(), FOUR),
        (checked(NOOP, extra(5, b"id")), FOUR),
        (block(b"", command=0x20, family=0), NOBODY),
        (block(V4, command=0x20), NOBODY),
        (block(b"\xff\xff", command=0x20, family=0x31), NOBODY),  # whatever follows is to be discarded
        (block(b"", family=0), NOBODY),
        (block(b"\xff\xff", family=0), NOBODY),
    ],
)  # fmt: skip
def test_headers(data: bytes, header: ProxyHeader, rest: bytes) -> None:
    """Whole, in any two pieces, byte by byte; and what stands behind them is the session's."""
    reader, error = in_every_way(ProxyHeaderReader, data + rest)
    assert error is None
    assert reader.header == header
    assert (reader.take_rest(), reader.rest) == (rest, b"")
    reader = ProxyHeaderReader()
    reader.receive(data[:-1])
    assert (reader.header, reader.complete, reader.rest) == (None, False, b"")


def line(text: bytes) -> bytes:
    """A header of version 1."""
    return b"PROXY " + text + b"\r\n"


BAD_LINES = [
    *(b"TCP4", b"TCP4 ", b"", b" ", b"TCP5 1.2.3.4 1.2.3.4 1 2", b"UDP4 1.2.3.4 1.2.3.4 1 2", b"tcp4 1.2.3.4 1.2.3.4 1 2"),
    *(b"TCP4 1.2.3.4 1.2.3.4 1", b"TCP4 1.2.3.4 1.2.3.4 1 2 3", b"TCP4  1.2.3.4 1.2.3.4 1 2", b"TCP4 1.2.3.4 1.2.3.4 1 2 "),
    *(b"TCP4\t1.2.3.4 1.2.3.4 1 2", b"TCP4 1.2.3.4 1.2.3.4 1 2\r", b"TCP4 1.2.3.4 1.2.3.4 1 2\0", b"UNKNOWNX", b"unknown"),
    *(b"TCP4 ::1 ::1 1 2", b"TCP4 1.2.3.4 ::1 1 2", b"TCP6 1.2.3.4 1.2.3.4 1 2", b"TCP6 ::1 1.2.3.4 1 2", b"UNKNOWN a\rb"),
    *(b"TCP4 010.2.3.4 1.2.3.4 1 2", b"TCP4 1.2.3 1.2.3.4 1 2", b"TCP4 1.2.3.256 1.2.3.4 1 2", b"TCP6 ::1%lo ::1 1 2"),
    *(b"TCP6 [::1] ::1 1 2", b"TCP6 ::: ::1 1 2", b"TCP4 localhost 1.2.3.4 1 2", b"TCP4 0x7f000001 1.2.3.4 1 2"),
    *(b"TCP4 1.2.3.4 1.2.3.4 " + port + b" 2" for port in (b"-1", b"+1", b"01", b"65536", b"1_0", b"0x1", b"1.0", b"\xd9\xa3", b"9" * 40)),
    b"TCP4 1.2.3.4 1.2.3.4 1 65536",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_LINES)
def test_lines_that_are_wrong(text: bytes) -> None:
    """Refused with their end, however they are cut."""
    reader, error = in_every_way(ProxyHeaderReader, line(text) + b"rest")
    assert error is not None
    assert error.reason == "bad_proxy_header"
    assert (reader.header, reader.rest) == (None, b"")


def test_a_line_ends_as_it_must() -> None:
    """A bare LF is seen at once."""
    assert refused_at(ProxyHeaderReader(), b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nPROXY") == 31


def test_the_longest_line() -> None:
    """At the bound, and one above, which is seen with the last byte within the bound."""
    longest = b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n"
    assert len(longest) == MAX_LINE == 107
    reader = ProxyHeaderReader()
    assert feed(reader, [longest + b"rest"]) is None
    assert (reader.header, reader.rest) == (NOBODY, b"rest")
    longer = longest[:-2] + b"x\r\n"
    assert refused_at(ProxyHeaderReader(), longer) == MAX_LINE
    _, error = in_every_way(ProxyHeaderReader, longer)
    assert error is not None
    assert error.reason == "bad_proxy_header"


@pytest.mark.parametrize(
    ("data", "at"),
    [
        *(
            (b"GET / HTTP/1.1\r\n", 1),
            (b"\x16\x03\x01", 1),
            (b"220 hello\r\n", 1),
            (b"\n", 1),
            (b" PROXY", 1),
            (b"proxy", 1),
        ),
        *((b"POST / HTTP/1.0", 2), (b"PROXYTCP4", 6), (b"PROXY\tTCP4", 6), (b"PROXX", 5), (b"\r\n\r\nPROXY TCP4", 5)),
        *((flipped(SIGNATURE, place), place + 1) for place in range(12)),
    ],
)
def test_what_is_no_header_is_refused_at_once(data: bytes, at: int) -> None:
    """With the first byte that shows it: whoever waits for more waits for ever."""
    assert refused_at(ProxyHeaderReader(), data) == at
    reader, error = in_every_way(ProxyHeaderReader, data + block(V4))
    assert error is not None
    assert error.reason == "no_proxy_header"
    assert reader.header is None


@pytest.mark.parametrize(
    ("data", "at"),
    [
        *((block(V4, command=command), 13) for command in (0x01, 0x11, 0x31, 0x22, 0x2F, 0x10, 0xFF)),
        *(
            (block(V4 + bytes(300), family=family), 14)
            for family in (0x01, 0x10, 0x12, 0x20, 0x22, 0x31, 0x32, 0x41, 0xFF)
        ),
        *((block(V4, length=length), 16) for length in (0, 1, 11, MAX_BLOCK + 1, 65535)),
        *((block(V6, family=0x21, length=length), 16) for length in (0, 12, 35)),
        (block(b"", command=0x20, length=MAX_BLOCK + 1), 16),
        (block(b"", family=0, length=MAX_BLOCK + 1), 16),
    ],
)
def test_blocks_that_are_wrong_from_the_start(data: bytes, at: int) -> None:
    """Nothing is waited for that would be refused."""
    assert refused_at(ProxyHeaderReader(), data) == at
    reader, error = in_every_way(ProxyHeaderReader, data[:40])
    assert error is not None
    assert error.reason == "bad_proxy_header"
    assert reader.header is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"\x04", b"\x04\0", b"\x04\0\x01", b"\x04\xff\xff", NOOP + b"\x04\0\x02a", extra(0x20, b"abc")[:-1]),
        *(extra(3, b""), extra(3, bytes(3)), extra(3, bytes(5)), extra(3, bytes(4)), checked()[28:] * 2),
    ],
)
def test_extras_that_are_wrong(body: bytes) -> None:
    """They run past the end, or their checksum is none, or two, or wrong."""
    reader, error = in_every_way(ProxyHeaderReader, block(V4 + body) + b"rest")
    assert error is not None
    assert error.reason == "bad_proxy_header"
    assert reader.header is None


def test_a_checksum_is_of_every_byte() -> None:
    """Whichever is turned: it is another header, or none."""
    whole = checked(extra(2, b"ftp.example.org"), NOOP)
    for at in range(16, len(whole)):
        reader = ProxyHeaderReader()
        feed(reader, [flipped(whole, at)])
        assert reader.header is None or whole[at] in (3, 0), at  # no checksum any more, by its type or its length
    for at in range(16, 28):
        assert feed(ProxyHeaderReader(), [flipped(whole, at)]) is not None


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_checksum_has_four_bytes(size: int) -> None:
    """Others are not even compared."""
    error = feed(ProxyHeaderReader(), [block(V4 + extra(3, bytes(size)))])
    assert error is not None
    assert f"a checksum of {size} bytes" in str(error)


def test_the_checksum() -> None:
    """The check value of CRC-32C, and the examples of RFC 3720 B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)).to_bytes(4, "little") == bytes.fromhex("aa36918a")
    assert crc32c(b"\xff" * 32).to_bytes(4, "little") == bytes.fromhex("43aba862")
    assert crc32c(b"") == 0


def test_two_right_checksums_are_one_too_many() -> None:
    """One reader would believe the first, another the last."""
    blank = block(V4 + extra(3, bytes(4)) * 2)
    first = blank[:31] + crc32c(blank).to_bytes(4) + blank[35:]
    error = feed(ProxyHeaderReader(), [first])
    assert error is not None
    assert "two checksums" in str(error)


def test_the_longest_block() -> None:
    """At the bound; one above is refused above."""
    reader = ProxyHeaderReader()
    assert feed(reader, [block(V4 + extra(4, bytes(MAX_BLOCK - len(V4) - 3))) + b"rest"]) is None
    assert (reader.header, reader.rest) == (FOUR, b"rest")


def test_early_data_has_a_bound() -> None:
    """At it, and one byte above."""
    assert feed(ProxyHeaderReader(), [block(V4) + b"x" * MAX_EARLY_DATA]) is None
    error = feed(ProxyHeaderReader(), [block(V4) + b"x" * (MAX_EARLY_DATA + 1)])
    assert error is not None
    assert error.reason == "too_much_early_data"


endpoints = st.builds(Endpoint, st.ip_addresses(), st.integers(0, 65535))


@given(st.sampled_from(ProxyVersion), endpoints, endpoints, st.binary(max_size=20))
def test_what_is_written_is_read(version: ProxyVersion, source: Endpoint, destination: Endpoint, rest: bytes) -> None:
    """In both versions and all pairs of families."""
    reader = ProxyHeaderReader()
    reader.receive(format_header(version, source, destination) + rest)
    assert (reader.header, reader.rest) == (ProxyHeader(source, destination), rest)


STARTS = st.sampled_from(
    [b"", b"P", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x20", block(V4)[:-2]]
)


@given(STARTS, st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes(start: bytes, parts: list[bytes]) -> None:
    """Nothing but what `feed` lets pass, the same however it is cut, and little is kept."""
    reader, whole = ProxyHeaderReader(), ProxyHeaderReader()
    error, again = feed(reader, [start, *parts]), feed(whole, [b"".join([start, *parts])])
    assert (error and error.reason, reader.header, reader.rest) == (again and again.reason, whole.header, whole.rest)
    assert len(reader._buffer) <= 16 + MAX_BLOCK

"""The header of SOCKS5's datagrams (RFC 1928 section 7); rows T33 and T42, as far as a codec can hold them."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.errors import AlgError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.core.socks_datagram import format_datagram, parse_datagram
from tests.core.test_hosts import AMBIGUOUS

V4 = bytes.fromhex("00000001c00002050035")
V6 = b"\0\0\0\x04" + IPv6Address("2001:db8::5").packed + b"\0\x35"


def named(host: bytes, port: int = 53) -> bytes:
    """A datagram to a name."""
    return bytes((0, 0, 0, 3, len(host))) + host + port.to_bytes(2)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        *((V4, "192.0.2.5"), (V6, "2001:db8::5"), (named(b"dns.example"), "dns.example"), (named(b"::1"), "::1")),
        (b"\0\0\0\x04" + IPv6Address("::ffff:192.0.2.5").packed + b"\0\x35", "192.0.2.5"),
        *(
            (b"\0\0\0\x01" + bytes((255,)) * 4 + b"\0\x35", "255.255.255.255"),
        ),  # what may be sent to is no codec's business
    ],
)
@pytest.mark.parametrize("payload", [b"", b"\0", b"x" * 65_000])
def test_datagrams(header: bytes, host: str, payload: bytes) -> None:
    """Where they go, and what is in them; that may be nothing."""
    assert parse_datagram(header + payload) == (host, 53, payload)


@pytest.mark.parametrize("whole", [V4, V6, named(b"dns.example")])
def test_a_header_cut_short(whole: bytes) -> None:
    """At every length."""
    for length in range(len(whole)):
        with pytest.raises(ProtocolError) as refusal:
            parse_datagram(whole[:length])
        assert refusal.value.reason == "truncated"


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        *((bytes((0, 0, number)) + V4[3:], PolicyError, "fragmented") for number in (1, 2, 127, 128, 255)),
        *((b"\0\x01" + V4[2:], ProtocolError, "bad_datagram"), (b"\x01\0" + V4[2:], ProtocolError, "bad_datagram")),
        *((V4[:3] + bytes((kind,)) + V4[4:], ProtocolError, "unknown_address_type") for kind in (0, 2, 5, 9, 255)),
        *((V4[:8] + b"\0\0", ProtocolError, "bad_port"), (named(b"a", 0), ProtocolError, "bad_port")),
        *((named(text), ProtocolError, "bad_host") for text in AMBIGUOUS if len(text) <= 255),
    ],
)
def test_what_is_dropped(data: bytes, kind: type[AlgError], reason: str) -> None:
    """Fragments by rule, the rest as broken."""
    with pytest.raises(kind) as refusal:
        parse_datagram(data + b"payload")
    assert refusal.value.reason == reason


def test_the_bytes_of_an_answer() -> None:
    """Byte by byte."""
    assert format_datagram(Endpoint.parse("192.0.2.5", 53), b"answer") == V4 + b"answer"
    assert format_datagram(Endpoint.parse("2001:db8::5", 53), b"") == V6


@given(st.builds(Endpoint, st.ip_addresses(), st.integers(1, 65535)), st.binary(max_size=99))
def test_what_is_written_is_read(source: Endpoint, payload: bytes) -> None:
    """In both families."""
    assert parse_datagram(format_datagram(source, payload)) == (str(source.address), source.port, payload)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\0\0\0" + data))
def test_any_bytes(data: bytes) -> None:
    """A destination and what is left, or an AlgError."""
    try:
        host, port, payload = parse_datagram(data)
    except AlgError:
        return
    assert data.endswith(payload)
    assert 0 < port < 65536
    assert host

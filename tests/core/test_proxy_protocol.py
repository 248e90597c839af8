"""The PROXY protocol header: byte by byte as its specification has it, and read back by a receiver written after that."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alg.core.model import Endpoint
from alg.core.proxy_protocol import ProxyVersion, format_header

V1, V2 = ProxyVersion.V1, ProxyVersion.V2
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")

# Section 2.1: no leading zeros; hexadecimal digits and colons.
LINE = re.compile(
    rb"PROXY (?:TCP4 ((?:[0-9.]+)) ([0-9.]+)|TCP6 ([0-9a-f:]+) ([0-9a-f:]+)) (0|[1-9][0-9]*) (0|[1-9][0-9]*)\r\n"
)

LONGEST_LINE = 104  # section 2.1: "the maximum line lengths the receiver must support", TCP/IPv6
LONGEST = IPv6Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


def endpoint(address: str, port: int) -> Endpoint:
    """An endpoint from its texts."""
    return Endpoint.parse(address, port)


def address(packed: bytes) -> IPv4Address | IPv6Address:
    """An address from its bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def read_line(header: bytes) -> tuple[Endpoint, Endpoint]:
    """What a receiver of version 1 learns."""
    match = LINE.fullmatch(header)
    assert match is not None, header
    source, destination, source6, destination6, *ports = (each and each.decode() for each in match.groups())
    if source is not None and destination is not None:
        pair = (IPv4Address(source), IPv4Address(destination))
        return Endpoint(pair[0], int(ports[0] or "")), Endpoint(pair[1], int(ports[1] or ""))
    pair6 = (IPv6Address(source6), IPv6Address(destination6))
    return Endpoint(pair6[0], int(ports[0] or "")), Endpoint(pair6[1], int(ports[1] or ""))


def read_binary(header: bytes) -> tuple[Endpoint, Endpoint]:
    """What a receiver of version 2 learns."""
    assert header[:12] == SIGNATURE
    assert header[12] == 0x21
    assert int.from_bytes(header[14:16]) == len(header) - 16
    size = {0x11: 4, 0x21: 16}[header[13]]
    block = header[16:]
    assert len(block) == 2 * size + 4
    source, destination, ports = block[:size], block[size : 2 * size], block[2 * size :]
    return (
        Endpoint(address(source), int.from_bytes(ports[:2])),
        Endpoint(address(destination), int.from_bytes(ports[2:])),
    )


READERS = {V1: read_line, V2: read_binary}


def test_the_versions_have_names() -> None:
    """For a configuration."""
    assert [ProxyVersion(name) for name in ("v1", "v2")] == [V1, V2]


@pytest.mark.parametrize(
    ("source", "destination", "line"),
    [
        # The example of section 2.1, and the longest lines there.
        (("192.168.0.1", 56324), ("192.168.0.11", 443), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
        (
            ("255.255.255.255", 65535),
            ("255.255.255.255", 65535),
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        ),
        (
            (str(LONGEST), 65535),
            (str(LONGEST), 65535),
            b"PROXY TCP6 " + str(LONGEST).encode() + b" " + str(LONGEST).encode() + b" 65535 65535\r\n",
        ),
        (("2001:DB8:0::1", 0), ("::1", 1), b"PROXY TCP6 2001:db8::1 ::1 0 1\r\n"),
        (("::ffff:192.0.2.1", 5), ("192.0.2.2", 21), b"PROXY TCP4 192.0.2.1 192.0.2.2 5 21\r\n"),
        (("192.0.2.1", 5), ("2001:db8::1", 21), b"PROXY TCP6 ::ffff:c000:201 2001:db8::1 5 21\r\n"),
        (("2001:db8::1", 5), ("0.0.0.9", 21), b"PROXY TCP6 2001:db8::1 ::ffff:0:9 5 21\r\n"),
    ],
)
def test_version_1(source: tuple[str, int], destination: tuple[str, int], line: bytes) -> None:
    """Byte by byte."""
    assert format_header(V1, endpoint(*source), endpoint(*destination)) == line


@pytest.mark.parametrize(
    ("source", "destination", "rest"),
    [
        (("192.168.0.1", 56324), ("192.168.0.11", 443), "21 11 000c c0a80001 c0a8000b dc04 01bb"),
        (
            ("2001:db8::1", 1),
            ("2001:db8::2", 65535),
            "21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 0001 ffff",
        ),
        (
            ("192.0.2.1", 5),
            ("2001:db8::1", 21),
            "21 21 0024 00000000000000000000ffffc0000201 20010db8000000000000000000000001 0005 0015",
        ),
        (
            ("2001:db8::1", 5),
            ("192.0.2.1", 21),
            "21 21 0024 20010db8000000000000000000000001 00000000000000000000ffffc0000201 0005 0015",
        ),
    ],
)
def test_version_2(source: tuple[str, int], destination: tuple[str, int], rest: str) -> None:
    """Byte by byte, after section 2.2."""
    assert format_header(V2, endpoint(*source), endpoint(*destination)) == SIGNATURE + bytes.fromhex(rest)


@pytest.mark.parametrize("version", ProxyVersion)
def test_a_zone_stays_at_home(version: ProxyVersion) -> None:
    """An interface of ours means nothing to the receiver, and `%` is not in its grammar."""
    local, other = Endpoint(IPv6Address("fe80::1%eth0"), 5), endpoint("fe80::2", 21)
    assert format_header(version, local, other) == format_header(version, endpoint("fe80::1", 5), other)


endpoints = st.builds(Endpoint, st.ip_addresses(), st.integers(0, 65535))


@given(st.sampled_from(ProxyVersion), endpoints, endpoints)
@example(V1, Endpoint(LONGEST, 65535), Endpoint(LONGEST, 65535))
@example(V1, Endpoint(IPv4Address("255.255.255.255"), 65535), Endpoint(LONGEST, 65535))
@example(V1, Endpoint(IPv6Address("::ffff:0:10.0.0.5"), 1), Endpoint(IPv6Address("::10.0.0.5"), 2))
def test_a_receiver_learns_both_endpoints(version: ProxyVersion, source: Endpoint, destination: Endpoint) -> None:
    """Whatever families they are of; and it has room for them."""
    header = format_header(version, source, destination)
    assert len(header) <= LONGEST_LINE
    assert READERS[version](header) == (source, destination)

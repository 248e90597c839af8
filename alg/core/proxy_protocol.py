"""The PROXY protocol header (HAProxy's proxy-protocol.txt), to send: it tells a server who its client really is.

It goes first on a connection, before any other byte, TLS included, and in one write: some receivers take a partial
header for a wrong one (section 2).
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from alg.core.addresses import Address
from alg.core.model import Endpoint

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_2_PROXY = 0x21  # version in the upper half, the command PROXY in the lower
_TCP4, _TCP6 = 0x11, 0x21  # address family in the upper half, SOCK_STREAM in the lower

_MAPPED = 0xFFFF << 32  # RFC 4291 2.5.5.2


class ProxyVersion(enum.Enum):
    """The two forms of the header: a line of text, and a binary one."""

    V1 = "v1"
    V2 = "v2"


def format_header(version: ProxyVersion, source: Endpoint, destination: Endpoint) -> bytes:
    """Return the header for a TCP connection: the client's endpoint, and the one of ours that it spoke to.

    Where only one of the two is IPv4, it is written as an IPv4-mapped IPv6 address.
    """
    # A header has one address family. To say "unknown" (v1 UNKNOWN, v2 LOCAL) where the families differ would hide the
    # client, and receivers are free to reject it: UNKNOWN is for what cannot be filled in (2.1), LOCAL for connections
    # that a proxy opens on its own behalf (2.2). The mapped form fills it in, is what an IPv6 socket shows for an IPv4
    # peer, and is what HAProxy itself sends.
    mixed = source.address.version != destination.address.version
    addresses = [_map(each.address) if mixed else each.address for each in (source, destination)]
    if version is ProxyVersion.V1:
        return _format_line(addresses, source.port, destination.port)
    family = _TCP4 if addresses[0].version == 4 else _TCP6
    ports = source.port.to_bytes(2) + destination.port.to_bytes(2)
    block = b"".join(each.packed for each in addresses) + ports
    return SIGNATURE + bytes((_VERSION_2_PROXY, family)) + len(block).to_bytes(2) + block


def _map(address: Address) -> Address:
    return IPv6Address(_MAPPED | int(address)) if isinstance(address, IPv4Address) else address


def _format_line(addresses: list[Address], *ports: int) -> bytes:
    family = "TCP4" if addresses[0].version == 4 else "TCP6"
    words = ("PROXY", family, *map(_format_address, addresses), *map(str, ports))
    return " ".join(words).encode("ascii") + b"\r\n"


def _format_address(address: Address) -> str:
    """The form of section 2.1: for IPv6 nothing but hexadecimal digits and colons, so no `::ffff:10.0.0.5`."""
    if isinstance(address, IPv4Address):
        return str(address)
    value = int(address)  # and without its zone, which means nothing elsewhere
    if value >> 32 == _MAPPED >> 32:  # Python writes these in either form, by its version
        return f"::ffff:{value >> 16 & 0xFFFF:x}:{value & 0xFFFF:x}"
    return str(IPv6Address(value))

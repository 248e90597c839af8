"""Network addresses as values: one strict grammar, one canonical form, and which addresses mean "this host".

Text that came out of a payload is parsed here and nowhere else, and never reaches a resolver.
`ipaddress` alone is not enough: its `is_loopback` does not see through the IPv4-in-IPv6 forms.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

from alg.core.errors import ProtocolError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_IPV4 = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f:]+(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?", re.ASCII)

_LONGEST_TEXT = 45  # "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"

# Prefixes whose low or inner 32 bits are an IPv4 address that some stack or translator will use instead:
# IPv4-compatible (RFC 4291 2.5.5.1), IPv4-mapped (2.5.5.2), IPv4-translated (RFC 7915), NAT64 (RFC 6052, RFC 8215).
_EMBEDDING = tuple(
    IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056 2: the address stands in bits 16 to 47

_THIS_HOST: tuple[Network, ...] = tuple(ip_network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"))


def parse_address(text: bytes | str) -> Address:
    """Parse a literal IPv4 or IPv6 address in plain ASCII.

    Refused, because other parsers read them differently: leading zeros (`010.0.0.1`), short forms (`127.1`), numbers
    (`2130706433`, `0x7f.1`), digits of other scripts, blanks, zone identifiers, brackets.
    IPv4-mapped addresses come back as the IPv4 address that they are on the wire.

    Raises:
        ProtocolError: the text is not such a literal (reason `bad_address`).
    """
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if len(text) <= _LONGEST_TEXT:
        try:
            if _IPV4.fullmatch(text):
                return IPv4Address(text)
            if ":" in text and _IPV6.fullmatch(text):
                return canonical(IPv6Address(text))
        except ValueError:
            pass
    raise ProtocolError(f"not a literal IP address: {text[:_LONGEST_TEXT]!a}", reason="bad_address")


def name_of(host: str) -> str | None:
    """The host, if it is a name and no literal address."""
    try:
        parse_address(host)
    except ProtocolError:
        return host
    return None


def canonical(address: Address) -> Address:
    """Return the form to compare by: an IPv4-mapped address is the IPv4 address, as the kernel sees it."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def forms(address: Address) -> tuple[Address, ...]:
    """Return the address and every IPv4 address that hides in it; a rule that forbids must forbid each of them."""
    address = canonical(address)
    if isinstance(address, IPv4Address):
        return (address,)
    if address in _SIX_TO_FOUR:
        return (address, IPv4Address((int(address) >> 80) & 0xFFFF_FFFF))
    if any(address in network for network in _EMBEDDING):
        return (address, IPv4Address(int(address) & 0xFFFF_FFFF))
    return (address,)


def is_this_host(address: Address) -> bool:
    """Whether the address means "this host" to a socket: loopback, or the unspecified address, in any spelling."""
    if isinstance(address, IPv4Address):
        return int(address) >> 24 in (0, 127)
    return any(form in network for form in forms(address) for network in _THIS_HOST if form.version == network.version)


def names_this_host(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds the address and nothing but addresses that mean "this host"."""
    return any(within(address, (network,)) and _lies_in_this_host(network) for network in networks)


def _lies_in_this_host(network: Network) -> bool:
    if isinstance(network, IPv4Network):
        return any(isinstance(each, IPv4Network) and network.subnet_of(each) for each in _THIS_HOST)
    return any(isinstance(each, IPv6Network) and network.subnet_of(each) for each in _THIS_HOST)


def is_unicast(address: Address) -> bool:
    """Whether the address, in every form that hides in it, can be one host's: no multicast, broadcast or reserved."""
    return not any(_is_group(form) for form in forms(address))


def _is_group(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return int(address) >> 28 >= 0xE  # multicast 224/4, reserved 240/4, broadcast
    return address.is_multicast


def is_public(address: Address) -> bool:
    """Whether the address, in every form that hides in it, is one of the public Internet.

    `ipaddress` alone says so of multicast, site-local (RFC 3879) and the forms that hold a private IPv4 address.
    """
    return all(form.is_global and not _is_group(form) and not _is_site_local(form) for form in forms(address))


def _is_site_local(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.is_site_local


def is_link_local(address: Address) -> bool:
    """Whether the address, in some form, is good on one link only; clouds keep their metadata there (169.254.169.254)."""
    return any(form.is_link_local for form in forms(address))


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds the address itself; a form that hides in it never grants anything."""
    if not networks:
        return False
    address = canonical(address)
    return any(address.version == network.version and address in network for network in networks)

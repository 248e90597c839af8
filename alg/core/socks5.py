"""The messages of SOCKS5 (RFC 1928) and of its user names and passwords (RFC 1929), each behind its version byte, and how
an address stands in them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from alg.core.addresses import canonical
from alg.core.doorway import Ask, Asked
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError, ProtocolError
from alg.core.hosts import parse_host
from alg.core.model import Endpoint
from alg.core.octets import Octets

VERSION, PASSWORD_VERSION = 5, 1
NO_AUTHENTICATION, USER_PASSWORD, NO_METHOD = 0, 2, 0xFF  # RFC 1928 section 3
ACCEPTED, DENIED = 0, 1  # RFC 1929 section 2: any value but 0 is a failure

SUCCEEDED, FAILURE, NOT_ALLOWED, NETWORK_UNREACHABLE, HOST_UNREACHABLE, REFUSED, TTL_EXPIRED = range(7)
COMMAND_UNKNOWN, ADDRESS_TYPE_UNKNOWN = 7, 8  # RFC 1928 section 6

_COMMANDS = {1: Ask.CONNECT, 2: Ask.BIND, 3: Ask.ASSOCIATE}
_IPV4, _NAME, _IPV6 = 1, 3, 4
_NOWHERE = Endpoint(IPv4Address(0), 0)

# RFC 1928 names the codes and says no more. A time-out is TTL expired, not host unreachable: clients show it as a time-out
# (Dante and Tor send it for one), and what it is named after is ICMP's Time Exceeded, while "unreachable" is an answer.
_BY_REASON = {
    "unknown_command": COMMAND_UNKNOWN,
    "not_through_proxy": COMMAND_UNKNOWN,
    "unknown_address_type": ADDRESS_TYPE_UNKNOWN,
    "network_unreachable": NETWORK_UNREACHABLE,
    "host_unreachable": HOST_UNREACHABLE,
    "not_resolved": HOST_UNREACHABLE,
    "connect_refused": REFUSED,
    "connect_timeout": TTL_EXPIRED,
}
_BY_KIND: tuple[tuple[type[AlgError], int], ...] = (
    *((PolicyError, NOT_ALLOWED), (ConnectError, HOST_UNREACHABLE), (BindError, FAILURE)),
)


def parse_methods(octets: Octets) -> bytes:
    """Read the methods of authentication that a client offers, one byte each.

    Raises:
        Incomplete: more has to come.
        ProtocolError: there are none (`no_methods`).
    """
    count = octets.integer()
    if not count:
        raise ProtocolError("the client offers no way to authenticate, not even none", reason="no_methods")
    return octets.take(count)


def parse_credentials(octets: Octets) -> tuple[bytes, bytes]:
    """Read a user name and a password. Empty ones are nobody's unless the operator has made one such.

    Raises:
        Incomplete: more has to come.
    """
    return octets.take(octets.integer()), octets.take(octets.integer())


def parse_request(octets: Octets) -> Asked:
    """Read a request, from its command on.

    Raises:
        Incomplete: more has to come.
        ProtocolError: `unknown_command`, `unknown_address_type`, `bad_request`, `bad_host`, `bad_port`.
    """
    command = octets.integer()
    if command not in _COMMANDS:
        raise ProtocolError(f"SOCKS5 knows no command {command}", reason="unknown_command")
    if octets.integer():
        raise ProtocolError("the reserved byte of a SOCKS5 request is not 0", reason="bad_request")
    kind = _COMMANDS[command]
    # Where a client will send its datagrams from is not relied on: behind any translation it is wrong, and PySocks says `0`.
    host, port = parse_destination(octets, any_name=kind is Ask.ASSOCIATE)
    asked = Asked(kind, host, port)
    if asked.kind is Ask.CONNECT and port == 0:
        raise ProtocolError("a connection to port 0 was asked for", reason="bad_port")
    return asked


def parse_destination(octets: Octets, *, any_name: bool = False) -> tuple[str, int]:
    """Read type, address and port (RFC 1928 section 5). With `any_name` a name is read over, and 0.0.0.0 stands for it.

    Raises:
        Incomplete: more has to come.
        ProtocolError: `unknown_address_type`, `bad_host`.
    """
    kind = octets.integer()
    if kind == _IPV4:
        host = str(IPv4Address(octets.take(4)))
    elif kind == _IPV6:
        host = str(canonical(IPv6Address(octets.take(16))))
    elif kind == _NAME:
        name = octets.take(octets.integer())
        host = "0.0.0.0" if any_name else parse_host(name)
    else:
        raise ProtocolError(f"SOCKS5 knows no address type {kind}", reason="unknown_address_type")
    return host, octets.integer(2)


def format_endpoint(endpoint: Endpoint) -> bytes:
    """Return type, address and port."""
    packed = endpoint.address.packed
    return bytes((_IPV4 if len(packed) == 4 else _IPV6,)) + packed + endpoint.port.to_bytes(2)


def format_reply(code: int, endpoint: Endpoint = _NOWHERE) -> bytes:
    """Return a reply, with its version byte."""
    return bytes((VERSION, code, 0)) + format_endpoint(endpoint)


def code_of(error: AlgError) -> int:
    """The reply code of a refusal: by its reason, else by whose fault it is."""
    by_kind = next((code for kind, code in _BY_KIND if isinstance(error, kind)), FAILURE)
    return _BY_REASON.get(error.reason, by_kind)

"""The messages of SOCKS4 and 4A, behind their version byte: a request read, a reply written."""

from __future__ import annotations

from ipaddress import IPv4Address

from alg.core.doorway import Ask, Asked
from alg.core.errors import ProtocolError
from alg.core.hosts import MAX_HOST, parse_host
from alg.core.model import Endpoint
from alg.core.octets import Octets

VERSION = 4
MAX_USER_ID = 255
"""The longest user identifier, in bytes. It proves nothing, and is not used."""

GRANTED, REJECTED = 90, 91

_COMMANDS = {1: Ask.CONNECT, 2: Ask.BIND}


def parse_request(octets: Octets) -> Asked:
    """Read a request, from its command on.

    Raises:
        Incomplete: more has to come.
        ProtocolError: `unknown_command`, `user_id_too_long`, `host_too_long`, `bad_host`, `bad_port`.
    """
    command = octets.integer()
    if command not in _COMMANDS:
        raise ProtocolError(f"SOCKS4 knows no command {command}", reason="unknown_command")
    port, address = octets.integer(2), octets.integer(4)
    if octets.until_nul(MAX_USER_ID) is None:
        raise ProtocolError(f"a SOCKS4 user id of more than {MAX_USER_ID} bytes", reason="user_id_too_long")
    host = str(IPv4Address(address))
    if 0 < address <= 0xFF:  # 0.0.0.x and x not 0: SOCKS4A, a name follows
        name = octets.until_nul(MAX_HOST)
        if name is None:
            raise ProtocolError(f"a SOCKS4 host name of more than {MAX_HOST} bytes", reason="host_too_long")
        host = parse_host(name)
    asked = Asked(_COMMANDS[command], host, port)
    if asked.kind is Ask.CONNECT and port == 0:
        raise ProtocolError("a connection to port 0 was asked for", reason="bad_port")
    return asked


def format_reply(code: int, endpoint: Endpoint | None = None) -> bytes:
    """Return a reply. An IPv6 address has no room in it and becomes 0.0.0.0, which means "the one you spoke to"."""
    port, packed = (endpoint.port, endpoint.address.packed) if endpoint else (0, b"")
    return bytes((0, code)) + port.to_bytes(2) + (packed if len(packed) == 4 else bytes(4))

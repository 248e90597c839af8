"""The header of a datagram that goes through a SOCKS5 relay (RFC 1928 section 7)."""

from __future__ import annotations

from alg.core import socks5
from alg.core.errors import PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.core.octets import Incomplete, Octets


def parse_datagram(data: bytes) -> tuple[str, int, bytes]:
    """Return where a client's datagram is to go, as in `Asked`, and what it carries, which may be nothing.

    Raises:
        PolicyError: a fragment (`fragmented`); whoever does not put them together must drop them.
        ProtocolError: `truncated`, `bad_datagram`, `unknown_address_type`, `bad_host`, `bad_port`.
    """
    octets = Octets(data)
    try:
        if octets.integer(2):
            raise ProtocolError("the reserved bytes of a SOCKS5 datagram are not 0", reason="bad_datagram")
        if octets.integer():
            raise PolicyError("a fragment of a SOCKS5 datagram", reason="fragmented")
        host, port = socks5.parse_destination(octets)
    except Incomplete:
        raise ProtocolError(f"a SOCKS5 datagram of {len(data)} bytes ends in its header", reason="truncated") from None
    if not port:
        raise ProtocolError("a SOCKS5 datagram to port 0", reason="bad_port")
    return host, port, octets.left()


def format_datagram(source: Endpoint, payload: bytes) -> bytes:
    """Return the datagram that brings a client what came from `source`."""
    return bytes(3) + socks5.format_endpoint(source) + payload

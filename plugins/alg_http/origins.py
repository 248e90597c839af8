"""`Origin`: host, port and security of one end, as URLs write it; and the two ends of a flow, outside and inside."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alg.plugin import Address, Endpoint, Leg, ProtocolError

_AUTHORITY = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9.])?))(?::([0-9]{1,5})?)?"
)
_DEFAULTS = {False: 80, True: 443}
_CLEAR = {"https": "http", "wss": "ws", "rtsps": "rtsp"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A host (name in lower case, or literal address without brackets), a port, and whether TLS is spoken there."""

    host: str
    port: int
    secure: bool

    @property
    def is_address(self) -> bool:
        """Whether the host is a literal address."""
        return address_of(self.host) is not None

    @property
    def authority(self) -> bytes:
        """`host`, or `host:port` where the port is not the usual one (RFC 9110 section 4.2.3)."""
        return self.host_and_port if self.port != _DEFAULTS[self.secure] else self._host

    @property
    def host_and_port(self) -> bytes:
        """`host:port`, always with the port."""
        return b"%s:%d" % (self._host, self.port)

    @property
    def _host(self) -> bytes:
        host = self.host.encode("ascii")
        return b"[%s]" % host if b":" in host else host

    def url(self, scheme: str) -> bytes:
        """`scheme://authority`, with the secure or the clear form of that scheme: `wss` of `ws` where this is secure."""
        return b"%s://%s" % (self.scheme(scheme).encode("ascii"), self.authority)

    def scheme(self, like: str) -> str:
        """The scheme that is spoken here, of the family of that one (`http`, `ws`)."""
        clear = _CLEAR.get(like, like)
        return clear + "s" if self.secure else clear


def address_of(host: str) -> Address | None:
    """The host, if it is a literal address."""
    try:
        return Endpoint.parse(host, 0).address
    except ProtocolError:
        return None


def parse_authority(text: bytes, *, secure: bool) -> Origin:
    """Parse the value of `Host`, or the authority of an absolute target.

    Raises:
        ProtocolError: it is none, or has userinfo (`bad_host`).
    """
    match = _AUTHORITY.fullmatch(text)
    port = int(match[3]) if match and match[3] else _DEFAULTS[secure]
    if match is None or not 0 < port <= 65535:
        raise ProtocolError(f"{text[:80]!a} is no host", reason="bad_host")
    if match[1]:
        try:
            return Origin(str(Endpoint.parse(match[1], 0).address), port, secure)
        except ProtocolError:
            raise ProtocolError(f"{text[:80]!a} is no host", reason="bad_host") from None
    return Origin(match[2].decode("ascii").lower().rstrip("."), port, secure)


def origin_of(leg: Leg, *, by_address: bool = False) -> Origin:
    """The server of a leg, by the name that it was given, else (or with `by_address`) by its address."""
    name = None if by_address else leg.name
    return Origin((name or str(leg.peer.address)).lower(), leg.peer.port, leg.secure)


def own_origin(leg: Leg) -> Origin:
    """Our end of a client's leg, for who did not say what it calls us."""
    return Origin(str(leg.local.address), leg.local.port, leg.secure)

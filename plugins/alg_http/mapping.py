"""`Mapper`: what an address inside is called outside, and the other way round. The same for every host of HTTP: what it
needs of that host, it asks through `Ways`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from alg.plugin import Address, BindError, Connect, Endpoint, Leg, PolicyError, ProtocolError, Side, Ways
from alg_http.admission import is_known
from alg_http.config import HttpConfig
from alg_http.heads import Header, tokens, values
from alg_http.json_text import json_places
from alg_http.origins import Origin, address_of, origin_of
from alg_http.places import Place, find_places, replace
from alg_http.rules import Rule
from alg_http.xml_text import xml_places

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "rtsp": 554, "rtsps": 322}
_SECURE = frozenset(("https", "wss", "rtsps"))
OPAQUE = frozenset(("rtsp", "rtsps"))
"""Schemes behind which nobody reads what passes."""
_PLACES = 4096
_HERE = frozenset(("localhost", "ip6-localhost", "ip6-loopback"))


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of an exchange: how the client calls us, how the server is called, and where it is."""

    outside: Origin
    inside: Origin
    server: Endpoint
    local: Address
    """Our address toward the client."""
    name: str | None = None
    """The server's name, if it has one, in lower case."""
    known: bool = True
    """Whether what the client calls us is ours, see `admission.is_known`."""


def ends_of(config: HttpConfig, outside: Origin, client: Leg, server: Leg) -> Ends:
    """The ends of an exchange between these legs, of whose client we know what it calls us."""
    inside = origin_of(server, by_address=config.names_address)
    name = server.name.lower() if server.name else None
    return Ends(outside, inside, server.peer, client.local.address, name, is_known(config, outside, client))


class Mapper:
    """Maps what is said in one flow."""

    def __init__(self, config: HttpConfig, ways: Ways) -> None:
        self._config = config
        self._ways = ways

    # From inside to outside.

    async def outward(self, place: Place, ends: Ends, announced_by: str) -> bytes | None:
        """What to write in a place that the server wrote; None: it is not inside, or cannot be reached through us."""
        scheme = place.scheme or None
        port = place.port or _DEFAULT_PORTS.get(scheme or "", ends.inside.port)
        found = self._locate(place.host, ends)
        if found is None:
            return None
        address, name = found
        target = Endpoint(address, port)
        if target == ends.server and scheme not in OPAQUE:
            return _write(place, ends.outside)
        secure = ends.inside.secure if scheme is None else scheme in _SECURE
        try:
            endpoint = await self._ways.expect(
                Connect(target, secure, name),
                opaque=scheme in OPAQUE,
                lifetime=self._config.shared_lifetime,
                announced_by=announced_by,
            )
        except (PolicyError, BindError):
            return None  # it has been recorded, and the client gets what would not lead anywhere without us either
        # Who calls us by a name gets that name, which is also that of our certificate.
        host = ends.outside.host if address_of(ends.outside.host) is None else str(endpoint.address)
        return _write(place, Origin(host, endpoint.port, ends.outside.secure))

    def _locate(self, host: str, ends: Ends) -> tuple[Address, str | None] | None:
        """Where a host is that the server names, and the name to ask for there; None: it is not known to be inside."""
        if host in _HERE or host == ends.name:
            # What the server calls its own loopback is, seen from here, the server.
            return ends.server.address, ends.name
        address = address_of(host)
        if address == ends.server.address:
            return address, ends.name
        if address is not None:
            return (ends.server.address if address.is_loopback or address.is_unspecified else address), None
        known = self._config.address_of(host)
        return None if known is None else (known, host)

    async def value(self, value: bytes, ends: Ends, announced_by: str, places: Iterable[Place] | None = None) -> bytes:
        """A text that the server wrote, with what is inside mapped in its places (default: those of a whole value)."""
        found = _bounded(find_places(value) if places is None else places)
        written = [(place, await self.outward(place, ends, announced_by)) for place in found]
        return replace(value, [(place, new) for place, new in written if new is not None])

    async def body(self, rule: Rule, body: bytes, kind: str, ends: Ends, announced_by: str) -> bytes:
        """A body that the server wrote; `kind` is `json` or `xml`.

        Raises:
            ProtocolError: it is not what it says (`bad_json`, `bad_xml`, …).
        """
        return await self.value(body, ends, announced_by, _places(rule, body, kind))

    # From outside to inside.

    def inward(self, place: Place, ends: Ends) -> bytes | None:
        """What to write in a place that the client wrote; None: it does not mean us."""
        scheme = place.scheme or None
        port = place.port or _DEFAULT_PORTS.get(scheme or "", ends.outside.port)
        address = address_of(place.host)
        if port == ends.outside.port and (place.host == ends.outside.host or address == ends.local):
            return _write(place, ends.inside)
        if place.host == ends.outside.host:
            address = address or ends.local
        target = self._ways.target_of(Endpoint(address, port)) if address is not None else None
        if target is None:
            return None
        return _write(place, Origin(target.name or str(target.target.address), target.target.port, target.tls))

    def value_inward(self, value: bytes, ends: Ends, places: Iterable[Place] | None = None) -> bytes:
        """A text that the client wrote, with what means us mapped in its places (default: those of a whole value)."""
        places = _bounded(find_places(value) if places is None else places)
        found = [(place, self.inward(place, ends)) for place in places]
        return replace(value, [(place, written) for place, written in found if written is not None])

    def body_inward(self, rule: Rule, body: bytes, kind: str, ends: Ends) -> bytes:
        """A body that the client wrote.

        Raises:
            ProtocolError: as for `body`.
        """
        return self.value_inward(body, ends, _places(rule, body, kind))

    # Messages, both ways.

    async def message(self, rule: Rule, side: Side, text: bytes, ends: Ends) -> bytes:
        """A text message that this side says on a WebSocket; what is no JSON passes as it is."""
        with contextlib.suppress(ProtocolError):
            if side is Side.CLIENT:
                return self.body_inward(rule, text, "json", ends)
            return await self.body(rule, text, "json", ends, "message")
        return text


def _places(rule: Rule, body: bytes, kind: str) -> Iterable[Place]:
    return json_places(body, rule.json) if kind == "json" else xml_places(body, rule.xml)


def _write(place: Place, origin: Origin) -> bytes:
    """An origin in the form in which the place has one."""
    if place.scheme is None:
        return origin.host_and_port
    if place.bare:
        return origin.host_and_port if place.port is not None else origin.authority
    if not place.scheme:
        return b"//" + origin.authority
    return origin.url(place.scheme)


def _bounded(places: Iterable[Place]) -> list[Place]:
    """The places, if they are not so many that to look at each would keep everybody waiting."""
    found = list(places)
    if len(found) > _PLACES:
        raise ProtocolError(f"there are more than {_PLACES} addresses in one text", reason="too_many_addresses")
    return found


def body_kind(headers: Iterable[Header], rule: Rule | None) -> str | None:
    """`json` or `xml`, if that is what a body with these fields is and the rule has something to look for in it; else None.

    By the media type (RFC 8259, RFC 7303; with structured suffixes, RFC 6838).
    """
    types = values(headers, b"content-type")
    if rule is None or not types:
        return None
    media = types[0].partition(b";")[0].strip().lower()
    if rule.json and media.endswith((b"/json", b"+json")):
        return "json"
    return "xml" if rule.xml and media.endswith((b"/xml", b"+xml")) else None


def coding_of(headers: Iterable[Header]) -> str:
    """How a body with these fields is coded, for `content.decode`."""
    return ", ".join(each.decode("latin-1") for each in tokens(headers, b"content-encoding")) or "identity"

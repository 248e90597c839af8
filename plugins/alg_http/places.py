"""Places: where a text names endpoints, by grammar, in a value that a person has declared to hold some. What stands in
none of the forms is no place; nothing in here raises because of what a peer wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_HOST = rb"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?))"
_PORT = rb"(?::(?P<port>0|[1-9][0-9]{0,4}))"
_END = rb"(?=[/?#\t\r\n ,;\"'<>]|\Z)"
_URL = re.compile(
    rb"(?:(?P<scheme>https?|wss?|rtsps?)://)(?P<user>[A-Za-z0-9._~!\x24&'()*+;=:%-]{1,256}@)?"
    + _HOST
    + _PORT
    + rb"?"
    + _END,
    re.IGNORECASE,
)
_RELATIVE = re.compile(rb"//" + _HOST + _PORT + rb"?" + _END)
_ENDPOINT = re.compile(rb"[ \t\r\n]*(?P<place>(?P<name>[A-Za-z0-9._-]{1,253}/)?" + _HOST + _PORT + rb")[ \t\r\n]*")
# The colon of a query's value may be percent-encoded (RFC 3986 section 2.2).
_QUERY = re.compile(
    rb"[?&](?P<scheme>wss?)=(?P<place>" + _HOST + rb"(?:(?::|%3[Aa])(?P<port>0|[1-9][0-9]{0,4}))?)(?=[/&#]|%2[Ff]|\Z)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a text that names an endpoint: `scheme://host[:port]`, or, where it is `bare`, `host[:port]` alone.

    Offsets are in bytes. `scheme` is in lower case; `""` is that of the page (`//host`), None is none at all. `host` is in
    lower case, an IPv6 literal without brackets; without a `port` it is the scheme's.
    """

    start: int
    end: int
    scheme: str | None
    host: str
    port: int | None
    bare: bool = False

    def moved(self, by: int) -> Place:
        """The same place in a text that begins so many bytes before."""
        return replace(self, start=self.start + by, end=self.end + by)


def find_places(value: bytes) -> list[Place]:
    """Find the places in one value, in order: URLs, between blanks or commas; a bare endpoint, if it is the whole value (or
    behind a name and a slash, as Elasticsearch has it); the parameters `ws` and `wss` of a query.
    """
    whole = _ENDPOINT.fullmatch(value)
    if whole is not None and (place := _made(whole, None, whole.span("place"), bare=True)):
        return [place]
    if b"/" not in value:
        return []
    found: list[Place | None] = []
    for match in _URL.finditer(value):
        if match.start() and value[match.start() - 1 : match.start()] not in (b" ", b"\t", b"\r", b"\n", b","):
            continue
        scheme = match["scheme"].decode("ascii").lower()
        if match["user"] is None:
            found.append(_made(match, scheme, match.span(), bare=False))
        else:
            found.append(_made(match, scheme, (match.end("user"), match.end()), bare=True))
    if not found and (relative := _RELATIVE.match(value)):
        found.append(_made(relative, "", relative.span(), bare=False))
    found += [
        _made(match, match["scheme"].decode("ascii"), match.span("place"), bare=True)
        for match in _QUERY.finditer(value)
    ]
    return sorted((place for place in found if place is not None), key=lambda place: place.start)


def _made(match: re.Match[bytes], scheme: str | None, span: tuple[int, int], *, bare: bool) -> Place | None:
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= 65535:
        return None
    host = (match["six"] or match["host"]).decode("ascii").lower()
    return Place(*span, scheme, host.rstrip(".") or host, port, bare)


def replace_places(text: bytes, changes: Iterable[tuple[Place, bytes]]) -> bytes:
    """The text with these places written anew, and all else as it is.

    Raises:
        ValueError: two places overlap.
    """
    pieces, at = [], 0
    for place, written in sorted(changes, key=lambda change: change[0].start):
        if place.start < at:
            raise ValueError("two places overlap")
        pieces += [text[at : place.start], written]
        at = place.end
    return b"".join((*pieces, text[at:]))

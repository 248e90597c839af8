"""Places: the spans of a text that name an endpoint, found by a strict ASCII grammar, and replaced span by span.

What a name means, whether it may be reached, and what stands for it are not decided here. A text that does not fit the
grammar has no place in it; nothing here raises on account of a peer. Where the text is itself encoded (JSON, XML,
percent-encoding), the caller decodes it, and `relocate` turns the spans into those of the bytes on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from alg.plugin import Endpoint, ProtocolError

# RFC 3986 section 3.2.2, of a registered name only what is in use; DNS has room for 253 characters.
_HOST = rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9._-]{0,252}+)"
_PORT = rb"([1-9][0-9]{0,4}+)"
_SCHEME = rb"(?:(https?|wss?|rtsps?):)?//"
_SPACE = rb"[\t\n\r ]"

# RFC 3986 section 3.2: what ends an authority, and (section 3.2.1) what a userinfo is made of; \x24 is the dollar.
_AUTHORITY = re.compile(
    rb"(?:[A-Za-z0-9._~!\x24&'()*+,;=:%-]*+@)?+(" + _HOST + rb"(?::" + _PORT + rb")?)(?=[/?#]|\Z)", re.ASCII
)
_URL_START = re.compile(_SCHEME, re.ASCII | re.IGNORECASE)
# A comma may be a part of a URL; it separates two where another begins behind it.
_URL = re.compile(
    rb"[^\t\n\r ,]++(?:,++(?!" + _SCHEME + rb")[^\t\n\r ,]++)*+",
    re.ASCII | re.IGNORECASE,
)
_QUERY = re.compile(rb"[^?#]*+\?([^#]*+)", re.ASCII)
# Every parameter matches, from its first byte on, so `&` need not be looked for.
_PARAMETER = re.compile(rb"(wss?)=([^&]++)|[^&]++", re.ASCII)
_PERCENT_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})", re.ASCII)

_BARE = re.compile(_SPACE + rb"*+(" + _HOST + rb":" + _PORT + rb")" + _SPACE + rb"*+", re.ASCII)
# Elasticsearch writes the name of a node, if it knows one, before its address.
_NAMED = re.compile(
    _SPACE + rb"*+([A-Za-z0-9._-]++/(\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{6,14}[0-9]):" + _PORT + rb")" + _SPACE + rb"*+",
    re.ASCII,
)
# WHATWG URL, "ends in a number": resolvers take such a name for an IPv4 address, in more spellings than one.
_NUMERIC_NAME = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII)

# How a stretch of a decoded text was written: its length, and its start and end in the raw text. Bytes that stand for
# themselves have the same length in both; any other piece is one character.
Piece = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a text that names an endpoint: `scheme://host[:port]`, or `host:port`.

    `start` and `end` are byte offsets, in the text that was searched, of exactly the part to be replaced: by
    `host[:port]` if `bare`, else with `scheme://` before it, or with `//` if the scheme is empty.
    """

    start: int
    end: int
    scheme: str | None
    """In lower case; None for an endpoint without one; empty for a URL that takes that of its document (`//host`)."""
    host: str
    """In lower case, without userinfo; an IPv6 literal without brackets."""
    port: int | None
    """None: the default of the scheme."""
    bare: bool = False
    """Whether the span has no scheme in it, though there may be one: behind userinfo, in a query, without scheme."""

    def moved(self, start: int, end: int) -> Place:
        """The same place with other offsets."""
        return Place(start, end, self.scheme, self.host, self.port, self.bare)


def find_places(value: bytes) -> list[Place]:
    """Find the places in one value that is known to hold addresses, in order.

    It is an endpoint with a port (`10.0.0.5:9200`, `[2001:db8::1]:9200`, `node/10.0.0.5:9200`), or it is URLs with
    spaces or commas between them, in whose queries `ws=host:port` and `wss=` name endpoints too.
    """
    bare = _BARE.fullmatch(value) or _NAMED.fullmatch(value)
    if bare:
        place = _place(bare, None, bare=True)
        return [place] if place else []
    return [
        place
        for url in _URL.finditer(value)
        for place in (_of_authority(value, url), *_of_query(value, url))
        if place is not None
    ]


def _of_authority(value: bytes, url: re.Match[bytes]) -> Place | None:
    """The place that a URL begins with. Userinfo is kept: the span begins behind it."""
    start = _URL_START.match(value, url.start(), url.end())
    authority = start and _AUTHORITY.match(value, start.end(), url.end())
    if start is None or authority is None:
        return None
    scheme = (start[1] or b"").decode("ascii").lower()
    if authority.start(1) != start.end():
        return _place(authority, scheme, bare=True)
    place = _place(authority, scheme, bare=False)
    return place and place.moved(start.start(), place.end)


def _of_query(value: bytes, url: re.Match[bytes]) -> Iterator[Place | None]:
    """The places in the query of a URL, or of a path (RFC 3986 section 3.4)."""
    query = _QUERY.match(value, url.start(), url.end())
    if query is None:
        return
    for parameter in _PARAMETER.finditer(value, *query.span(1)):
        if parameter[1] is None:
            continue
        scheme, (start, end) = parameter[1].decode("ascii"), parameter.span(2)
        if b"%" not in parameter[2]:
            authority = _AUTHORITY.match(value, start, end)
            yield authority and _place(authority, scheme, bare=True)
            continue
        authority = _AUTHORITY.match(_PERCENT_ENCODED.sub(lambda code: bytes((int(code[1], 16),)), parameter[2]))
        if authority and (place := _place(authority, scheme, bare=True)):
            codes = ((*code.span(), 1) for code in _PERCENT_ENCODED.finditer(value, start, end))
            yield from relocate([place], pieces_between(start, end, codes))


def _place(match: re.Match[bytes], scheme: str | None, *, bare: bool) -> Place | None:
    """The place of a match with the groups span, host and port; None if the host or the port is none."""
    host = match[2].decode("ascii").lower()
    port = int(match[3]) if match[3] else None
    if port is not None and port > 65535:
        return None
    bracketed = host.startswith("[")
    host = host.strip("[]")
    if bracketed and ":" not in host:
        return None
    if (bracketed or _NUMERIC_NAME.fullmatch(host)) and not _is_address(host):
        return None
    return Place(*match.span(1), scheme, host, port, bare)


def _is_address(host: str) -> bool:
    """Whether it is an address in a spelling about which nobody disagrees."""
    try:
        Endpoint.parse(host, 0)
    except ProtocolError:
        return False
    return True


def pieces_between(start: int, end: int, escapes: Iterable[tuple[int, int, int]]) -> Iterator[Piece]:
    """The pieces of a raw text from start to end: its escapes (start, end, decoded length), and what is between."""
    for escape_start, escape_end, length in escapes:
        if start < escape_start:
            yield escape_start - start, start, escape_start
        yield length, escape_start, escape_end
        start = escape_end
    if start < end:
        yield end - start, start, end


def relocate(found: Sequence[Place], pieces: Iterable[Piece]) -> list[Place]:
    """Turn places of a decoded text, in order, into places of the raw text that it was decoded from.

    A place whose pieces do not adjoin in the raw text (there is markup between them) is left out: it could not be
    replaced without breaking what is between.
    """
    offsets = iter([offset for place in found for offset in (place.start, place.end - 1)])  # first, last character
    characters: list[tuple[int, int, int]] = []  # of each: its start and end in the raw text, and its unbroken run
    offset = next(offsets, None)
    decoded, run, previous = 0, 0, -1
    for length, start, end in pieces:
        if offset is None:
            break
        if start != previous:
            run += 1
        while offset is not None and offset < decoded + length:
            raw = start + offset - decoded
            characters.append((raw, raw + 1, run) if end - start == length else (start, end, run))
            offset = next(offsets, None)
        decoded, previous = decoded + length, end
    return [
        place.moved(first[0], last[1])
        for place, first, last in zip(found, characters[::2], characters[1::2], strict=True)
        if first[2] == last[2]
    ]


def replace(text: bytes, changes: Iterable[tuple[Place, bytes]]) -> bytes:
    """Return the text with other bytes in these places, and all else as it was.

    Raises:
        ValueError: the places are not in order, overlap, or are not within the text.
    """
    parts: list[bytes] = []
    position = 0
    for place, new in changes:
        if not position <= place.start <= place.end <= len(text):
            raise ValueError(f"a place from {place.start} to {place.end} cannot follow what ends at {position}")
        parts += text[position : place.start], new
        position = place.end
    return b"".join((*parts, text[position:]))

"""Which header fields hold addresses, and what becomes of them: those of requests are mapped inward, those of responses
outward. Fields about one hop only are `heads`' business, or the host's (`web`), and pass here; so does the framing of bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from alg.plugin import Address
from alg_http.config import Forwarded, HttpConfig
from alg_http.heads import FORWARDED, Header, Request, Response, without
from alg_http.mapping import OPAQUE, Ends, Mapper
from alg_http.places import Place, find_places

_INWARD = frozenset((b"origin", b"referer", b"destination"))  # Destination: WebDAV, RFC 4918 section 10.3
_OUTWARD = frozenset((b"location", b"content-location", b"access-control-allow-origin"))
_LINK = re.compile(rb"<([^<>]*)>")
_REFRESH = re.compile(rb"[0-9.]*+[ \t]*+[;,][ \t]*+(?:[Uu][Rr][Ll][ \t]*+=[ \t]*+)?+[\"']?+([^\"']*+)[\"']?+")
_DOMAIN = re.compile(rb";[ \t]*[Dd][Oo][Mm][Aa][Ii][Nn][ \t]*=[ \t]*([^; \t]*)[ \t]*")

# Of what is rewritten, no part can be fetched, and no digest is right (RFC 9110 section 14, RFC 9530).
_NOT_OF_REWRITTEN = frozenset(
    (b"accept-ranges", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"content-encoding", b"etag")
)
_CONDITIONS = frozenset((b"range", b"if-range", b"accept-encoding"))


def request_fields(request: Request, ends: Ends, mapper: Mapper, config: HttpConfig, client: Address) -> list[Header]:
    """The fields of a request as the server shall see them."""
    host = ends.outside.authority if config.keeps_host else ends.inside.authority
    fields: list[Header] = [(b"Host", host)]
    for name, value in request.headers:
        lower = name.lower()
        if lower in _INWARD and ends.known and not config.keeps_host:
            fields.append((name, mapper.value_inward(value, ends)))
        elif lower != b"host" and (not _says_who_asks(lower) or config.forwarded is Forwarded.PASS):
            fields.append((name, value))
    if config.forwarded is Forwarded.SET:
        fields += _forwarded(ends, client)
    return fields


def _says_who_asks(lower: bytes) -> bool:
    """Whether a server takes a field for one of a proxy's; many (CGI, WSGI) take `_` for `-`."""
    return lower.replace(b"_", b"-") in FORWARDED


def _forwarded(ends: Ends, client: Address) -> list[Header]:
    """Who asks, of whom and how (RFC 7239, and the older fields that more servers know)."""
    scheme, host, address = ends.outside.scheme("http").encode("ascii"), ends.outside.authority, str(client).encode()
    quoted = b'"[%s]"' % address if b":" in address else address
    return [
        (b"Forwarded", b'for=%s;host="%s";proto=%s' % (quoted, host, scheme)),
        (b"X-Forwarded-For", address),
        (b"X-Forwarded-Host", host),
        (b"X-Forwarded-Proto", scheme),
    ]


def asking_for_plain(headers: Iterable[Header]) -> list[Header]:
    """The fields of a request whose answer is to be read: no part of it, and not compressed."""
    return [*without(headers, _CONDITIONS), (b"Accept-Encoding", b"identity")]


async def response_fields(response: Response, ends: Ends, mapper: Mapper) -> list[Header]:
    """The fields of a response as the client shall see them."""
    fields: list[Header] = []
    for name, value in response.headers:
        lower = name.lower()
        if lower in _OUTWARD:
            value = await mapper.value(value, ends, name.decode("ascii"), _of_http(find_places(value)))
        elif lower in (b"link", b"refresh"):
            value = await mapper.value(value, ends, name.decode("ascii"), _of_http(_inner_places(lower, value)))
        elif lower == b"set-cookie":
            value = _cookie(value, ends)
        elif lower == b"alt-svc":
            continue  # other ways to the server (RFC 7838), past us
        fields.append((name, value))
    return fields


def of_rewritten(headers: Iterable[Header]) -> tuple[Header, ...]:
    """The fields of a message whose body was read and written anew."""
    return without(headers, _NOT_OF_REWRITTEN)


def _of_http(places: Iterable[Place]) -> list[Place]:
    """Those that lead to HTTP: where a redirect goes, often its client has said, and that may not open a way past us."""
    return [place for place in places if place.scheme not in OPAQUE]


def _inner_places(name: bytes, value: bytes) -> Iterator[Place]:
    """The places in `Link: <URL>; …, <URL>` (RFC 8288) and in `Refresh: 5; url=URL`."""
    found = _LINK.finditer(value) if name == b"link" else [each for each in [_REFRESH.fullmatch(value)] if each]
    for match in found:
        for place in find_places(match[1]):
            yield place.moved(match.start(1) + place.start, match.start(1) + place.end)


def _cookie(value: bytes, ends: Ends) -> bytes:
    """A cookie without a `Domain` that means the server: then it is for the host that the client knows (RFC 6265)."""
    match = _DOMAIN.search(value)
    if match is None:
        return value
    domain = match[1].lower().lstrip(b".").decode("latin-1")
    covers = any(host == domain or host.endswith("." + domain) for host in (ends.inside.host, ends.name or ""))
    return value[: match.start()] + value[match.end() :] if covers and domain else value

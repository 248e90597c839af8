"""Places in a JSON text (RFC 8259), found without parsing it into values, so that all else can pass byte for byte.

Here is a strict scanner: what it takes, every parser takes, and reads the same. Nothing is written here, and what a place
may be replaced by is not known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from alg.plugin import ProtocolError
from alg_http.places import Place, find_places, pieces_between, relocate

DEPTH_LIMIT = 64

_SPACE = rb"[ \t\n\r]*+"
# RFC 8259 section 7. Of surrogates there must be a pair: what is read from a lone one depends on the parser (8.2).
_ESCAPE = (
    rb"\\(?:[\"\\/bfnrt]|u(?:[0-9A-Ca-cE-Fe-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2}"
    rb"|[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}))"
)
_STRING = rb"\"[^\"\\\x00-\x1f]*+(?:" + _ESCAPE + rb"[^\"\\\x00-\x1f]*+)*+\""
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"  # section 6
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)"

_ANY_SPACE = re.compile(_SPACE, re.ASCII)
_ANY_SCALAR = re.compile(_SCALAR, re.ASCII)
_ANY_ESCAPE = re.compile(_ESCAPE, re.ASCII)
_OPENING = re.compile(rb"[{\[]" + _SPACE + rb"([}\]])?", re.ASCII)
_NAME = re.compile(rb"\"(" + _STRING[2:-2] + rb")\"" + _SPACE + rb":" + _SPACE, re.ASCII)
_AFTER_MEMBER = re.compile(_SPACE + rb"(?:," + _SPACE + rb"|(\}))", re.ASCII)
_AFTER_ELEMENT = re.compile(_SPACE + rb"(?:," + _SPACE + rb"|(\]))", re.ASCII)
# Elements in which nothing is to be found, in one step: scalars, and what is nested no deeper than one level.
_COMMA = _SPACE + rb"," + _SPACE
_FLAT = (
    rb"(?:" + _SCALAR + rb"|\{" + _SPACE + rb"\}"
    rb"|\[" + _SPACE + rb"(?:" + _SCALAR + rb"(?:" + _COMMA + _SCALAR + rb")*+)?+" + _SPACE + rb"\])"
)
_FLAT_ELEMENTS = re.compile(rb"(?:" + _FLAT + _COMMA + rb")*+(?:" + _FLAT + _SPACE + rb"(\]))?", re.ASCII)

_Path = tuple[bytes, ...]


def json_places(body: bytes, members: Sequence[str]) -> list[Place]:
    """Find the places in the values of these members of a JSON text, in order.

    A member is a name, which is looked for at any depth (`webSocketDebuggerUrl`), or a path from the root with dots
    between the names (`nodes.*.http.publish_address`), in which `*` is any member and any element of an array. Its value
    counts if it is a string, or an array with strings in it, at any depth of arrays; one that is neither is passed over.
    Of a name that an object has twice, both values count.

    Raises:
        ProtocolError: the body is no JSON text in UTF-8 (`bad_json`), or is nested more than 64 deep (`json_too_deep`).
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(error.start) from None
    return _Scanner(body, members).scan()


def _malformed(position: int) -> ProtocolError:
    return ProtocolError(f"the body is no JSON text, from byte {position} on", reason="bad_json")


class _Scanner:
    """One pass over one text. Each method takes the position where something begins, and returns where it ends."""

    def __init__(self, body: bytes, members: Sequence[str]) -> None:
        self._body = body
        self._names = frozenset(member.encode() for member in members if "." not in member)
        self._paths = tuple(tuple(member.encode().split(b".")) for member in members if "." in member)
        self._found: list[Place] = []

    def scan(self) -> list[Place]:
        """Scan the whole text."""
        start = 3 if self._body.startswith(b"\xef\xbb\xbf") else 0  # a reader may ignore the mark (section 8.1)
        end = self._value(self._match(_ANY_SPACE, start).end(), self._paths, wanted=False, depth=0)
        end = self._match(_ANY_SPACE, end).end()
        if end != len(self._body):
            raise _malformed(end)
        return self._found

    def _match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes]:
        match = pattern.match(self._body, position)
        if match is None:
            raise _malformed(position)
        return match

    def _value(self, start: int, paths: tuple[_Path, ...], *, wanted: bool, depth: int) -> int:
        """Scan a value. The paths are what is left of them below it; its own string counts if it is wanted."""
        first = self._body[start : start + 1]
        if first in (b"{", b"["):
            if depth == DEPTH_LIMIT:
                raise ProtocolError(f"the JSON text is nested more than {DEPTH_LIMIT} deep", reason="json_too_deep")
            if first == b"{":
                return self._object(start, paths, depth + 1)
            return self._array(start, paths, depth + 1, wanted=wanted)
        end = self._match(_ANY_SCALAR, start).end()
        if wanted and first == b'"':
            self._search(start + 1, end - 1)
        return end

    def _object(self, start: int, paths: tuple[_Path, ...], depth: int) -> int:
        opening = self._match(_OPENING, start)
        end = opening.end()
        if opening[1] == b"]":
            raise _malformed(end - 1)
        closed = opening[1] is not None
        while not closed:
            name = self._match(_NAME, end)
            wanted, below = self._step(name[1], paths)
            after = self._match(_AFTER_MEMBER, self._value(name.end(), below, wanted=wanted, depth=depth))
            closed, end = after[1] is not None, after.end()
        return end

    def _array(self, start: int, paths: tuple[_Path, ...], depth: int, *, wanted: bool) -> int:
        opening = self._match(_OPENING, start)
        end = opening.end()
        if opening[1] == b"}":
            raise _malformed(end - 1)
        closed = opening[1] is not None
        below = tuple(path[1:] for path in paths if path[:1] == (b"*",))
        wanted = wanted or () in below
        while not closed:
            if not wanted and not below and depth < DEPTH_LIMIT:
                flat = self._match(_FLAT_ELEMENTS, end)
                end = flat.end()
                if flat[1]:
                    break
            after = self._match(_AFTER_ELEMENT, self._value(end, below, wanted=wanted, depth=depth))
            closed, end = after[1] is not None, after.end()
        return end

    def _step(self, name: bytes, paths: tuple[_Path, ...]) -> tuple[bool, tuple[_Path, ...]]:
        """Whether the value of a member is wanted, and what is left of the paths below it."""
        if b"\\" in name:
            name = _decode(name)
        below = tuple(path[1:] for path in paths if path[:1] in ((b"*",), (name,))) if paths else paths
        return name in self._names or () in below, below

    def _search(self, start: int, end: int) -> None:
        """Look for places in the string between these positions, of which the quotation marks are not a part."""
        text = self._body[start:end]
        if b"\\" not in text:
            self._found += (place.moved(start + place.start, start + place.end) for place in find_places(text))
        elif found := find_places(_decode(text)):
            self._found += relocate(found, pieces_between(start, end, _escapes(self._body, start, end)))


def _decode(text: bytes) -> bytes:
    """What a string means, in UTF-8. The scanner has seen that it is well-formed."""
    return str(json.loads(b'"%s"' % text)).encode()


def _escapes(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The escapes in a string: start, end, and how many bytes of UTF-8 they mean."""
    for escape in _ANY_ESCAPE.finditer(body, start, end):
        yield *escape.span(), 1 if len(escape[0]) == 2 else len(_decode(escape[0]))

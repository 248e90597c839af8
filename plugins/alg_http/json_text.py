"""Places in JSON: in the strings of declared members, found without changing a byte of the rest. A strict scanner (RFC 8259)
of our own, since a parser would lose how things were written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from json.decoder import scanstring  # type: ignore[attr-defined] # what `json` itself scans with

from alg.plugin import ProtocolError
from alg_http.places import Place, find_places

DEPTH = 64
_INDEX = "*"
"""Stands for any index in the path to a value."""
_BLANK = re.compile(r"[ \t\n\r]*", re.ASCII)
_SCALAR = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![0-9A-Za-z.+-])", re.ASCII
)
_CLOSERS = {"{": "}", "[": "]"}
_UNIT = re.compile(
    r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\])", re.DOTALL
)
"""What stands for one character within quotes."""
_BOM = "\ufeff"


def json_places(body: bytes, members: Sequence[str]) -> list[Place]:
    """Find the places in the values of members: in strings, and in arrays of strings.

    A member is a name, which may be at any depth, or a dotted path from the top in which `*` stands for any name or index.

    Raises:
        ProtocolError: the body is no JSON in UTF-8 (`bad_json`), or deeper than `DEPTH` (`json_too_deep`).
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("is not UTF-8") from None
    places = list(_Scanner(text, members).places())
    return places if len(text) == len(body) else list(_in_bytes(text, places))


def _bad(what: str) -> ProtocolError:
    return ProtocolError(f"what should be JSON {what}", reason="bad_json")


class _Scanner:
    """One pass over a text, with the path to where it is; no recursion, whatever a peer nests."""

    def __init__(self, text: str, members: Sequence[str]) -> None:
        self._text = text
        self._names = frozenset(member for member in members if "." not in member)
        self._paths = [member.split(".") for member in members if "." in member]
        self._path: list[str] = []
        self._closers: list[str] = []
        """What is open, by what closes it."""
        self._found: list[tuple[int, int, str]] = []
        """The strings of wanted members: where they begin and end, without their quotes, and what they say."""

    def places(self) -> Iterator[Place]:
        """Scan all; return the places, in order, by offsets in the text."""
        at = self._skip(len(_BOM) if self._text.startswith(_BOM) else 0)
        complete = False
        while not complete:
            at, is_value = self._begin(at)
            if is_value:
                at, complete = self._end(at)
        if at != len(self._text):
            raise _bad("goes on behind its end")
        for start, end, said in self._found:
            for place in find_places(said.encode("utf-8", "replace")):
                yield self._located(place, start, end, said)

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        assert match is not None, "no blank is a match too"
        return match.end()

    def _begin(self, at: int) -> tuple[int, bool]:
        """Scan a string, number or word, or the beginning of what holds others; return whether a value is complete."""
        char = self._text[at : at + 1]
        if char == '"':
            start = at + 1
            said, at = self._string(at)
            if self._is_wanted():
                self._found.append((start, at - 1, said))
            return self._skip(at), True
        if char not in _CLOSERS:
            match = _SCALAR.match(self._text, at)
            if match is None:
                raise _bad("has something that is no value")
            return self._skip(match.end()), True
        closer = _CLOSERS[char]
        at = self._skip(at + 1)
        if self._text.startswith(closer, at):
            return self._skip(at + 1), True
        if len(self._closers) >= DEPTH:
            raise ProtocolError(f"JSON is nested deeper than {DEPTH}", reason="json_too_deep")
        self._closers.append(closer)
        self._path.append(_INDEX)
        return (self._name(at) if closer == "}" else at), False

    def _end(self, at: int) -> tuple[int, bool]:
        """Behind a value: a comma, or the end of what is around it; return whether all is complete."""
        while self._closers:
            if self._text.startswith(",", at):
                at = self._skip(at + 1)
                return (self._name(at) if self._closers[-1] == "}" else at), False
            if not self._text.startswith(self._closers[-1], at):
                raise _bad(f"has no comma and no {self._closers[-1]} where one belongs")
            self._closers.pop()
            self._path.pop()
            at = self._skip(at + 1)
        return at, True

    def _name(self, at: int) -> int:
        """Scan the name of a member, and the colon behind it."""
        if not self._text.startswith('"', at):
            raise _bad("has a member without a name")
        self._path[-1], at = self._string(at)
        at = self._skip(at)
        if not self._text.startswith(":", at):
            raise _bad("has a member without a colon")
        return self._skip(at + 1)

    def _string(self, at: int) -> tuple[str, int]:
        try:
            said, end = scanstring(self._text, at + 1, True)
        except ValueError:
            raise _bad("has a broken string") from None
        return said, end

    def _is_wanted(self) -> bool:
        """Whether the value here, or the array that it is in, is that of a declared member."""
        path = self._path
        around = path[:-1] if path and self._closers[-1] == "]" else path
        if around and around[-1] in self._names:
            return True
        return any(_fits(pattern, each) for pattern in self._paths for each in (path, around))

    def _located(self, place: Place, start: int, end: int, said: str) -> Place:
        """A place within a string, by its offsets in the whole text as it was written."""
        if end - start == len(said) and said.isascii():  # no escapes
            first, last = start + place.start, start + place.end
        else:
            # Where each byte of what is said was written; what is of use is ASCII, but not all that stands before it.
            units = [match.span() for match in _UNIT.finditer(self._text, start, end)]
            offsets = [0, *accumulate(len(char.encode("utf-8", "replace")) for char in said)]
            first = units[bisect_right(offsets, place.start) - 1][0]
            last = units[bisect_right(offsets, place.end - 1) - 1][1]
        return replace(place, start=first, end=last)


def _in_bytes(text: str, places: Iterable[Place]) -> Iterator[Place]:
    """The same places, in order, by offsets in UTF-8."""
    chars = octets = 0
    for place in places:
        octets += len(text[chars : place.start].encode("utf-8"))
        chars, length = place.end, len(text[place.start : place.end].encode("utf-8"))
        yield replace(place, start=octets, end=octets + length)
        octets += length


def _fits(pattern: Sequence[str], path: Sequence[str]) -> bool:
    return len(pattern) == len(path) and all(wanted in ("*", name) for wanted, name in zip(pattern, path, strict=True))

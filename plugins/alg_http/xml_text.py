"""Places in XML: in the text of declared elements, found without changing a byte of the rest. What is parsed by expat is only
where they stand; DOCTYPE is refused, and with it all that entities can do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.parsers import expat

from alg.plugin import ProtocolError
from alg_http.places import Place, find_places

DEPTH = 64
_SEPARATOR = "\x1f"  # between namespace and local name; no name holds it
_DECLARED = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*<\?xml[^>]*?encoding[ \t\r\n]*=[ \t\r\n]*[\"']([A-Za-z0-9._-]+)[\"']"
)
_ENCODINGS = (b"utf-8", b"us-ascii", b"ascii")
_CDATA = b"<![CDATA["


def xml_places(body: bytes, elements: Sequence[str]) -> list[Place]:
    """Find the places in the text of elements with these local names, whatever their namespace.

    Raises:
        ProtocolError: the body is no XML in UTF-8 (`bad_xml`), has a DOCTYPE (`xml_doctype`), or is nested deeper than
            `DEPTH` (`xml_too_deep`).
    """
    declared = _DECLARED.match(body)
    if declared is not None and declared[1].lower() not in _ENCODINGS:
        raise ProtocolError("the XML is not in UTF-8", reason="bad_xml")
    return _Finder(body, frozenset(elements)).places()


class _Finder:
    """One pass over a document."""

    def __init__(self, body: bytes, elements: frozenset[str]) -> None:
        self._body = body
        self._elements = elements
        self._open: list[bool] = []
        """Of each element that is open, whether it is wanted."""
        self._text_from: int | None = None
        """Where the text of a wanted element began that is being read."""
        self._spans: list[tuple[int, int]] = []
        self._parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = False
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.CommentHandler = self._break
        self._parser.ProcessingInstructionHandler = self._break
        self._parser.StartCdataSectionHandler = self._break
        self._parser.EndCdataSectionHandler = self._break
        self._parser.StartDoctypeDeclHandler = self._doctype

    def places(self) -> list[Place]:
        """Parse, and return what was found."""
        try:
            self._parser.Parse(self._body, True)
        except expat.ExpatError as error:
            raise ProtocolError(
                f"what should be XML is none: {expat.ErrorString(error.code)}", reason="bad_xml"
            ) from None
        found = [place.moved(start) for start, end in self._spans for place in find_places(self._body[start:end])]
        return sorted(found, key=lambda place: place.start)

    def _start(self, name: str, _: object) -> None:
        self._break()
        if len(self._open) >= DEPTH:
            raise ProtocolError(f"XML is nested deeper than {DEPTH}", reason="xml_too_deep")
        self._open.append(name.rpartition(_SEPARATOR)[2] in self._elements)

    def _end(self, _: str) -> None:
        self._break()
        self._open.pop()

    def _text(self, _: str) -> None:
        if self._open[-1] and self._text_from is None:
            self._text_from = self._parser.CurrentByteIndex

    def _break(self, *_: object) -> None:
        """The text ends here: something else begins."""
        if self._text_from is not None:
            self._spans.append((self._text_from, self._parser.CurrentByteIndex))
            self._text_from = None

    def _doctype(self, *_: object) -> None:
        raise ProtocolError("the XML has a DOCTYPE, which is not taken", reason="xml_doctype")

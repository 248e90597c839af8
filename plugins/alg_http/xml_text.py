"""Places in an XML text, found by expat without building a tree, so that all else can pass byte for byte.

No document type is let in, so there are no entities but the five of XML itself. Nothing is written here, and what a
place may be replaced by is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.parsers.expat import ExpatError, ParserCreate

from alg.plugin import ProtocolError
from alg_http.places import Piece, Place, find_places, relocate

DEPTH_LIMIT = 64

_ENCODINGS = frozenset((None, "utf-8", "utf8", "us-ascii", "ascii"))
# Between a namespace and a local name; neither holds one, as attributes are normalised (XML 1.0 section 3.3.3).
_SEPARATOR = "\n"


def xml_places(body: bytes, elements: Sequence[str]) -> list[Place]:
    """Find the places in the text of the elements with these local names, whatever their namespace, in order.

    The text is what stands between two tags, in CDATA sections too; that of an element inside does not count for the
    outer one. An address with a comment or the border of a CDATA section inside is not found.

    Raises:
        ProtocolError: the body is no well-formed XML in UTF-8 or ASCII (`bad_xml`), has a document type
            (`xml_doctype`), or is nested more than 64 deep (`xml_too_deep`).
    """
    if b"\0" in body:  # as it is in UTF-16, which expat would detect and read
        raise _malformed("there is a NUL byte")
    reader = _Reader(body, elements)
    try:
        reader.read()
    except ExpatError as error:
        raise _malformed(f"line {error.lineno}") from None
    return reader.found


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(f"the body is no well-formed XML in UTF-8: {what}", reason="bad_xml")


class _Reader:
    """One pass over one text: what expat reports, with the bytes that it was read from."""

    def __init__(self, body: bytes, elements: Sequence[str]) -> None:
        self.found: list[Place] = []
        self._body = body
        self._elements = frozenset(elements)
        self._parser = ParserCreate("utf-8", _SEPARATOR)
        self._wanted: list[bool] = []  # of each open element
        self._in_cdata = False
        self._text: list[bytes] = []
        self._pieces: list[Piece] = []

    def read(self) -> None:
        """Read the whole text."""
        parser = self._parser
        parser.buffer_text = False  # each report is of bytes that adjoin
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartCdataSectionHandler = self._start_cdata
        parser.EndCdataSectionHandler = self._end_cdata
        try:
            parser.Parse(self._body, True)
        finally:
            del self._parser  # it holds us: so nothing waits for the garbage collector

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        """Refuse a text that says it is in another encoding than it is read in."""
        if (encoding and encoding.lower()) not in _ENCODINGS:
            raise _malformed("it declares another encoding")

    def _doctype(self, _name: str, _system: str | None, _public: str | None, _internal: int) -> None:
        """Refuse what could define entities, without a bound to what they expand to."""
        raise ProtocolError("the XML text has a document type", reason="xml_doctype")

    def _start(self, name: str, _attributes: list[str]) -> None:
        self._search()
        if len(self._wanted) == DEPTH_LIMIT:
            raise ProtocolError(f"the XML text is nested more than {DEPTH_LIMIT} deep", reason="xml_too_deep")
        self._wanted.append(name.rpartition(_SEPARATOR)[2] in self._elements)

    def _end(self, _name: str) -> None:
        self._search()
        self._wanted.pop()

    def _start_cdata(self) -> None:
        self._in_cdata = True

    def _end_cdata(self) -> None:
        self._in_cdata = False

    def _characters(self, text: str) -> None:
        """Note a stretch of text: one reference, one line end, or characters that stand for themselves."""
        if not self._wanted[-1]:
            return
        data = text.encode()
        start = self._parser.CurrentByteIndex
        if self._body.startswith(b"&", start) and not self._in_cdata:
            end = self._body.index(b";", start) + 1
        elif self._body.startswith(b"\r\n", start):  # one character (XML 1.0 section 2.11)
            end = start + 2
        else:
            end = start + len(data)
        self._text.append(data)
        self._pieces.append((len(data), start, end))

    def _search(self) -> None:
        """Look for places in the text since the last tag."""
        if self._text:
            self.found += relocate(find_places(b"".join(self._text)), self._pieces)
            self._text.clear()
            self._pieces.clear()

"""Places in XML: found whatever the spelling, all else untouched, and no entities (T92, T93)."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from alg_http.places import find_places, replace
from alg_http.xml_text import DEPTH_LIMIT, xml_places
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import ProtocolError


def spans(body: bytes, *elements: str) -> list[bytes]:
    """The bytes of the places."""
    return [body[place.start : place.end] for place in xml_places(body, elements)]


def verdict(body: bytes, elements: Sequence[str] = ("u",)) -> str:
    """The reason for which a body is refused; empty if it is not."""
    try:
        xml_places(body, elements)
    except ProtocolError as error:
        assert str(error).isascii()
        assert len(str(error)) < 200
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        # elements
        (b"<u>http://a:1/x</u>", [b"http://a:1"]),
        (b'<e:u xmlns:e="n">a:1</e:u>', [b"a:1"]),
        (b'<r xmlns="n"><u a="x:1">a:1</u><v>x:1</v><U>x:1</U><uu>x:1</uu></r>', [b"a:1"]),
        (b'<d:u xmlns:d="http://www.onvif.org/ver10/schema u">\n http://a/1 http://b/2 \n</d:u>', [b"http://a", b"http://b"]),
        (b"<r>x:1<u/>x:1<u></u>x:1<u> </u>x:1</r>", []),
        # direct text only, between two tags
        (b"<u>http://a<v>x:1</v>http://b<v/>http://c</u>", [b"http://a", b"http://b", b"http://c"]),
        (b"<u>http://a<u>b:1</u>http://c</u>", [b"http://a", b"b:1", b"http://c"]),
        (b"<u>a:1<v/>2</u>", [b"a:1"]),
        # spellings
        (b"<u>http://a/?x&amp;y&lt;&#9786; http://b?&amp;ws=c:1&amp;z</u>", [b"http://a", b"http://b", b"c:1"]),
        (b"<u>http&#58;//10.0.0&#x2E;5/</u>", [b"http&#58;//10.0.0&#x2E;5"]),
        (b"<u>&#104;ttp://&#97;</u>", [b"&#104;ttp://&#97;"]),
        (b"<u>http://a\r\nhttp://b\rhttp://c\nhttp://d&#13;\r\n</u>", [b"http://a", b"http://b", b"http://c", b"http://d"]),
        (b"<u>\xc3\xa9\xf0\x9f\x98\x80 http://a/\xc3\xa9 http://b</u>", [b"http://a", b"http://b"]),
        (b"\xef\xbb\xbf<u>a:1</u>", [b"a:1"]),
        (b"<?xml version='1.0'?><u>a:1</u>\n<!-- -->", [b"a:1"]),
        (b"<?xml version='1.0' encoding='UTF-8' standalone='yes'?><u>a:1</u>", [b"a:1"]),
        (b"<?xml version='1.0' encoding='us-ascii'?><u>a:1</u>", [b"a:1"]),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='utf8'?>\r\n<u>a:1</u>", [b"a:1"]),
        # CDATA, comments, instructions
        (b"<u><![CDATA[http://a/?x&y&amp;z http://b]]></u>", [b"http://a", b"http://b"]),
        (b"<u><![CDATA[http://a]]>/x<![CDATA[\r\nhttp://b&#58;1\r\n]]>http://c</u>", [b"http://a", b"http://c"]),
        (b"<u><![CDATA[a]]>:1</u>", []),
        (b"<u>http://a<!-- -->/ http://b</u>", [b"http://a", b"http://b"]),
        (b"<u>http://a<!-- -->b http://c<?x?>d http://e</u>", [b"http://e"]),
        (b"<u><!-- x:1 -->a:1<?x x:1?></u>", [b"a:1"]),
    ],
)  # fmt: skip
def test_elements_are_found(body: bytes, found: list[bytes]) -> None:
    """By local names; the spans are those of the raw bytes."""
    assert spans(body, "u") == found


def test_there_may_be_several_names() -> None:
    """And there may be none."""
    body = b"<r><XAddrs>http://a</XAddrs><Uri>rtsp://b:554/x</Uri><Address>c:1</Address></r>"
    assert spans(body, "XAddrs", "Uri", "Address") == [b"http://a", b"rtsp://b:554", b"c:1"]
    assert spans(body) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"x", b"<", b"<u>", b"</u>", b"<u></v>", b"<u><v></u></v>", b"<u/><u/>", b"<u/>x", b"x<u/>"),
        *(b"<u>&</u>", b"<u>&amp</u>", b"<u>&x;</u>", b"<u>&#0;</u>", b"<u>&#xD800;</u>", b"<u>]]></u>", b"<u><![CDATA[</u>"),
        *(b"<u a=1/>", b"<u a='1' a='2'/>", b"<u a='<'/>", b"<1/>", b"<e:u/>", b"<u>\0</u>", b"<u>\x01</u>", b"<u><!-- -- --></u>"),
        *(b"<u>\xff</u>", b"<u>\xc3</u>", b"<u>\xed\xa0\x80</u>", b"<u>\xef\xbf\xbf</u>", b" <?xml version='1.0'?><u/>"),
        *("<u/>".encode("utf-16"), "<u/>".encode("utf-16-le"), "<?xml version='1.0' encoding='utf-16'?><u/>".encode("utf-16")),
        *(b"<?xml version='1.0' encoding='iso-8859-1'?><u/>", b"<?xml version='1.0' encoding='utf-16'?><u/>"),
        *(b"<?xml version='1.0' encoding='utf-7'?><u/>", b"<?xml version='1.0' encoding='x'?><u/>", b"<?xml?><u/>"),
    ],
)  # fmt: skip
def test_what_is_no_xml_is_refused(body: bytes) -> None:
    """Not well-formed, or in another encoding."""
    assert verdict(body) == "bad_xml"


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE u><u/>",
        b'<!DOCTYPE u SYSTEM "http://a/x.dtd"><u/>',
        b'<!DOCTYPE u [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><u>&b;</u>',
        b'<?xml version="1.0"?><!DOCTYPE u [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><u/>',
    ],
)
def test_a_document_type_is_refused(body: bytes) -> None:
    """T92: no entity is defined, so none expands."""
    assert verdict(body) == "xml_doctype"


def test_depth_is_limited() -> None:
    """At the limit, and one above."""
    assert verdict(b"<u>" * DEPTH_LIMIT + b"</u>" * DEPTH_LIMIT) == ""
    assert verdict(b"<u>" * (DEPTH_LIMIT + 1) + b"</u>" * (DEPTH_LIMIT + 1)) == "xml_too_deep"


def test_positions_are_right_beyond_a_megabyte() -> None:
    """Python hands expat 1 MiB at a time."""
    for length in range(2**20 - 20, 2**20 + 2):
        body = b"<u>" + b" " * (length - 3) + "\r\n\u00e9&amp;\r\n http://a:1/".encode() + b"</u>"
        assert spans(body, "u") == [b"http://a:1"]


TEXTS = st.sampled_from(
    [
        *("a:1", "http://10.0.0.5/onvif?a&b=<", " http://a/\u00e9 http://[::1]:80/\U0001f600\n", "node/10.0.0.5:9200"),
        *("x", "", "\n", "\r", "\t]]>", "/x?a&ws=127.0.0.1%3A9222&y", "rtsp://u:p@a:554/&amp;"),
    ]
)
NAMES = st.sampled_from(["u", "v", "p:u", "p:v", "q:u"])
Tree = tuple[str, str, list[tuple["Tree", str]]]
CHILDLESS: st.SearchStrategy[Tree] = st.tuples(NAMES, TEXTS, st.builds(list[tuple[Tree, str]]))
TREES: st.SearchStrategy[Tree] = st.recursive(
    CHILDLESS,
    lambda inner: st.tuples(NAMES, TEXTS, st.lists(st.tuples(inner, TEXTS), max_size=3)),
    max_leaves=10,
)
NAMED = {
    "&": ["&amp;"],
    "<": ["&lt;"],
    ">": ["&gt;"],
    '"': ['"', "&quot;"],
    "'": ["'", "&apos;"],
    "\r": ["&#13;", "&#xD;"],
}


def written(tree: Tree, choose: random.Random) -> str:
    """The tree as XML, in one of its spellings."""

    def text(value: str) -> str:
        if choose.random() < 0.3 and "]]>" not in value and "\r" not in value:
            return f"<![CDATA[{value}]]>"
        return "".join(character(each) for each in value) + choose.choice(["", "", "<!-- x:1 -->", "<?p x:1?>"])

    def character(each: str) -> str:
        plain = NAMED.get(each, [each, each, each, each] + (["\r\n", "\r"] if each == "\n" else []))
        return choose.choice([*plain, *plain, f"&#{ord(each)};", f"&#x{ord(each):x};"])

    def element(each: Tree) -> str:
        name, inner, children = each
        rest = "".join(element(child) + text(tail) for child, tail in children)
        return f"<{name} a='x:1' xmlns:q='urn:q'>{text(inner)}{rest}</{name}>"

    return f"<p:r xmlns:p='urn:p'>{element(tree)}</p:r>"


def seen(body: bytes) -> list[tuple[str, str, str]]:
    """Every element, its text, and the text behind it."""
    return [(each.tag, each.text or "", each.tail or "") for each in ET.fromstring(body).iter()]


def mapped(body: bytes, elements: Sequence[str]) -> list[tuple[str, str, str]]:
    """What should come of the text: said once more, over a tree."""

    def new(text: str | None, element: ET.Element) -> str:
        value = (text or "").encode()
        if element.tag.rpartition("}")[2] not in elements:
            return value.decode()
        return replace(value, [(place, b"new:7") for place in find_places(value)]).decode()

    root = ET.fromstring(body)
    parents = {child: parent for parent in root.iter() for child in parent}
    return [(each.tag, new(each.text, each), new(each.tail, parents.get(each, root))) for each in root.iter()]


@given(TREES, st.lists(st.sampled_from(["u", "v"]), max_size=2), st.randoms(use_true_random=False))
def test_only_the_places_change(tree: Tree, elements: list[str], choose: random.Random) -> None:
    """For every tree, in every spelling, and every set of names."""
    body = choose.choice(["", "", "\ufeff", '<?xml version="1.0" encoding="UTF-8"?>\n']).encode()
    body += written(tree, choose).encode()
    places = xml_places(body, elements)
    assert replace(body, [(place, body[place.start : place.end]) for place in places]) == body
    assert seen(replace(body, [(place, b"new:7") for place in places])) == mapped(body, elements)


def is_xml(body: bytes) -> bool:
    """Whether Python's parser takes the body."""
    try:
        ET.fromstring(body)
    except ET.ParseError:
        return False
    return True


SCRAPS = st.sampled_from(
    [
        *(
            "<",
            ">",
            "/",
            "<u>",
            "</u>",
            "<u/>",
            "&",
            "&amp;",
            "&#58;",
            ";",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<?p",
            "?>",
        ),
        *("xmlns:p='x'", "p:", "a='1'", " ", "\r\n", "http://a:1", "\u00e9", "\x00", "\x01", "\ufffe", "'", "="),
    ]
)


@given(TREES, st.randoms(use_true_random=False), st.integers(0, 10**6), st.integers(0, 3), SCRAPS)
def test_the_verdict_on_what_is_almost_xml(
    tree: Tree, choose: random.Random, position: int, length: int, scrap: str
) -> None:
    """A text that was hit somewhere."""
    body = written(tree, choose).encode()
    start = position % (len(body) + 1)
    hit = body[:start] + scrap.encode() + body[start + length :]
    assert verdict(hit) == ("" if is_xml(hit) else "bad_xml")
    if is_xml(hit):
        assert is_xml(replace(hit, [(place, b"new:7") for place in xml_places(hit, ["u"])]))


@given(st.binary(max_size=60) | st.lists(SCRAPS, max_size=10).map(lambda scraps: "".join(scraps).encode()))
def test_any_bytes(body: bytes) -> None:
    """Nothing but a ProtocolError comes of them."""
    for text in (body, b"<u>" + body + b"</u>"):
        assert verdict(text) in ("", "bad_xml", "xml_doctype")


SIZE = 2**18


@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        *((b"", part, b"") for part in (b"<a>", b"<", b"<!--", b"&", b"<a ", b"<![CDATA[", b" ", b"<?x ", b"\xc3\xa9")),
        *((b"<u>", part, b"</u>") for part in (b"<u/>", b"&amp;", b"\r\n", b"\n", b"&#58;", b"<!---->", b"<![CDATA[x]]>", b"x")),
        *((b"<u>", part, b"</u>") for part in (b"<u>a:1</u>", b"http://a ", b"http://&#97; ", b"<a xmlns:b='u'/>", b"&", b"]")),
        *((b"<u a='", part, b"'/>") for part in (b"&amp;", b"x", b"\n")),
    ],
)  # fmt: skip
def test_no_text_takes_long(start: bytes, part: bytes, end: bytes) -> None:
    """T92: 256 KiB of the worst that we could think of; what is not linear would take minutes."""
    body = start + part * (SIZE // len(part)) + end
    before = time.process_time()
    assert verdict(body) in ("", "bad_xml", "xml_too_deep")
    assert time.process_time() - before < 8


def test_many_attributes_take_no_long_time() -> None:
    """T92: nor do those of many namespaces."""
    many = b" ".join(b'xmlns:n%d="u%d" n%d:a=""' % (number, number, number) for number in range(20000))
    before = time.process_time()
    assert verdict(b"<u " + many + b"/>") == ""
    assert time.process_time() - before < 8

"""Places in JSON: found whatever the spelling, all else untouched, and nothing taken that a parser refuses (T92, T93)."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence

import pytest
from alg_http.json_text import DEPTH_LIMIT, json_places
from alg_http.places import find_places, replace
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import ProtocolError


def spans(body: bytes, members: Sequence[str]) -> list[bytes]:
    """The bytes of the places."""
    return [body[place.start : place.end] for place in json_places(body, members)]


def verdict(body: bytes, members: Sequence[str] = ("u",)) -> str:
    """The reason for which a body is refused; empty if it is not."""
    try:
        json_places(body, members)
    except ProtocolError as error:
        assert str(error).isascii()
        assert len(str(error)) < 200
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("body", "members", "found"),
    [
        # names, at any depth
        (b'{"u":"ws://a:1/x"}', ["u"], [b"ws://a:1"]),
        (b'[[{"x":{"u":"a:1"}}],{"u" :\t"b:2","v":"c:3"}]', ["u"], [b"a:1", b"b:2"]),
        (b'{"u":"a:1","u":"b:2"}', ["u"], [b"a:1", b"b:2"]),
        (b'{"se:cdp":"ws://a:1","se":"b:1","cdp":"b:1"}', ["se:cdp"], [b"ws://a:1"]),
        (b'{"\\u0075":"a:1","\\u00FC":"b:1","\xc3\xbc":"c:1"}', ["u", "\u00fc"], [b"a:1", b"b:1", b"c:1"]),
        (b'{"u":"a:1","U":"b:1","uu":"c:1","":"d:1"}', ["v", "w"], []),
        (b'{"*":"a:1","u":"b:1"}', ["*"], [b"a:1"]),
        (b'{"u":"a:1"}', [], []),
        (b'"a:1"', ["u"], []),
        # what counts as a value
        (b'{"u":["a:1",2,"b:2",["c:3"],{"v":"d:4","u":"e:5"},[]]}', ["u"], [b"a:1", b"b:2", b"c:3", b"e:5"]),
        (b'{"u":{"v":"a:1"},"v":1}', ["u", "v"], [b"a:1"]),
        (b'{"u":{"v":"a:1"},"w":null,"u":true,"u":-0.5e+7,"u":{ },"u":[ ]}', ["u"], []),
        (b'{"u":"http://a http://b:1"}', ["u"], [b"http://a", b"http://b:1"]),
        # paths, from the root
        (b'{"a":{"b":"a:1","c":"x:1"},"b":"x:1","x":{"a":{"b":"x:1"}}}', ["a.b"], [b"a:1"]),
        (
            b'{"nodes":{"n1":{"http":{"publish_address":"x/10.0.0.5:9200"}},"n2":{"http":{"publish_address":"b:2"}}}}',
            ["nodes.*.http.publish_address"],
            [b"x/10.0.0.5:9200", b"b:2"],
        ),
        (b'{"a":[{"b":"a:1"},{"b":["b:1"]},[{"b":"x:1"}],7]}', ["a.*.b"], [b"a:1", b"b:1"]),
        (b'{"a":[{"b":"x:1"}]}', ["a.b"], []),
        (b'[["a:1","b:1"],"x:1",[["c:1"]]]', ["*.*"], [b"a:1", b"b:1", b"c:1"]),
        (b'{"a":["a:1"],"b":{"c":"b:1"}}', ["a.*", "b.*", "*.c"], [b"a:1", b"b:1"]),
        (b'{"a":"a:1","b":{"a":"b:1"}}', ["a", "b.a"], [b"a:1", b"b:1"]),
        (b'{"a":{"":"a:1"}}', ["a."], [b"a:1"]),
        (b'{"a":{"b":{"c":"a:1"}}}', ["a.b.c.d", "a.b.c", "a"], [b"a:1"]),
        # spellings
        (b'{"u":"ws:\\/\\/10.0.0.5:9222\\/x"}', ["u"], [b"ws:\\/\\/10.0.0.5:9222"]),
        (b'{"u":"\\n10.0.0.5\\u003a9222\\t"}', ["u"], [b"10.0.0.5\\u003a9222"]),
        (b'{"u":"\\u0061:\\u0031"}', ["u"], [b"\\u0061:\\u0031"]),
        (b'{"u":"http://a/\\ud83d\\uDE00\xf0\x9f\x98\x80\\u20ac\\u00e9 http:\\/\\/b"}', ["u"], [b"http://a", b"http:\\/\\/b"]),
        (b'{"u":"\\"a:1\\\\"}', ["u"], []),
        (b'\xef\xbb\xbf {"u":"a:1"}\r\n', ["u"], [b"a:1"]),
    ],
)  # fmt: skip
def test_members_are_found(body: bytes, members: list[str], found: list[bytes]) -> None:
    """Names at any depth, paths from the root; the spans are those of the raw bytes."""
    assert spans(body, members) == found
    assert json.loads(body.decode("utf-8-sig")) is not None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"\xef\xbb\xbf", b"x", b"nul", b"nulll", b"True", b"NaN", b"Infinity", b"-Infinity", b"undefined"),
        *(b"{", b"[", b"}", b"]", b"{]", b"[}", b"[1", b"[1,", b"[1,]", b"[,]", b"[1 2]", b"[1}", b"[[1]", b"[[1}]"),
        *(b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{"a":1]', b"{,}", b"{a:1}", b"{1:1}", b"{'a':1}"),
        *(b'{"a" 1}', b'{"a":1 "b":2}', b'{"a"::1}', b'{"a":1}}', b"[]]", b"1 2", b"1,", b'""""', b"[] x", b"[]\0", b"[]//"),
        *(b"01", b"-", b"-01", b"+1", b".5", b"1.", b"1.e1", b"1e", b"1e+", b"0x1", b"1_0", "\u0661".encode(), b"[-]", b"[1.]"),
        *(b'"', b'"a', b'"\\"', b'"\\', b'"\\x"', b'"\\u12"', b'"\\u123g"', b'"\\U0041"', b'"\n"', b'"\t"', b'"\0"', b'"\x1f"'),
        *(b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'"\\ud800x"', b'"\\uDFFF\\uD800"', b'{"\\ud800":1}'),
        *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xc3"', b"\xff\xfe[\0]\0", b"[\0]\0", b"\xef\xbb\xbf\xef\xbb\xbf1"),
        *(b"\xa0[]", b"\x0c[]", b"[\x0b]", b"/**/1", b"[1,,2]", b'[["a"],,]', b'{"u":["a:1",,]}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("members", [["u"], ["*.*.x"]])
def test_what_is_no_json_is_refused(body: bytes, members: list[str]) -> None:
    """Everything that one parser takes and another does not."""
    assert verdict(body, members) == "bad_json"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"u":', b"}"), (b'[{"x":[', b"]}]")])
@pytest.mark.parametrize("innermost", [b"1", b"[]", b"{}", b"[1]", b"[1],[],{}"])
def test_depth_is_limited(opening: bytes, closing: bytes, innermost: bytes) -> None:
    """At the limit, and one above, whatever is innermost."""
    levels = len(closing)
    inner = innermost if closing[:1] == b"]" else innermost.split(b",")[0]
    room = DEPTH_LIMIT - (inner != b"1")
    for count in range(room // levels - 1, room // levels + 3):
        text = opening * count + inner + closing * count
        assert verdict(text) == ("json_too_deep" if count * levels > room else ""), count


VALUES = st.sampled_from(
    [
        *(
            "a:1",
            "ws://10.0.0.5:9222/devtools/\u00e9",
            "node/10.0.0.5:9200",
            "http://a,\nhttp://[::1]:8/?ws=b:1",
            "//c/",
        ),
        *("http://a/\U0001f600 https://b:1", "", "x", '"\\/\b\f\n\r\t\u2028', "/x?ws=127.0.0.1%3A9222/y", "\x7f\x00"),
    ]
)
NAMES = st.sampled_from(["u", "v", "n", "se:cdp", "\u00fc", "", "*", "http", '"'])


class Members(list[tuple[str, object]]):
    """The members of an object, with their order and their repetitions."""


SCALARS = st.one_of(VALUES, st.text(max_size=5), st.integers(), st.booleans(), st.none(), st.floats(-1e9, 1e9))
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(st.tuples(NAMES | st.text(max_size=3), inner), max_size=4).map(Members)
    ),
    max_leaves=20,
)
WANTED = st.lists(
    NAMES | st.lists(st.sampled_from(["u", "v", "n", "*", "se:cdp", "http", ""]), min_size=2, max_size=4).map(".".join),
    max_size=3,
)

SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def written(document: object, choose: random.Random) -> str:
    """The document as JSON, in one of its spellings."""

    def space() -> str:
        return choose.choice(["", "", "", " ", "\n\t", "\r\n"])

    def string(text: str) -> str:
        plain = choose.random() < 0.5
        return '"' + "".join(character(each, plain=plain) for each in text) + '"'

    def character(each: str, *, plain: bool) -> str:
        if plain and each not in '"\\' and each >= " ":
            return each
        units = each.encode("utf-16-be").hex()
        escaped = "".join("\\u" + units[start : start + 4] for start in range(0, len(units), 4))
        spellings = [SHORT.get(each, escaped), escaped, "\\u".join(escaped.upper().split("\\U"))]
        return choose.choice([*spellings, *([each] * 3 if each not in '"\\' and each >= " " else [])])

    def value(each: object) -> str:
        if isinstance(each, str):
            return string(each)
        if isinstance(each, Members):
            inner = [space() + string(name) + space() + ":" + space() + value(one) + space() for name, one in each]
            return "{" + (",".join(inner) or space()) + "}"
        if isinstance(each, list):
            return "[" + (",".join(space() + value(one) + space() for one in each) or space()) + "]"
        return json.dumps(each)

    return space() + value(document) + space()


def mapped(document: object, wanted: Sequence[str]) -> object:
    """What should come of the document: said once more, the slow way."""
    names = {name for name in wanted if "." not in name}
    paths = [name.split(".") for name in wanted if "." in name]

    def fits(trail: tuple[str | None, ...]) -> bool:
        """Whether one of the paths leads here; None is an element of an array."""
        return (bool(trail) and trail[-1] in names) or any(
            len(path) == len(trail) and all(part in ("*", step) for part, step in zip(path, trail, strict=True))
            for path in paths
        )

    def walk(each: object, trail: tuple[str | None, ...], *, hit: bool) -> object:
        hit = hit or fits(trail)
        if isinstance(each, str):
            text = each.encode()
            return replace(text, [(place, b"new:7") for place in find_places(text)]).decode() if hit else each
        if isinstance(each, Members):
            return Members((name, walk(one, (*trail, name), hit=False)) for name, one in each)
        if isinstance(each, list):
            return [walk(one, (*trail, None), hit=hit) for one in each]
        return each

    return walk(document, (), hit=False)


@given(DOCUMENTS, WANTED, st.randoms(use_true_random=False))
def test_only_the_places_change(document: object, wanted: list[str], choose: random.Random) -> None:
    """For every document, in every spelling, and every set of members."""
    body = written(document, choose).encode()
    if choose.random() < 0.2:
        body = b"\xef\xbb\xbf" + body
    places = json_places(body, wanted)
    assert replace(body, [(place, body[place.start : place.end]) for place in places]) == body
    changed = replace(body, [(place, b"new:7") for place in places])
    assert json.loads(changed.decode("utf-8-sig"), object_pairs_hook=Members) == mapped(document, wanted)


def is_json(body: bytes) -> bool:
    """Whether Python's parser takes the body; without lone surrogates, and NaN is no `int`."""
    try:
        document = json.loads(
            body.removeprefix(b"\xef\xbb\xbf").decode(), parse_constant=int, object_pairs_hook=Members
        )
        json.dumps(document, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


SCRAPS = st.sampled_from(
    [
        *(
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            '"',
            "\\",
            " ",
            "\n",
            "1",
            "0",
            "-",
            ".",
            "e",
            "E+",
            "\\u",
            "\\ud83d",
            "\\ude00",
        ),
        *("true", "null", "NaN", "false", '""', '"a":', "[]", "{}", "\u00e9", "\x00", "\ufeff", "\u0661", "/", "\x0b"),
    ]
)


@given(st.lists(SCRAPS, max_size=8).map("".join), WANTED)
def test_the_verdict_is_that_of_a_parser(text: str, wanted: list[str]) -> None:
    """On scraps of JSON."""
    assert verdict(text.encode(), wanted) == ("" if is_json(text.encode()) else "bad_json")


@given(DOCUMENTS, st.randoms(use_true_random=False), st.integers(0, 10**6), st.integers(0, 2), SCRAPS)
def test_the_verdict_on_what_is_almost_json(
    document: object, choose: random.Random, position: int, length: int, scrap: str
) -> None:
    """A document that was hit somewhere."""
    body = written(document, choose).encode()
    start = position % (len(body) + 1)
    hit = body[:start] + scrap.encode() + body[start + length :]
    assert verdict(hit, ["u", "*.v"]) == ("" if is_json(hit) else "bad_json")


@given(st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    """Nothing but a ProtocolError comes of them."""
    assert verdict(body) == ("" if is_json(body) else "bad_json")


SIZE = 2**18
WORST = [
    *((b"", part, b"") for part in (b"[", b'"\\', b'"\\\\', b"1", b"-", b"1e", b" ", b'"', b"\\", b'{"":', b"\xc3\xa9")),
    *((b"[", part, b"0]") for part in (b"1,", b"[],", b"[1],", b"{},", b'{"":[0]},', b"[[[[[]]]]],", b" ", b'{"u":"ws:\\/\\/a:1"},')),
    *((b'{"u":"', part, b' a:1"}') for part in (b'\\"', b"\\u003a", b"\\/", b"\\ud83d\\ude00", b"x", b"http://a ", b"&ws=\\u0061")),
    *((b'{"u":[', part, b"0]}") for part in (b'"",', b'"a:1",', b"[],", b"1,")),
    *((b"{", part, b'"":0}') for part in (b'"":0,', b'"\\n":0,', b'"u":"",', b'"":{},')),
    *((b"", part, b"x") for part in (b"[1,", b" ", b"[ ", b'["a"')),
]  # fmt: skip


@pytest.mark.parametrize(("start", "part", "end"), WORST)
def test_no_text_takes_long(start: bytes, part: bytes, end: bytes) -> None:
    """T92: 256 KiB of the worst that we could think of; what is not linear would take minutes."""
    body = start + part * (SIZE // len(part)) + end
    before = time.process_time()
    assert verdict(body, ["u", "nodes.*.http.publish_address", "*.*.x"]) in ("", "bad_json", "json_too_deep")
    assert time.process_time() - before < 8

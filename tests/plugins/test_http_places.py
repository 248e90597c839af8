"""Addresses in a value: exactly what is a place (T93), what it becomes, and no input that makes it slow (T92)."""

from __future__ import annotations

import time

import pytest
from alg_http.places import Place, find_places, pieces_between, relocate, replace
from hypothesis import given
from hypothesis import strategies as st

Found = tuple[bytes, str | None, str, int | None, bool]


def found(value: bytes) -> list[Found]:
    """The places of a value, with their bytes instead of their offsets."""
    return [
        (value[place.start : place.end], place.scheme, place.host, place.port, place.bare)
        for place in find_places(value)
    ]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"http://a", (b"http://a", "http", "a", None, False)),
        (b"HTTPS://A.Example:443/x?y#z", (b"HTTPS://A.Example:443", "https", "a.example", 443, False)),
        (b"ws://10.0.0.5:9222?x", (b"ws://10.0.0.5:9222", "ws", "10.0.0.5", 9222, False)),
        (b"wss://[2001:DB8::1]/", (b"wss://[2001:DB8::1]", "wss", "2001:db8::1", None, False)),
        (b"rtsp://_a-b.c.:554#x", (b"rtsp://_a-b.c.:554", "rtsp", "_a-b.c.", 554, False)),
        (b"rtsps://[::ffff:10.0.0.5]:1", (b"rtsps://[::ffff:10.0.0.5]:1", "rtsps", "::ffff:10.0.0.5", 1, False)),
        (b" \thttp://a:65535\r\n", (b"http://a:65535", "http", "a", 65535, False)),
        (b"//a:1/x", (b"//a:1", "", "a", 1, False)),
        (b"//u@a:1/x", (b"a:1", "", "a", 1, True)),
        (b"rtsp://user:p%40w@10.0.0.5:554/x@y", (b"10.0.0.5:554", "rtsp", "10.0.0.5", 554, True)),
        (b"http://u,$!:@a", (b"a", "http", "a", None, True)),
        (b"http://" + b"a" * 253, (b"http://" + b"a" * 253, "http", "a" * 253, None, False)),
        (b"http://a/x,y;z", (b"http://a", "http", "a", None, False)),
        (b"http://a.0xfg", (b"http://a.0xfg", "http", "a.0xfg", None, False)),
    ],
)
def test_a_url_has_a_place(value: bytes, place: Found) -> None:
    """RFC 3986 section 3.2. Userinfo is not ours: the span begins behind it."""
    assert found(value) == [place]


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (b"http://a/x http://b:1/y", [b"http://a", b"http://b:1"]),
        (b"http://a,http://b", [b"http://a", b"http://b"]),
        (b",http://a/,, ,//b,", [b"http://a", b"//b"]),
        (b"http://a/?q=1,2,http://b", [b"http://a", b"http://b"]),
        (b"\nhttp://a\r\n\thttp://[fe80::1]/\n", [b"http://a", b"http://[fe80::1]"]),
        (b"x http://a y", [b"http://a"]),
        (b"http://a:99999 http://b", [b"http://b"]),
        (b"http://a:1 a:1", [b"http://a:1"]),
    ],
)
def test_urls_stand_between_spaces_or_commas(value: bytes, spans: list[bytes]) -> None:
    """ONVIF's XAddrs is a list with spaces. A comma in a URL is a part of it, unless another URL follows."""
    assert [each[0] for each in found(value)] == spans


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"10.0.0.5:9200", (b"10.0.0.5:9200", None, "10.0.0.5", 9200, True)),
        (b" [2001:db8::A]:9200\n", (b"[2001:db8::A]:9200", None, "2001:db8::a", 9200, True)),
        (b"Host.Name:1", (b"Host.Name:1", None, "host.name", 1, True)),
        (b"node-1/10.0.0.5:9200", (b"node-1/10.0.0.5:9200", None, "10.0.0.5", 9200, True)),
        (b"\tlocalhost/[::1]:9200 ", (b"localhost/[::1]:9200", None, "::1", 9200, True)),
    ],
)
def test_a_whole_value_may_be_an_endpoint(value: bytes, place: Found) -> None:
    """Of Elasticsearch's `name/address:port` the span is the whole."""
    assert found(value) == [place]


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (
            b"/devtools/inspector.html?ws=127.0.0.1:9222/devtools/page/X",
            [(b"127.0.0.1:9222", "ws", "127.0.0.1", 9222, True)],
        ),
        (b"devtools://devtools/x.html?v8only=true&wss=A", [(b"A", "wss", "a", None, True)]),
        (
            b"http://a:1/x?y&ws=b:2#&ws=c:3 http://d",
            [
                (b"http://a:1", "http", "a", 1, False),
                (b"b:2", "ws", "b", 2, True),
                (b"http://d", "http", "d", None, False),
            ],
        ),
        (b"?ws=127.0.0.1%3A9222", [(b"127.0.0.1%3A9222", "ws", "127.0.0.1", 9222, True)]),
        (b"?ws=%31%32%37.0.0.1%3a9%2Fx%41", [(b"%31%32%37.0.0.1%3a9", "ws", "127.0.0.1", 9, True)]),
        (b"?ws=%5B::1%5D:1/%4", [(b"%5B::1%5D:1", "ws", "::1", 1, True)]),
        (b"?ws=u:p@a:1&ws=b", [(b"a:1", "ws", "a", 1, True), (b"b", "ws", "b", None, True)]),
        (b"?x=1,2&ws=a:1", [(b"a:1", "ws", "a", 1, True)]),
    ],
)
def test_a_query_names_endpoints(value: bytes, places: list[Found]) -> None:
    """As Chrome's and Node's inspectors do; the span is of the text as it stands, percent-encoded or not."""
    assert found(value) == places


@pytest.mark.parametrize(
    "value",
    [
        # no URL, no endpoint
        *(b"", b" ", b"a", b"10.0.0.5", b"[::1]", b"/x", b"http:a", b"http:/a", b"ftp://a:21", b"xhttp://a", b"http://"),
        *(b"a:1/x", b"a:1 b:2", b"a:1,b:2", b"x/a:1", b"/10.0.0.5:1", b"x/y/10.0.0.5:1", b"x/10.0.0.256:1", b"x/.......:1", b":1"),
        # ports
        *(b"a:", b"a:0", b"a:01", b"a:+1", b"a:-1", b"a:65536", b"a:100000", b"a:1x", b"a:0x1", "a:\u0661".encode()),
        *(b"http://a:/", b"http://a:0/", b"http://a:080", b"http://a:65536/", b"http://a:1:2", b"http://a: 1"),
        # hosts
        *(b"-a:1", b".a:1", b"a b:1", "\u0430:1".encode(), b"a%41:1", b"a!:1", b"http://a\\b", b"http://a\0", b"http://-"),
        *(b"10.0.0.256:1", b"010.0.0.1:1", b"127.1:1", b"1:2", b"2130706433:1", b"0x7f.1:1", b"10.0.0.5.:1", b"a.0x:1"),
        *(b"[::1:1", b"::1:1", b"[::g]:1", b"[fe80::1%25eth0]:1", b"[fe80::1%eth0]:1", b"[10.0.0.5]:1", b"[]:1", b"[v1.x]:1"),
        *(b"http://[::1]x/", b"http://[::1", b"http://::1/", b"http://a@b@c/", b"http://u@/", b"http://" + b"a" * 254),
        *(b"http://a,b:1/", b"http://a;b/"),
        # queries
        *(b"ws=a:1", b"/x#?ws=a:1", b"?WS=a:1", b"?xws=a:1", b"?ws=", b"?ws", b"?ws=a:0", b"?ws=%", b"?ws=%3A", b"?ws=a%00"),
        *(b"?ws=ws://a:1", b"?a=?ws=a:1", b"?ws=a%3A65536", b"?ws=a%253A1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_no_place(value: bytes) -> None:
    """T93: one grammar, in ASCII; what resolvers read in different ways is not guessed at."""
    assert found(value) == []


TEXTS = st.lists(
    st.sampled_from(
        [
            *(b"http", b"WSS", b"rtsp", b"://", b"//", b"a.b", b"10.0.0.5", b"[::1]", b":", b":9200", b"@", b"/", b"?"),
            *(b"ws=", b"&", b"#", b",", b" ", b"\n", b"%3A", b"%31", b"x", b"\xff", b"0", b"65536", b"%", b"."),
        ]
    ),
    max_size=16,
).map(b"".join)


@given(TEXTS | st.binary(max_size=40))
def test_places_are_in_order_and_can_be_replaced(value: bytes) -> None:
    """Without a change nothing changes; with one, the new endpoints are what is found, and the rest is as it was."""
    places = find_places(value)
    assert replace(value, [(place, value[place.start : place.end]) for place in places]) == value
    assert replace(value, ()) == value
    new = [b"new.example:7" if place.bare else b"%s//new.example:7" % _scheme(place) for place in places]
    changed = [(place.scheme, place.host, place.port, place.bare) for place in find_places(_replaced(value, new))]
    assert changed == [(place.scheme, "new.example", 7, place.bare) for place in places]
    assert _remainders(value) == _remainders(_replaced(value, new))


def _scheme(place: Place) -> bytes:
    return f"{place.scheme}:".encode() if place.scheme else b""


def _replaced(value: bytes, new: list[bytes]) -> bytes:
    return replace(value, zip(find_places(value), new, strict=True))


def _remainders(value: bytes) -> list[bytes]:
    ends = [0, *(offset for place in find_places(value) for offset in (place.start, place.end)), len(value)]
    return [value[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


@pytest.mark.parametrize("spans", [[(2, 1)], [(0, 4)], [(1, 2), (1, 2)], [(1, 3), (2, 3)], [(2, 3), (0, 1)], [(-1, 1)]])
def test_places_that_do_not_follow_each_other_are_refused(spans: list[tuple[int, int]]) -> None:
    """It is the caller's fault."""
    with pytest.raises(ValueError, match="cannot follow"):
        replace(b"abc", [(Place(*span, None, "a", 1), b"x") for span in spans])


def test_places_may_adjoin() -> None:
    """The end of one may be the start of the next."""
    assert replace(b"abc", [(Place(start, start + 1, None, "a", 1), b"xy") for start in range(3)]) == b"xyxyxy"


def test_a_place_is_moved_to_the_raw_text() -> None:
    """Around it, and in it, what was one character may have been several bytes."""
    place = Place(2, 5, None, "a", 1)
    # decoded: e e [h : 1] e; raw: %ee%ee h%3A1 %ee
    pieces = list(pieces_between(10, 23, [(10, 13, 1), (13, 16, 1), (17, 20, 1), (21, 23, 1)]))
    assert pieces == [(1, 10, 13), (1, 13, 16), (1, 16, 17), (1, 17, 20), (1, 20, 21), (1, 21, 23)]
    assert relocate([place], pieces) == [Place(16, 21, None, "a", 1)]


def test_a_place_that_was_in_pieces_is_left_out() -> None:
    """There is something between that must stay."""
    places = [Place(0, 2, None, "a", 1), Place(3, 5, None, "b", 1), Place(6, 8, None, "c", 1)]
    assert relocate(places, [(4, 0, 4), (6, 9, 15)]) == [Place(0, 2, None, "a", 1), Place(11, 13, None, "c", 1)]


SIZE = 2**18


@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        *((b"", part, b"") for part in (b"a", b"1", b"1.", b",", b"a,", b"//", b",//", b" ", b"?", b"&", b"?#", b"%", b"a/")),
        *((b"http://", part, b"") for part in (b"a:1@", b"a=", b"a,", b"@", b"1.", b"[", b":1", b"http://")),
        *((b"?", part, b"") for part in (b"&ws=a", b"&ws=a@", b"&ws=%41", b"%41", b"ws=", b"&")),
        *((b" ", b" ", b"a:1"), (b"", b" ", b"a"), (b"?ws=", b"%41", b""), (b"", b"http://a ", b""), (b"", b"http://a,", b"")),
    ],
)  # fmt: skip
def test_no_text_takes_long(start: bytes, part: bytes, end: bytes) -> None:
    """T92: 256 KiB of the worst that we could think of; what is not linear would take minutes."""
    before = time.process_time()
    find_places(start + part * (SIZE // len(part)) + end)
    assert time.process_time() - before < 8

"""Bodies and messages in which addresses are looked for: coded, in chunks, empty, too long, or not what they say."""

from __future__ import annotations

import gzip
import zlib

import pytest
from alg_http import HttpConfig
from alg_http.rules import Part, Rule

from alg.plugin import Side
from tests.plugins.http_talk import UPGRADE, UPGRADED, Profile, answer, asked, body_of, get, talk

SAID, MEANT = b'{"webSocketDebuggerUrl":"ws://10.77.2.2:8080/"}', b'{"webSocketDebuggerUrl":"ws://gw:8080/"}'
CODED = {
    b"gzip": gzip.compress(SAID),
    b"x-gzip": gzip.compress(SAID),
    b"deflate": zlib.compress(SAID),
    b"identity": SAID,
}


@pytest.mark.parametrize("coding", CODED)
def test_compressed_all_the_same(coding: bytes) -> None:
    """A server that compresses although nobody asked is understood."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    head = answer(CODED[coding], b"Content-Encoding: " + coding, b"ETag: x", b"Accept-Ranges: bytes")
    assert asked(book, b"/json", head) == MEANT
    assert b"Encoding" not in book.to_client
    assert b"ETag" not in book.to_client


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        (b"br", SAID, "unknown_coding"),
        (b"gzip, gzip", SAID, "unknown_coding"),
        (b"gzip", SAID, "bad_coding"),
        (b"gzip", gzip.compress(bytes(64 << 20)), "body_too_long"),
        (b"identity", b"{", "bad_json"),
        (b"identity", b"[" * 100 + b"]" * 100, "json_too_deep"),
        (b"identity", b'{"a":' + b'"' + b"x" * (1 << 20) + b'"}', "body_too_long"),
    ],
)
def test_what_cannot_be_read_does_not_pass(coding: bytes, body: bytes, reason: str) -> None:
    """502, one record; nothing of the answer."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    book.client(get(b"/json"))
    book.server(answer(body, b"Content-Encoding: " + coding))
    assert book.to_client.startswith(b"HTTP/1.1 502 ")
    assert b"10.77.2.2" not in book.to_client
    assert (book.reasons, book.closed) == ([reason], True)


@pytest.mark.parametrize("chunks", [True, False])
def test_an_answer_of_a_gibibyte(chunks: bool) -> None:
    """Where addresses are looked for, no more than `max_body` is ever kept of it; elsewhere it passes."""
    piece = b"x" * 65536
    for profiles in ((Profile.CDP,), ()):
        book = talk(HttpConfig(profiles=profiles))
        book.client(get(b"/json"))
        framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: 1073741824"
        book.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s\r\n\r\n" % framing)
        for _ in range(20):
            book.server(b"10000\r\n%s\r\n" % piece if chunks else piece)
        if profiles:
            assert book.to_client.startswith(b"HTTP/1.1 502 ")
            assert book.reasons == ["body_too_long"]
        else:
            assert len(book.to_client) > 20 * 65536
            assert not book.closed


def test_bodies_without_a_length() -> None:
    """Chunks, and until the server ends: read whole where they are mapped."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    book.client(get(b"/json"))
    book.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    book.server(b"5\r\n" + SAID[:5] + b"\r\n%x\r\n" % (len(SAID) - 5) + SAID[5:] + b"\r\n0\r\nX: y\r\n\r\n")
    assert body_of(book) == MEANT
    book.client(get(b"/json"))
    book.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + SAID)
    book.end(Side.SERVER)
    assert body_of(book) == MEANT
    assert book.closed


def test_an_empty_body_is_no_json() -> None:
    """Nor need it be: in chunks, and until the server ends; and so for requests."""
    config = HttpConfig(profiles=(Profile.CDP,), rules=(Rule(json=("url",), part=Part.REQUEST),))
    book = talk(config)
    book.client(get(b"/json"))
    book.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert body_of(book) == b""
    book.client(
        b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    assert book.to_server.endswith(b"\r\nContent-Length: 0\r\n\r\n")


def test_what_is_no_json_passes() -> None:
    """By its media type; an empty body, HEAD and 304 too, with a length that nobody can know left out."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    assert asked(book, b"/json", answer(b"ws://10.77.2.2:8080/", kind=b"text/plain")) == b"ws://10.77.2.2:8080/"
    assert asked(book, b"/json", answer(b"")) == b""
    book.client(get(b"/json").replace(b"GET", b"HEAD"))
    seen = len(book.to_client)
    book.server(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n")
    assert book.to_client[seen:] == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def test_messages() -> None:
    """Text that is JSON is mapped both ways where a rule says so; other text, and what is binary, passes."""
    config = HttpConfig(rules=(Rule(json=("url",), part=Part.MESSAGE),))
    book = talk(config)
    book.client(UPGRADE + b"\r\n")
    book.server(UPGRADED + b"\r\n")
    to_client, to_server = len(book.to_client), len(book.to_server)
    for said, meant in ((b'{"url":"ws://10.77.2.2:8080/"}', b'{"url":"ws://gw:8080/"}'), (b"hello", b"hello")):
        book.server(bytes((0x81, len(said))) + said)
        assert book.to_client[to_client:] == bytes((0x81, len(meant))) + meant
        to_client = len(book.to_client)
        book.client(bytes((0x81, 0x80 | len(meant))) + bytes(4) + meant)
        mask, payload = book.to_server[to_server + 2 : to_server + 6], book.to_server[to_server + 6 :]
        assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) == said
        to_server = len(book.to_server)


def test_messages_that_are_too_long_to_be_mapped() -> None:
    """T87: a few kilobytes inflate to what it takes seconds to look through; `max_body` bounds it, as it does bodies."""
    book = talk(HttpConfig(rules=(Rule(json=("url",), part=Part.MESSAGE),), max_body=1000))
    book.client(UPGRADE + b"\r\n")
    book.server(UPGRADED + b"\r\n")
    book.server(b"\x82\x7e\x03\xe9" + bytes(1001))
    assert book.to_client.endswith(bytes(1001))
    book.server(b"\x81\x7e\x03\xe9" + b"1" * 1001)
    assert book.reasons == ["message_too_long"]

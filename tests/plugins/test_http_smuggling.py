"""T26, T93: requests that one parser reads so and another otherwise. Each is refused with a status and nothing of it goes on,
or what goes on is the same messages to three parsers that know nothing of each other.
"""

from __future__ import annotations

import io
import re
from http.client import parse_headers

import h11
import pytest
from alg_http import HttpConfig, HttpPlugin

from alg.testing import Playbook
from tests.plugins.http_requests import AMBIGUOUS, PLAIN
from tests.plugins.http_talk import get

Message = tuple[bytes, bytes, bytes]
"""Method, target and body."""


def by_h11(data: bytes) -> list[Message]:
    """What h11 reads."""
    found: list[Message] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    while True:
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            assert event is h11.NEED_DATA
            return found
        body = b""
        while isinstance(part := connection.next_event(), h11.Data):
            body += bytes(part.data)
        assert isinstance(part, h11.EndOfMessage), "the message is complete"
        found.append((event.method, event.target, body))
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data := _rest(data, event, body))
        if not data:
            return found


def _rest(data: bytes, event: h11.Request, body: bytes) -> bytes:
    """What stands behind a message: found again by the head's end, and the body's length on the wire."""
    head = data.index(b"\r\n\r\n") + 4
    if (b"transfer-encoding", b"chunked") in list(event.headers):
        return data[data.index(b"0\r\n", head + len(body)) :].partition(b"\r\n\r\n")[2]
    return data[head + len(body) :]


def by_standard_library(data: bytes) -> list[Message]:
    """What the parser of `http.server` reads; bodies as RFC 9112 section 6.3 says, by its headers."""
    found, source = [], io.BytesIO(data)
    while line := source.readline():
        method, target, _ = line.rstrip(b"\r\n").split(b" ")
        headers = parse_headers(source)
        body = b""
        if headers.get("Transfer-Encoding") == "chunked":
            while size := int(source.readline().split(b";")[0], 16):
                body += source.read(size)
                assert source.readline() == b"\r\n"
            while source.readline() != b"\r\n":
                pass
        elif headers["Content-Length"]:
            body = source.read(int(headers["Content-Length"]))
        found.append((method, target, body))
    return found


_HEAD = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"(?im)^Content-Length: ([0-9]+)\r$")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


def by_patterns(data: bytes) -> list[Message]:
    """What a parser reads that takes the canonical form and nothing else."""
    found = []
    while data:
        head = _HEAD.match(data)
        assert head is not None, f"not canonical: {data[:80]!r}"
        data, body = data[head.end() :], b""
        if b"\nTransfer-Encoding: chunked\r\n" in b"\n" + head[3]:
            assert not _LENGTH.search(head[3])
            while (chunk := _CHUNK.match(data)) is not None and (size := int(chunk[1], 16)):
                body += data[chunk.end() : chunk.end() + size]
                data = data[chunk.end() + size :]
                assert data[:2] == b"\r\n"
                data = data[2:]
            data = data.partition(b"\r\n\r\n")[2]
        elif length := _LENGTH.search(head[3]):
            assert len(_LENGTH.findall(head[3])) == 1
            body, data = data[: int(length[1])], data[int(length[1]) :]
        found.append((head[1], head[2], body))
    return found


def talk(request: bytes, cut: int = 0) -> Playbook:
    """A client says that; the server answers each request with 204."""
    book = Playbook(HttpPlugin, server="10.77.2.2:8080")
    for piece in (request[:cut], request[cut:]) if cut else (request,):
        book.client(piece)
    for _ in range(4):
        if not book.closed and by_count(book.to_server) > book.to_client.count(b"HTTP/1.1 204"):
            book.server(b"HTTP/1.1 204 No Content\r\n\r\n")
    return book


def by_count(data: bytes) -> int:
    """How many heads there are: each names the server as we call it."""
    return data.count(b"\r\nHost: 10.77.2.2:8080\r\n")


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_requests_are_refused(name: str) -> None:
    """With a status, one record, the end of the connection, and no complete message on the server's side."""
    for request in AMBIGUOUS[name]:
        book = talk(request)
        assert re.match(rb"HTTP/1\.1 (400|414|431|501|505) ", book.to_client), request
        assert book.closed, request
        assert len(book.reasons) == 1, request
        assert not book.to_server or not complete(book.to_server), request
        assert b"evil" not in book.to_server, request


def complete(data: bytes) -> bool:
    """Whether a server would take this for a whole message."""
    try:
        return bool(by_standard_library(data))
    except (AssertionError, ValueError):
        return False


@pytest.mark.parametrize("name", PLAIN)
def test_what_goes_on_is_the_same_to_all(name: str) -> None:
    """Three parsers find the messages that we meant, however they were cut."""
    request, meant = PLAIN[name]
    for cut in range(len(request)):
        book = talk(request, cut)
        assert book.error is None
        assert by_h11(book.to_server) == by_standard_library(book.to_server) == by_patterns(book.to_server) == meant


@pytest.mark.parametrize("length", [b"Content-Length: 34", b"Transfer-Encoding: chunked"])
def test_connect_has_no_body(length: bytes) -> None:
    """A server that does not read it takes it for the next request, which nobody has judged."""
    book = Playbook(HttpPlugin, HttpConfig(connect=True, allowed_paths=("/open",)), server="10.77.2.2:8080")
    book.client(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n" + length + b"\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 400 ")
    assert (book.reasons, book.to_server, book.closed) == (["bad_target"], b"", True)


def test_answers_that_have_no_body_have_no_length() -> None:
    """RFC 9110 section 8.6: neither 1xx nor 204; a client that believed it would take the next answer for a body."""
    book = Playbook(HttpPlugin, server="10.77.2.2:8080")
    book.client(get())
    book.server(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nA: b\r\n\r\n")
    assert book.to_client == b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
    book.server(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nA: b\r\n\r\n")
    assert book.to_client.endswith(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n")
    for status, method in ((b"304 x", b"GET"), (b"200 x", b"HEAD")):
        book.client(get().replace(b"GET", method))
        book.server(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
        assert book.to_client.endswith(status + b"\r\nContent-Length: 5\r\n\r\n")
    assert not book.closed

"""Who ends when: each side in each state, and what the other is told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alg.plugin import Side
from alg.testing import Playbook
from tests.plugins.http_talk import answer, get, talk

ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nsome"
"""An answer that lasts until the server ends."""


def test_a_client_that_says_no_more_hears_the_whole_answer() -> None:
    """F42: half a close is none; an answer without a length would look complete, wherever it was cut."""
    for early in (True, False):
        book = talk()
        book.client(get())
        if early:
            book.end(Side.CLIENT)
        book.server(ENDLESS)
        if not early:
            book.end(Side.CLIENT)
        book.server(b"more")
        assert (book.closed, book.ended) == (False, {Side.SERVER})
        assert book.to_client.endswith(b"\r\n\r\nsomemore")
        book.end(Side.SERVER)
        assert (book.closed, book.error, book.reasons) == (True, None, [])


def _goes(book: Playbook) -> None:
    book.lose(Side.SERVER)


def _breaks_off(book: Playbook) -> None:
    book.server(b"HTTP/1.1 2")
    book.end(Side.SERVER)


def _babbles(book: Playbook) -> None:
    book.server(b"x" * 20000)


def _answers_again(book: Playbook) -> None:
    book.server(answer(b"for the next"))


@pytest.mark.parametrize("fails", [_goes, _breaks_off, _babbles, _answers_again])
def test_a_client_that_has_not_asked_is_told_nothing(fails: Callable[[Playbook], None]) -> None:
    """T26: it would take that for the answer to its next request. Whoever has begun one is told."""
    book = talk()
    book.client(get())
    book.server(answer(b"first"))
    told = book.to_client
    fails(book)
    assert (book.closed, book.to_client) == (True, told)
    book = talk()
    book.client(get())
    book.server(answer(b"first"))
    book.client(b"GET /")
    fails(book)
    assert book.to_client.startswith(told + b"HTTP/1.1 502 ")


@pytest.mark.parametrize("rest", [b"", b"5", b"5\r\nmo", b"0\r\n", b"no size\r\n"])
def test_an_answer_that_is_broken_off_does_not_look_complete(rest: bytes) -> None:
    """To who speaks HTTP/1.0 the end of the connection is that of the answer, wherever between two chunks it comes."""
    book = talk()
    book.client(b"GET / HTTP/1.0\r\n\r\n")
    book.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n" + rest)
    book.end(Side.SERVER)
    assert Side.CLIENT in book.cut
    assert book.to_client.partition(b"\r\n\r\n")[2] in (b"some", b"somemo")


def test_an_answer_before_the_whole_request() -> None:
    """F42: the rest is not read any more; the client is told so, and does not ask further in vain."""
    book = talk()
    book.client(b"POST / HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    book.server(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    assert book.to_client.endswith(b"\r\nConnection: close\r\n\r\n")
    assert book.closed
    book = talk()
    book.client(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\n")
    book.server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nso")
    book.client(b"bytes")
    book.server(b"me")
    assert book.to_client.endswith(b"\r\nConnection: close\r\n\r\nsome")
    assert (book.closed, book.cut) == (True, set())

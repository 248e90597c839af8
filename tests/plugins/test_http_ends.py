"""Who ends when: each side in each state, and what the other is told of it."""

from __future__ import annotations

from alg.plugin import Side
from tests.plugins.http_talk import get, talk

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

"""Where the servers themselves do not do as the RFCs say: their verdicts without a gateway."""

from __future__ import annotations

# `websockets` takes a close frame between fragments for an error.
BETWEEN = "101 | close 1002 | end"
# Node's HTTP parser takes these versions for 1.1, and `ws` reads 13.0 as a number.
AGREED = "101 | text 5 185f8db3 | close 1000 | end"
KNOWN: dict[tuple[str, str], str] = {
    ("websockets", "fragmentation/close between"): BETWEEN,
    ("websockets", "closing/within a text"): BETWEEN,
    ("ws", "handshake, refused/version 13.0"): AGREED,
    ("ws", "handshake, refused/HTTP/0.9"): AGREED,
    ("ws", "handshake, refused/HTTP/2.0"): AGREED,
    ("ws", "handshake, refused/no version"): AGREED,
}


def known(server: str, case: str) -> str:
    """The verdict that this server is known for, or nothing."""
    return KNOWN.get((server, case), "")

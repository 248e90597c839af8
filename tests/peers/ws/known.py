"""Where others than the gateway do not do as the RFCs say: servers, their verdicts without a gateway; and mitmproxy, with
the addon and without it (`--gateway mitmdump`).
"""

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


# mitmproxy passes on an end without a close frame as one with it, and has only 1000 for what must not be sent.
DROPPED = r"closed with 1000$"
# Alone, it writes the server's name into Host and leaves Origin: to the server, its own page is a stranger's.
STRANGER = r"the server was told origin \S+ instead of \S+$"


def known_of_mitmproxy(mode: str, client: str, row: str) -> str:
    """What the client says where a row fails by mitmproxy's own doing, as a pattern; or nothing."""
    if row == "server drops":
        return DROPPED
    return STRANGER if (mode, client, row) == ("mitmdump", "chromium", "target") else ""

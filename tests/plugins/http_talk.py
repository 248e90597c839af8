"""A playbook for the HTTP plugin, and what is said to it again and again."""

from __future__ import annotations

from dataclasses import replace

from alg_http import HttpConfig, HttpPlugin
from alg_http.profiles import Profile

from alg.testing import Playbook

__all__ = ["KEY", "UPGRADE", "UPGRADED", "Profile", "answer", "get", "talk"]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: gw:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
)
"""A handshake; further fields, and an empty line, may follow."""
UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def talk(config: HttpConfig | None = None, **options: object) -> Playbook:
    """A playbook with a server on port 8080, whose clients may call us `gw` where a profile wants that to be listed."""
    config = config or HttpConfig()
    if Profile.CDP in config.profiles and not config.allowed_hosts:
        config = replace(config, allowed_hosts=("gw", "10.77.1.1"))
    given: dict[str, object] = {"server": "10.77.2.2:8080", "client_local": "10.77.1.1:8080", **options}
    return Playbook(HttpPlugin, config, **given)  # type: ignore[arg-type]


def get(path: bytes = b"/", *fields: bytes) -> bytes:
    """A request."""
    return b"GET %s HTTP/1.1\r\nHost: gw:8080\r\n%s\r\n" % (path, b"".join(field + b"\r\n" for field in fields))


def answer(body: bytes, *fields: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> bytes:
    """An answer with a body."""
    more = b"".join(field + b"\r\n" for field in fields)
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n" % (status, kind, len(body), more)
    return head + body


def body_of(book: Playbook) -> bytes:
    """The body of the last answer."""
    head, _, body = book.to_client.rpartition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    return body


def asked(book: Playbook, path: bytes, response: bytes) -> bytes:
    """Ask for a path; return the body that comes of the answer."""
    book.client(get(path))
    book.server(response)
    return body_of(book)

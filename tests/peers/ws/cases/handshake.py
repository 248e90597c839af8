"""The opening handshake: what a client may ask for, and what it may not; the verdict is the server's status."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import TEXT, described, text

from .case import Case, request, verdict

ECHO = verdict(described(TEXT, b"Hello"), "close 1000", "end")
REFUSED = ("http 400", "http 403", "http 404", "http 405", "http 426", "http 431", "http 501", "http 505", "end")
# What lenient servers do; a body is taken for frames.
TAKEN = (verdict("101", ECHO), "101 | close 1002 | end")
# A gateway that reads the request may find it bad before the server does, or hang up on it.
EARLIER = frozenset(["http 400", "http 405", "http 426", "http 431", "http 501", "http 505", "end"])


def good(name: str, opening: str, protocol: str = "") -> Case:
    """The server agrees, and echoes."""
    wanted = verdict(f"101{protocol and f' {protocol}'}", ECHO)
    return Case("handshake", name, (text("Hello"), 1), frozenset([wanted]), opening=opening)


def bad(name: str, opening: str, *allowed: str, lenient: bool = False) -> Case:
    """The server refuses; `lenient`: some take it all the same. `allowed` tells what a gateway may answer instead."""
    wanted = frozenset([*REFUSED, *(TAKEN if lenient else [])])
    return Case(
        "handshake, refused", name, (text("Hello"), 1), wanted, opening=opening, allowed=frozenset(allowed) or EARLIER
    )


def spellings() -> Iterator[Case]:
    """The same handshake in other words."""
    yield good("usual", request())
    yield good(
        "names in small letters", request().replace("Sec-WebSocket", "sec-websocket").replace("Upgrade:", "upgrade:")
    )
    yield good("Upgrade: WebSocket", request(Upgrade="WebSocket"))
    yield good("Connection: upgrade", request(Connection="upgrade"))
    yield good("Connection: keep-alive, Upgrade", request(Connection="keep-alive, Upgrade"))
    yield good("Connection in two lines", request("Connection: keep-alive"))
    yield good("no space behind colons", request().replace(": ", ":"))
    yield good("spaces around values", request(Upgrade="  websocket \t "))
    yield good("origin", request("Origin: http://elsewhere.example"))
    yield good("cookies", request("Cookie: a=b; c=d", "Cookie: e=f"))
    yield good("authorization", request("Authorization: Basic dTpw"))
    yield good("many headers", request(*(f"X-Header-{number}: {number}" for number in range(50))))
    yield good("header of 4 KiB", request(f"X-Long: {'x' * 4096}"))
    yield good("query", request(line="GET /echo?a=b&c=%2F HTTP/1.1"))
    yield good("target in UTF-8, escaped", request(line="GET /%C3%BC HTTP/1.1"))
    yield good("long target", request(line=f"GET /{'x' * 2000} HTTP/1.1"))
    yield good("subprotocol", request("Sec-WebSocket-Protocol: lab.v1"), "protocol lab.v1")
    yield good("subprotocols", request("Sec-WebSocket-Protocol: other, lab.v1"), "protocol lab.v1")
    two = request("Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: lab.v1")
    yield good("subprotocols in two lines", two, "protocol lab.v1")
    yield good("unknown subprotocol", request("Sec-WebSocket-Protocol: other"))


def missing() -> Iterator[Case]:
    """A header is not there, empty, twice, or wrong."""
    for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"):
        yield bad(f"no {name}", request(without=[name]))
        yield bad(f"empty {name}", request(**{name: ""}))
    yield bad("no Host", request(without=["Host"]), lenient=True)
    yield bad("two Hosts", request("Host: other.example"), lenient=True)
    for version in ("0", "7", "8", "12", "14", "99", "-13", "013", "13.0", "x", "13, 8"):
        yield bad(f"version {version}", request(**{"Sec-WebSocket-Version": version}), lenient=version in ("8", "013"))
    keys = {
        "key of 15 bytes": "dGhlIHNhbXBsZSBub25j",
        "key of 17 bytes": "dGhlIHNhbXBsZSBub25jZTE=",
        "key is not base64": "************************",
        "key without padding": "dGhlIHNhbXBsZSBub25jZQ",
        "key of one letter": "x",
    }
    for name, key in keys.items():
        yield bad(name, request(**{"Sec-WebSocket-Key": key}))
    yield bad("two keys", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), lenient=True)
    yield bad("two versions", request("Sec-WebSocket-Version: 8"))
    yield bad("Upgrade: h2c", request(Upgrade="h2c"))
    yield bad("Upgrade: websocket, h2c", request(Upgrade="websocket, h2c"), lenient=True)
    yield bad("Connection: close", request(Connection="close"))
    yield bad("Connection: keep-alive", request(Connection="keep-alive"))
    yield bad("bad subprotocol", request("Sec-WebSocket-Protocol: a b"), lenient=True)
    yield bad("empty subprotocol", request("Sec-WebSocket-Protocol: "), lenient=True)


def lines() -> Iterator[Case]:
    """The request line, the body, and what is no HTTP."""
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get", "BREW"):
        yield bad(method, request(line=f"{method} /echo HTTP/1.1"))
    for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/x", "http/1.1", "FTP/1.1"):
        yield bad(version, request(line=f"GET /echo {version}"), lenient=version in ("HTTP/1.0", "HTTP/1.2"))
    yield bad("no version", request(line="GET /echo"))
    yield bad("no target", request(line="GET HTTP/1.1"))
    yield bad("a space in the target", request(line="GET /ec ho HTTP/1.1"))
    yield bad("GET with body", request("Content-Length: 5", body="Hello"), lenient=True)
    yield bad(
        "GET with chunked body", request("Transfer-Encoding: chunked", body="5\r\nHello\r\n0\r\n\r\n"), lenient=True
    )
    yield bad("Content-Length of 0", request("Content-Length: 0"), *EARLIER, verdict("101", ECHO), lenient=True)
    yield bad("two lengths", request("Content-Length: 5", "Content-Length: 6", body="Hello"))
    yield bad("header without colon", request("Nonsense"))
    yield bad("space before the colon", request("X-Bad : x"))
    yield bad("folded header", request("X-Folded: a", " b"), lenient=True)
    yield bad("NUL in a header", request("X-Bad: a\0b"))
    yield bad("header of 1 MiB", request(f"X-Long: {'x' * (1 << 20)}"))
    yield bad("ten thousand headers", request(*(f"X-{number}: x" for number in range(10000))))
    yield bad("no HTTP", "Hello, is this a server?\r\n\r\n")
    yield bad("TLS", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + "x" * 500 + "\r\n\r\n")
    yield bad("frames at once", "\x81\x85\0\0\0\0Hello\r\n\r\n")
    yield bad("plain GET", request(without=["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]))


def cases() -> Iterator[Case]:
    """All of this area."""
    for part in (spellings, missing, lines):
        yield from part()

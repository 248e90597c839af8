"""What tests of HTTP in mitmproxy stand on: how a client asks, how a server answers, a profile."""

from __future__ import annotations

from pathlib import Path

from tests.mitm.rig import Mitm, Peer

REVERSE = "reverse:http://127.0.0.1:{port}@127.0.0.1:0"
HTTP = {"alg_plugins": ["*=http"]}
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKING = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n" % KEY
AGREEING = (
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def cdp_options(folder: Path) -> dict[str, object]:
    """Options with the profile for DevTools, and nothing allowed on `/secret`."""
    config = folder / "alg.toml"
    config.write_text('[http.options]\nprofiles = ["cdp"]\nallowed_paths = ["/json*", "/ws", "/"]\n', "utf-8")
    return {**HTTP, "alg_config": str(config)}


async def head_of(peer: Peer) -> bytes:
    """A head, up to its empty line."""
    lines = [await peer.line()]
    while lines[-1] not in (b"\r\n", b""):
        lines.append(await peer.line())
    return b"".join(lines)


async def asked(mitm: Mitm, client: Peer, path: bytes, answer: bytes, *fields: bytes) -> tuple[bytes, bytes]:
    """Ask; return what the server was asked, and the head that comes back."""
    more = b"".join(field + b"\r\n" for field in fields)
    client.say(b"GET %s HTTP/1.1\r\nHost: gw\r\n%s\r\n" % (path, more))
    server = await mitm.server.accept()
    question = await head_of(server)
    server.say(answer)
    return question, await head_of(client)


def json(body: bytes) -> bytes:
    """An answer in JSON."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

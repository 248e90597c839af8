"""A WebSocket server made of `websockets`: an echo, and paths that do something else, the same as those of `ws_server.js`.

    python -m tests.peers.ws.websockets_server PORT [--certificate FILE]

Its output tells for each connection how it was closed: `closed CODE REASON`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

MAX_SIZE = 64 << 20
SUBPROTOCOLS = (Subprotocol("lab.v2"), Subprotocol("lab.v1"))
PINGS = 10
STREAM = 5000
PAGE = "<!doctype html><meta charset=utf-8><title>lab</title>\n"


async def echo(peer: ServerConnection) -> None:
    """Send back whatever comes, as what it came."""
    async for message in peer:
        await peer.send(message)


async def pings(peer: ServerConnection) -> None:
    """Ping, each time with another payload; tell how many were answered."""
    for number in range(PINGS):
        await (await peer.ping(f"ping {number}"))
    await peer.send(f"{PINGS} pongs")
    await echo(peer)


async def stream(peer: ServerConnection) -> None:
    """Many small messages, one behind the other."""
    for number in range(STREAM):
        await peer.send(f"number {number}")
    await echo(peer)


async def about(peer: ServerConnection) -> None:
    """What the server was told in the handshake."""
    request = peer.request
    assert request is not None
    told = {name: request.headers.get(name) for name in ("origin", "cookie", "host")} | {"target": request.path}
    await peer.send(json.dumps(told))
    await echo(peer)


async def close(peer: ServerConnection) -> None:
    """Close with the code and the reason of the path."""
    assert peer.request is not None
    code, _, reason = peer.request.path.removeprefix("/close/").partition("/")
    await peer.close(int(code), unquote(reason))


async def drop(peer: ServerConnection) -> None:
    """End the connection without a word."""
    peer.transport.abort()


PATHS: dict[str, Callable[[ServerConnection], Awaitable[None]]] = {
    "/pings": pings,
    "/stream": stream,
    "/about": about,
    "/close/": close,
    "/drop": drop,
}


async def serve_client(peer: ServerConnection) -> None:
    """Do what the path says, and tell how it ended."""
    assert peer.request is not None
    path = peer.request.path
    act = next((act for start, act in PATHS.items() if path.startswith(start)), echo)
    with contextlib.suppress(ConnectionClosed):
        await act(peer)
    await peer.wait_closed()
    print(f"closed {peer.close_code} {peer.close_reason}", flush=True)


def choose(peer: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The first that both know; a client that offers nothing we know goes on without one, as with `ws`."""
    return next((name for name in SUBPROTOCOLS if name in offered), None)


def page(peer: ServerConnection, request: Request) -> Response | None:
    """The page that the browser opens first."""
    if request.path != "/page":
        return None
    response = peer.respond(HTTPStatus.OK, PAGE)
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


async def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate")
    options = parser.parse_args()
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
    async with serve(
        *(serve_client, None, options.port),
        ssl=context,
        select_subprotocol=choose,
        process_request=page,
        max_size=MAX_SIZE,
        ping_interval=None,
        backlog=1024,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

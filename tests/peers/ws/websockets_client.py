"""Plays one row with Python's `websockets`, by the rules of `rows.js`; prints the outcome as JSON.

python -m tests.peers.ws.websockets_client ROW BASE SETTINGS [AUTHORITY]
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

TEXT = "Grüße, мир, 世界, 🌍"
MAX_SIZE = 64 << 20
CONNECTING = 50


class RowError(Exception):
    """What was seen is not what must be."""


def check(fine: bool, problem: str) -> None:
    """Fail the row unless that is so."""
    if not fine:
        raise RowError(problem)


class Client:
    """What every row needs to connect."""

    def __init__(self, base: str, settings: dict[str, Any], authority: str | None) -> None:
        self.base = base
        self.settings = settings
        self.context = ssl.create_default_context(cafile=authority) if base.startswith("wss:") else None

    async def open(self, path: str, **more: Any) -> ClientConnection:
        """Connect to a path; library defaults, but for size and patience."""
        options = {"ssl": self.context, "max_size": MAX_SIZE, "ping_interval": None, "open_timeout": 20, "proxy": None}
        return await connect(self.base + path, **{**options, **more})

    @asynccontextmanager
    async def at(self, path: str, **more: Any) -> AsyncIterator[ClientConnection]:
        """The same, closed with 1000 at the end; fail unless the server agrees."""
        peer = await self.open(path, **more)
        yield peer
        await ended(peer, 1000, "")


async def ended(peer: ClientConnection, code: int, reason: str) -> None:
    """Close, and fail unless that is how it was closed."""
    await peer.close(code, reason)
    check((peer.close_code, peer.close_reason) == (code, reason), f"closed {peer.close_code} {peer.close_reason}")


async def echoes(peer: ClientConnection, message: str | bytes) -> None:
    """Fail unless a message comes back as it was sent."""
    await peer.send(message)
    check(await peer.recv() == message, f"the echo of {len(message)} differs")


async def text(client: Client) -> None:
    """Text of several lengths, in one connection."""
    async with client.at("/echo") as peer:
        for message in ("", "x", TEXT, TEXT * 5000):
            await echoes(peer, message)


async def binary(client: Client, *sizes: int) -> None:
    """Binary messages, each in a connection of its own."""
    for size in sizes:
        async with client.at("/echo") as peer:
            await echoes(peer, os.urandom(size))


async def compressed(client: Client) -> None:
    """Compression is agreed upon."""
    async with client.at("/echo") as peer:
        agreed = [extension.name for extension in peer.protocol.extensions]
        check(agreed == ["permessage-deflate"], f"extensions: {agreed}")
        for _ in range(3):
            await echoes(peer, "Again and again. " * 100000)


async def uncompressed(client: Client) -> None:
    """Compression is not offered."""
    async with client.at("/echo", compression=None) as peer:
        check(not peer.protocol.extensions, "an extension was agreed upon")
        await echoes(peer, "Again and again. " * 100000)


async def agreed(client: Client) -> None:
    """The server takes one of two subprotocols."""
    async with client.at("/echo", subprotocols=["other", "lab.v1"]) as peer:
        check(peer.subprotocol == "lab.v1", f"protocol {peer.subprotocol}")


async def refused(client: Client) -> None:
    """The server takes none: it refuses the client, or leaves the header out and this client goes on."""
    try:
        peer = await client.open("/echo", subprotocols=["other", "another"])
    except WebSocketException:
        return
    await peer.close()
    check(peer.subprotocol is None, f"protocol {peer.subprotocol}")


async def pings(client: Client) -> None:
    """The server's pings are answered, and ours are."""
    async with client.at("/pings") as peer:
        got = await peer.recv()
        check(got == "10 pongs", f"got {got!r}")
        for number in range(10):
            await (await peer.ping(f"{number}"))


async def closing(client: Client, code: int, reason: str) -> None:
    """We close."""
    peer = await client.open("/echo")
    await echoes(peer, TEXT)
    await ended(peer, code, reason)


async def server_closes(client: Client) -> None:
    """The server closes."""
    for code, reason in ((1000, ""), (1001, "gone"), (1011, "oh"), (3000, "a"), (4999, "gründlich")):
        peer = await client.open(f"/close/{code}/{quote(reason)}")
        await peer.wait_closed()
        seen = (peer.close_code, peer.close_reason)
        check(seen == (code, reason), f"{code}: closed with {seen}")


async def server_drops(client: Client) -> None:
    """The server ends the connection without closing."""
    peer = await client.open("/drop")
    await peer.wait_closed()
    check(peer.close_code == 1006, f"closed with {peer.close_code}")


async def target(client: Client) -> None:
    """The server is asked for exactly what the client asks for, and told all headers."""
    path = "/about/%20a;b=c/%C3%BC?q=1&r=%2F+%3F&empty="
    wanted = {"target": path, "origin": "https://origin.example:8443", "cookie": "a=b; c=d"}
    async with client.at(path, origin=wanted["origin"], additional_headers={"Cookie": wanted["cookie"]}) as peer:
        told = json.loads(await peer.recv())
        del told["host"]  # a gateway may call the server otherwise than its clients do
        check(told == wanted, f"the server was told {told}")


async def many(client: Client) -> None:
    """Many small messages, all under way at once."""
    async with client.at("/echo") as peer:
        count = client.settings["messages"]

        async def send() -> None:
            for number in range(count):
                await peer.send(f"message {number}")

        sending = asyncio.create_task(send())
        for number in range(count):
            got = await peer.recv()
            check(got == f"message {number}", f"echo {number} is {got!r}")
        await sending


async def many_down(client: Client) -> None:
    """Many small messages from the server."""
    async with client.at("/stream") as peer:
        for number in range(5000):
            got = await peer.recv()
            check(got == f"number {number}", f"message {number} is {got!r}")


async def sockets(client: Client) -> None:
    """Many connections, all open at once, a message over each."""
    gate = asyncio.Semaphore(CONNECTING)

    async def one(number: int) -> ClientConnection:
        async with gate:
            return await client.open(f"/echo?{number}")

    peers = await asyncio.gather(*(one(number) for number in range(client.settings["sockets"])))
    await asyncio.gather(*(echoes(peer, f"socket {number}") for number, peer in enumerate(peers)))
    await asyncio.gather(*(ended(peer, 1000, "") for peer in peers))


async def observe(client: Client) -> str:
    """What happens with a server that does something wrong."""
    try:
        peer = await client.open(client.settings["path"], subprotocols=client.settings["protocols"] or None)
    except (WebSocketException, EOFError, OSError):
        return "refused"
    seen = [f"opened {peer.subprotocol or ''}".strip()]
    try:
        async with asyncio.timeout(2):
            while True:
                seen.append(f"message {await peer.recv()!s}")
    except ConnectionClosed:
        seen.append(f"{peer.close_code} {peer.close_reason if peer.close_code == 1000 else ''}".strip())
    except TimeoutError:
        seen.append("open")
        peer.transport.abort()
    return " | ".join(seen)


ROWS: dict[str, Callable[[Client], Coroutine[None, None, str | None]]] = {
    "text": text,
    "binary": lambda client: binary(client, 0, 1, 125, 126, 65535, 65536, 300000),
    "16 MiB": lambda client: binary(client, 16 << 20),
    "compressed": compressed,
    "uncompressed": uncompressed,
    "subprotocol agreed": agreed,
    "subprotocol refused": refused,
    "server pings": pings,
    "close 1000": functools.partial(closing, code=1000, reason=""),
    "close 3000": functools.partial(closing, code=3000, reason="three"),
    "close 4999": functools.partial(closing, code=4999, reason="gründlich"),
    "server closes": server_closes,
    "server drops": server_drops,
    "target": target,
    "many up and down": many,
    "many down": many_down,
    "sockets": sockets,
    "observe": observe,
}


def main() -> None:
    """Play the row that the command line names."""
    row, base, settings, *authority = sys.argv[1:]
    client = Client(base, json.loads(settings), authority[0] if authority else None)
    try:
        outcome = asyncio.run(ROWS[row](client)) or ""
    except (RowError, WebSocketException, OSError, EOFError, TimeoutError) as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()

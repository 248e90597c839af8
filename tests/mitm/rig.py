"""What tests of the mitmproxy host stand on: a mitmproxy in this process with the gateway loaded, a server that the test
plays, and clients. Everything is on loopback, at free ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from mitmproxy.options import Options
from mitmproxy.tcp import TCPFlow
from mitmproxy.tools.dump import DumpMaster

from alg.mitm.addon import Gateway
from alg.registry import Registry

DEADLINE = 10.0
LOGGER = logging.getLogger("alg")
HOST = "127.0.0.1"


@dataclass
class Peer:
    """One end of a connection that the test plays."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def hear(self, expected: bytes) -> None:
        """Wait for exactly these bytes."""
        async with asyncio.timeout(DEADLINE):
            try:
                got = await self.reader.readexactly(len(expected))
            except asyncio.IncompleteReadError as error:
                got = error.partial
        assert got == expected

    async def line(self) -> bytes:
        """The next line."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readline()

    async def rest(self) -> bytes:
        """All until the end; a reset raises."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.read()

    async def until_cut(self) -> bytes:
        """All until the connection is over, in whatever way."""
        with contextlib.suppress(ConnectionError):
            return await self.rest()
        return b""

    def end(self) -> None:
        """Say that nothing more will come."""
        self.writer.write_eof()

    def close(self) -> None:
        """Hang up."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    """A listener whose connections the test takes one by one."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: asyncio.Server
        self.port = 0
        self._peers: list[Peer] = []

    async def open(self) -> Server:
        """Listen at a free port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        self._came.put_nowait(peer)

    async def accept(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(DEADLINE):
            return await self._came.get()

    @property
    def waiting(self) -> int:
        """How many came that nobody took."""
        return self._came.qsize()

    def close(self) -> None:
        """Listen no longer, hang up."""
        self._server.close()
        for peer in self._peers:
            peer.close()


@dataclass
class Mitm:
    """A running mitmproxy."""

    master: DumpMaster
    gateway: Gateway
    server: Server
    watcher: Watcher
    news: News
    _peers: list[Peer] = field(default_factory=list)
    _servers: list[Server] = field(default_factory=list)

    @property
    def ports(self) -> list[int]:
        """Where it listens, in the order of its modes."""
        return [address[1] for address in self.master.addons.get("proxyserver").listen_addrs()]

    async def connect(self, port: int | None = None, source: str = HOST) -> Peer:
        """A client of it, or of another port."""
        reader, writer = await asyncio.open_connection(HOST, port or self.ports[0], local_addr=(source, 0))
        peer = Peer(reader, writer)
        self._peers.append(peer)
        return peer

    async def pair(self) -> tuple[Peer, Peer]:
        """A client and the server's end of the same control channel."""
        client = await self.connect()
        return client, await self.server.accept()

    @property
    def flows(self) -> list[TCPFlow]:
        """The flows so far."""
        return self.watcher.flows

    async def until(self, reason: str) -> None:
        """Wait for a record of that reason."""
        async with asyncio.timeout(DEADLINE):
            while reason not in self.gateway.records:
                self.news.heard.clear()
                await self.news.heard.wait()

    async def listen(self) -> Server:
        """One more listener that the test plays."""
        server = await Server().open()
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Hang up, and listen no longer."""
        for peer in self._peers:
            peer.close()
        for server in (*self._servers, self.server):
            server.close()


class News(logging.Handler):
    """Says that a record was written."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """There is one more."""
        self.heard.set()


class Watcher:
    """An addon that collects TCP flows."""

    def __init__(self) -> None:
        self.flows: list[TCPFlow] = []
        self.ended: list[TCPFlow] = []
        self.comments: list[str] = []
        """Those of flows when they ended."""

    def tcp_start(self, flow: TCPFlow) -> None:
        """A flow begins."""
        self.flows.append(flow)

    def tcp_end(self, flow: TCPFlow) -> None:
        """A flow has ended well."""
        self.ended.append(flow)
        self.comments.append(flow.comment)


REGISTRY = Registry()
"""All tests share one: to look for entry points takes longer than most of them."""


@contextlib.asynccontextmanager
async def proxying(
    *modes: str,
    addons: tuple[object, ...] = (),
    server_port: int | None = None,
    folder: str | None = None,
    options: Mapping[str, object] | None = None,
) -> AsyncIterator[Mitm]:
    """A mitmproxy with these modes (`{port}` stands for the server's port; default: a reverse proxy to it).

    Its CA lies in `folder`, if that is given.
    """
    server = await Server().open()
    port = server_port or server.port
    specs = [mode.format(port=port) for mode in modes or ("reverse:tcp://127.0.0.1:{port}@127.0.0.1:0",)]
    with confdir(folder) as kept:
        master = DumpMaster(
            Options(confdir=kept, mode=specs), asyncio.get_running_loop(), with_termlog=False, with_dumper=False
        )
        gateway, watcher = Gateway(REGISTRY), Watcher()
        master.addons.add(gateway, watcher, *addons)
        master.options.update(**{"alg_plugins": [f"{port}=ftp"], **(options or {})})
        ready = asyncio.Event()
        master.addons.add(_Ready(ready))
        running = asyncio.create_task(master.run())
        await ready.wait()
        lasting = asyncio.all_tasks()
        mitm = Mitm(master, gateway, server, watcher, News())
        LOGGER.addHandler(mitm.news)
        level = LOGGER.level
        LOGGER.setLevel(logging.INFO)
        try:
            yield mitm
        finally:
            mitm.close()
            await master.addons.get("proxyserver").servers.update([])
            if left := asyncio.all_tasks() - lasting:  # what handles connections
                _, late = await asyncio.wait(left, timeout=DEADLINE)
                assert not late, f"connections are still handled: {late}"
            taken = gateway.services.ports.taken
            master.shutdown()
            await running
            LOGGER.removeHandler(mitm.news)
            LOGGER.setLevel(level)
            assert not gateway.sessions.open, "a session is left"
            assert taken == 0, "ports of leases were not given back"


class _Ready:
    """Says when mitmproxy listens."""

    def __init__(self, ready: asyncio.Event) -> None:
        self._ready = ready

    def running(self) -> None:
        """It does."""
        self._ready.set()


@contextlib.contextmanager
def confdir(folder: str | None) -> Iterator[str]:
    """That folder, or a new one."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="alg-") as made:
        yield made

"""A relay in this process with everything counted: it must give all back when it is left."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypedDict, Unpack

from alg_ftp import FtpConfig, FtpPlugin
from alg_tcp import TcpPlugin

from alg.core.addresses import Network
from alg.core.model import Endpoint, Realm, Side
from alg.core.plugin import StreamPlugin
from alg.core.proxy_protocol import ProxyVersion
from alg.registry import Registry
from alg.relay.records import LOGGER
from alg.relay.server import Relay
from alg.settings import (
    AllowedUpstream,
    ClientTls,
    Limits,
    PortRule,
    Proxy,
    Route,
    ServerTls,
    Times,
    Upstream,
    Way,
)
from tests.conftest import open_descriptors
from tests.relay.peers import CLIENT, DEADLINE, SERVER, Host, Peer


@dataclass(frozen=True)
class Note:
    """One record, as it was written."""

    reason: str
    message: str
    session: int
    level: int
    fields: dict[str, object]


class Notes(logging.Handler):
    """Collects the records that are written while it is entered; they can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Note] = []
        self.keep = 1_000_000
        """How many to keep; older ones are forgotten."""
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        self._before = LOGGER.handlers, LOGGER.propagate, LOGGER.level
        LOGGER.handlers, LOGGER.propagate = [self], False
        LOGGER.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOGGER.handlers, LOGGER.propagate = self._before[:2]
        LOGGER.setLevel(self._before[2])

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        about = getattr(record, "alg", {"reason": "", "session": 0, "fields": {}})
        self.all.append(
            Note(about["reason"], record.getMessage(), about["session"], record.levelno, dict(about["fields"]))
        )
        del self.all[: max(0, len(self.all) - self.keep)]
        self._news.set()

    def of(self, reason: str) -> list[Note]:
        """Those with that reason."""
        return [note for note in self.all if note.reason == reason]

    async def wait(self, reason: str, count: int = 1) -> Note:
        """Return the record of that reason that makes their number complete."""
        async with asyncio.timeout(DEADLINE):
            while len(found := self.of(reason)) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]


@dataclass
class Rig:
    """A running relay with its upstream host and its records."""

    relay: Relay
    notes: Notes
    host: Host

    @property
    def at(self) -> Endpoint:
        """Where its first route listens."""
        return self.relay.listeners[0].local

    async def pair(self, source: str = CLIENT, *, receive_buffer: int = 0) -> tuple[Peer, Peer]:
        """Connect a client through the relay; return both ends."""
        client = await Peer.connect(self.at, source, receive_buffer=receive_buffer)
        return client, await self.host.accept()

    async def ftp(self, source: str = CLIENT) -> FtpPair:
        """The same for FTP, greeting and all."""
        client, server = await self.pair(source)
        await server.send(b"220 hello\r\n")
        assert await client.line() == b"220 hello\r\n"
        return FtpPair(client, server)

    async def at_rest(self) -> None:
        """Wait until all sessions are over, and check that they gave back what they had."""
        async with asyncio.timeout(DEADLINE):
            await self.relay.wait_idle()
        self.check_empty()

    def check_empty(self) -> None:
        """Nothing is held by anybody."""
        relay = self.relay
        left = (
            relay.services.budget.used,
            relay.services.budget.sessions,
            relay.services.gate.pending_leases,
            relay.services.ports.taken,
        )
        assert left == (0, 0, 0, 0), f"descriptors, sessions, leases, ports are left: {left}"


class FtpPair:
    """Both ends of an FTP control connection; the test speaks for both."""

    def __init__(self, client: Peer, server: Peer) -> None:
        self.client = client
        self.server = server

    async def say(self, line: bytes, answer: bytes) -> bytes:
        """The client says a line, the server gives an answer; return what the client gets."""
        await self.client.send(line + b"\r\n")
        got = await self.server.line()
        assert got == line + b"\r\n", got
        await self.server.send(answer + b"\r\n")
        return await self.client.line()

    async def passive(self, data: Endpoint) -> Endpoint:
        """PASV: return the endpoint that the client is told."""
        numbers = ",".join([*str(data.address).split("."), str(data.port >> 8), str(data.port & 255)])
        told = await self.say(b"PASV", f"227 Entering Passive Mode ({numbers}).".encode())
        return endpoint_in(told)

    async def active(self, data: Endpoint) -> Endpoint:
        """PORT: return the endpoint that the server is told."""
        await self.client.send(port_line(data))
        told = endpoint_in(await self.server.line())
        await self.server.send(b"200 ok\r\n")
        assert await self.client.line() == b"200 ok\r\n"
        return told

    async def refused(self, line: bytes) -> bytes:
        """The client says a line that does not reach the server; return the answer."""
        await self.client.send(line + b"\r\n")
        return await self.client.line()

    def close(self) -> None:
        """Close both ends."""
        self.client.close()
        self.server.close()


def port_line(endpoint: Endpoint) -> bytes:
    """The PORT command for an endpoint."""
    numbers = [*str(endpoint.address).split("."), str(endpoint.port >> 8), str(endpoint.port & 255)]
    return f"PORT {','.join(numbers)}\r\n".encode()


def endpoint_in(line: bytes) -> Endpoint:
    """The endpoint in a PORT command or a 227 reply."""
    numbers = re.search(rb"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", line)
    assert numbers, line
    *address, high, low = (int(number) for number in numbers.groups())
    return Endpoint.parse(".".join(map(str, address)), high * 256 + low)


class More(TypedDict, total=False):
    """What else a route may say; see `alg.settings.Route`."""

    client_tls: ClientTls
    server_tls: ServerTls
    allowed: tuple[AllowedUpstream, ...]
    proxy_protocol: ProxyVersion | None
    way: Way
    rules: tuple[PortRule, ...]
    users: dict[str, str]
    clients: tuple[Network, ...]
    proxy_senders: tuple[Network, ...]
    via: Proxy | None


def route_to(
    upstream: Endpoint,
    plugin: type[StreamPlugin[object]] | None = None,
    *,
    config: object = None,
    listen: str = "127.0.0.1",
    realms: dict[Side, Realm] | None = None,
    **more: Unpack[More],
) -> Route:
    """A route from a port that the system chooses; with `allowed`, the client chooses where it leads."""
    plugin = plugin or TcpPlugin
    if config is None and plugin.config_type:
        config = plugin.config_type()
    leads = None if more.get("allowed") else Upstream(str(upstream.address), upstream.port)
    route = Route(plugin, config, Endpoint.parse(listen, 0), leads, **more)
    return replace(route, realms=realms) if realms else route


@asynccontextmanager
async def relaying(
    plugin: type[StreamPlugin[object]] | None = None,
    *,
    config: object = None,
    realms: dict[Side, Realm] | None = None,
    times: Times | None = None,
    limits: Limits | None = None,
    splice: bool = True,
    receive_buffer: int = 0,
    host_port: int = 0,
    **more: Unpack[More],
) -> AsyncIterator[Rig]:
    """Run a relay with one route to a host; on leaving, it is stopped and must be empty."""
    with Host(SERVER, port=host_port, receive_buffer=receive_buffer) as host, Notes() as notes:
        before = open_descriptors().keys()
        routes = [route_to(host.endpoint, plugin, config=config, realms=realms, **more)]
        relay = Relay(routes, Registry(), times=times, limits=limits, splice=splice)
        await relay.start()
        rig = Rig(relay, notes, host)
        try:
            yield rig
        finally:
            relay.close()
            stopped = await relay.drain(DEADLINE)
            relay.close()
        assert stopped, f"sessions do not end: {relay.sessions}"
        rig.check_empty()
        assert relay.services.pipes.open == 0
        assert open_descriptors().keys() <= before, "the relay keeps descriptors"


@asynccontextmanager
async def relaying_ftp(
    *,
    config: FtpConfig | None = None,
    realms: dict[Side, Realm] | None = None,
    times: Times | None = None,
    limits: Limits | None = None,
    **more: Unpack[More],
) -> AsyncIterator[Rig]:
    """The same with an FTP route."""
    async with relaying(FtpPlugin, config=config, realms=realms, times=times, limits=limits, **more) as rig:
        yield rig

"""The relay's peers over UDP: raw sockets on loopback addresses that stand for hosts, and a relay between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from alg_udp import UdpPlugin

from alg.core.model import Endpoint, Realm, Side
from alg.core.plugin import Plugin
from alg.registry import Registry
from alg.relay.datagram_sockets import SocketAddress
from alg.relay.server import Relay
from alg.relay.sockets import endpoint_of
from alg.settings import Limits, Route, Times, Upstream
from tests.conftest import open_descriptors
from tests.relay.peers import CLIENT, DEADLINE, SERVER
from tests.relay.rig import Notes


class DatagramPeer:
    """One socket; what it receives comes with who sent it."""

    def __init__(self, address: str = CLIENT, *, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind((address, port))
        self.endpoint = endpoint_of(self.sock.getsockname())
        self.sender: SocketAddress = ("", 0)
        """Who sent what came last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram."""
        self.sock.sendto(data, (str(to.address), to.port))

    def answer(self, data: bytes) -> None:
        """Send one to who sent the last."""
        self.sock.sendto(data, self.sender)

    async def receive(self) -> bytes:
        """Return the next datagram."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            if not came.done():
                came.set_result(None)

        loop.add_reader(self.sock.fileno(), readable)
        try:
            async with asyncio.timeout(DEADLINE):
                await came
        finally:
            loop.remove_reader(self.sock.fileno())
        data, self.sender = self.sock.recvfrom(65536)
        return data

    def nothing(self) -> bool:
        """Whether nothing has come."""
        try:
            self.sock.recv(65536, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        return False


class DatagramRig:
    """A running relay with one route of datagrams to a host, and its records."""

    def __init__(self, relay: Relay, notes: Notes, host: DatagramPeer) -> None:
        self.relay = relay
        self.notes = notes
        self.host = host

    @property
    def at(self) -> Endpoint:
        """Where the route listens."""
        return self.relay.listeners[0].local

    async def ask(self, client: DatagramPeer, data: bytes, *, at: Endpoint | None = None) -> None:
        """The client says this, and the host must get it."""
        client.send(data, at or self.at)
        assert await self.host.receive() == data


@asynccontextmanager
async def relaying_datagrams(
    plugin: type[Plugin[object]] | None = None,
    *,
    config: object = None,
    listen: str = "127.0.0.1",
    idle: float | None = None,
    limits: Limits | None = None,
    realms: dict[Side, Realm] | None = None,
    host: str = SERVER,
) -> AsyncIterator[DatagramRig]:
    """Run a relay with one route; on leaving, it is stopped and must have given all back."""
    plugin = plugin or UdpPlugin
    if config is None and plugin.config_type:
        config = plugin.config_type()
    with DatagramPeer(host) as peer, Notes() as notes:
        before = open_descriptors().keys()
        upstream = Upstream(str(peer.endpoint.address), peer.endpoint.port)
        route = Route(plugin, config, Endpoint.parse(listen, 0), upstream, idle=idle)
        route = replace(route, realms=realms) if realms else route
        relay = Relay([route], Registry(), times=Times(), limits=limits)
        await relay.start()
        try:
            yield DatagramRig(relay, notes, peer)
        finally:
            relay.close()
            stopped = await relay.drain(DEADLINE)
            relay.close()
        assert stopped and len(relay.datagrams) == 0
        assert relay.services.budget.used == 0
        assert open_descriptors().keys() <= before, "the relay keeps descriptors"

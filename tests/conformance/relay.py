"""The stage of the relay: `alg.relay` in this process, on real sockets, with everything that it holds counted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_network
from types import TracebackType
from typing import Self

from alg.core.addresses import Address
from alg.core.model import Endpoint, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import TargetRules
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import ClientTls, Limits, Route, ServerTls
from tests.conformance.sockets import SocketPeer, Sockets, SocketTarget, shake_as_server
from tests.conformance.stage import Terms, Who
from tests.relay.peers import DEADLINE, SERVER, Host, Peer
from tests.relay.rig import Notes, route_to
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import client_tls, server_tls


async def shake_as_client(peer: Peer) -> Peer:
    """TLS where the gateway's client speaks."""
    return await TlsPeer.cover(peer)


class RelayStage:
    """A relay with one route."""

    def __init__(self) -> None:
        self._sockets = Sockets(shake_as_client)
        self._notes = Notes()
        self._relay: Relay | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(self._notes)
        self._host = self._stack.enter_context(Host(SERVER))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._stack:
            self._sockets.kept.close()
            if self._relay is None:
                return
            self._relay.close()
            stopped = await self._relay.drain(DEADLINE)
            self._relay.close()
            assert stopped, f"sessions do not end: {self._relay.sessions}"
            if error is None:
                self._check_empty()

    def _route(self, plugin: type[StreamPlugin[object]], terms: Terms) -> Route:
        route = route_to(
            self._host.endpoint,
            plugin,
            config=terms.config,
            client_tls=client_tls() if Side.CLIENT in terms.tls else ClientTls(),
            server_tls=server_tls() if Side.SERVER in terms.tls else ServerTls(),
        )
        named = {
            side: TargetRules(networks=tuple(ip_network(self.address(who)) for who in parties))
            for side, parties in terms.targets.items()
        }
        return replace(route, targets={**route.targets, **named})

    # What a case may do.

    def address(self, who: Who) -> Address:
        """Where that party lives."""
        return Sockets.address(who)

    @property
    def third_party(self) -> Address:
        """Somebody else."""
        return self._sockets.third_party

    @property
    def gateway(self) -> Endpoint:
        """Where clients arrive."""
        assert self._relay is not None, "`begin` comes first"
        return self._relay.listeners[0].local

    async def begin(
        self, plugin: type[StreamPlugin[object]], terms: Terms | None = None
    ) -> tuple[SocketPeer, SocketPeer]:
        """Start the relay, and begin a session."""
        terms = terms or Terms()
        self._relay = Relay([self._route(plugin, terms)], Registry(), limits=Limits(leases=terms.limits))
        await self._relay.start()
        return await self.again()

    async def again(self) -> tuple[SocketPeer, SocketPeer]:
        """Begin a further session."""
        client = await self._sockets.connect(self.gateway, Who.CLIENT)
        return client, self._sockets.keep(SocketPeer(await self._host.accept(), shake_as_server))

    async def connect(self, to: Endpoint, who: Who) -> SocketPeer:
        """Have a party connect."""
        return await self._sockets.connect(to, who)

    async def refused(self, to: Endpoint, who: Who) -> bool:
        """Whether it is turned away."""
        return await self._sockets.refused(to, who)

    def listen(self, who: Who, port: int = 0) -> SocketTarget:
        """Have a party listen."""
        return self._sockets.listen(who, port)

    @property
    def records(self) -> list[str]:
        """The reasons of all records."""
        return [note.reason for note in self._notes.all]

    async def recorded(self, reason: str, count: int = 1) -> None:
        """Wait until it is there."""
        await self._notes.wait(reason, count)

    async def over(self) -> None:
        """Wait until the relay has no session, and hold that it has nothing else."""
        assert self._relay is not None, "`begin` comes first"
        async with asyncio.timeout(DEADLINE):
            await self._relay.wait_idle()
        self._check_empty()

    def _check_empty(self) -> None:
        assert self._relay is not None
        services = self._relay.services
        left = services.budget.used, services.budget.sessions, services.gate.pending_leases, services.ports.taken
        assert left == (0, 0, 0, 0), f"descriptors, sessions, leases, ports are left: {left}"

"""`SharedServers`: listeners of ours that lead to what a server named over HTTP. Each is a reverse proxy of mitmproxy's own,
at a port of ours, for those clients that were told of it.
"""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import replace

from alg.core.addresses import is_this_host
from alg.core.errors import PolicyError
from alg.core.model import Accept, Connect, Endpoint, Expectation, Leg, Side
from alg.core.shared import SharedKey, SharedLease, SharedLeases
from alg.mitm import compat
from alg.mitm.lease import bound
from alg.mitm.legs import endpoint_of
from alg.mitm.services import Services
from alg.mitm.settings import Treatment


class SharedServers:
    """Those of one mitmproxy."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.leases = SharedLeases(services.settings.limits.leases.shared)
        self._open: dict[SharedKey, SharedServer] = {}
        self._used: dict[int, SharedServer] = {}
        """Those that listen, or through which somebody is there, by their modes' identity: several may be equal."""

    @property
    def open(self) -> tuple[SharedServer, ...]:
        """Those that listen."""
        return tuple(self._open.values())

    def server(self, mode: compat.mode_specs.ProxyMode) -> SharedServer | None:
        """The listener of ours through which a connection of that mode came, even if it is closed; None: through none."""
        return self._used.get(id(mode))

    def expect(
        self, treatment: Treatment, client: Leg, server: Leg, target: Connect, *, opaque: bool, lifetime: float
    ) -> Endpoint:
        """A listener that leads there, for that client, whose server named it.

        Raises:
            PolicyError: the target is none that this server may name.
            BindError: no port is free, or there are too many.
        """
        services = self._services
        # A server that the operator put on loopback may name its own address there.
        rules = replace(treatment.targets[Side.SERVER], loopback=is_this_host(server.peer.address))
        services.gate.judge_target(target.target, server, rules)
        services.learn_listeners()
        services.gate.judge_dial(target.target)
        longest, now = services.gate.limits.lifetime, asyncio.get_running_loop().time()
        lasting = lifetime if longest is None else min(lifetime, longest)
        plugin = None if opaque else treatment.name
        expectation = Expectation(Accept(tls=client.secure), target, None, lasting, plugin, shared=True)

        def listen(lease: SharedLease) -> Endpoint:
            shared = SharedServer(services, treatment, lease, self, client)
            self._open[lease.key] = self._used[id(shared.mode)] = shared
            return shared.advertised

        return self.leases.obtain(expectation, client, now, listen)

    def closed(self, shared: SharedServer) -> None:
        """It listens no more."""
        self._open.pop(shared.lease.key, None)
        self.leases.close(shared.lease)

    def left(self, shared: SharedServer) -> None:
        """It listens no more, and nobody is there who came through it."""
        self._used.pop(id(shared.mode), None)

    def close(self) -> None:
        """None of them listens any more."""
        for shared in self.open:
            shared.close()


class SharedServer:
    """One of them."""

    def __init__(
        self, services: Services, treatment: Treatment, lease: SharedLease, shared: SharedServers, client: Leg
    ) -> None:
        """Listen where that client reaches us.

        Raises:
            BindError: no port is free.
        """
        self._services = services
        self.lease = lease
        self.treatment = treatment
        self._shared = shared
        self._server: asyncio.Server | None = None
        self._closed = False
        self._connections = 0
        plan = lease.key.target
        scheme = ("tls" if plan.tls else "tcp") if lease.key.plugin is None else ("https" if plan.tls else "http")
        at = f"{plan.name}:{plan.target.port}" if plan.name else plan.target
        # A copy: mitmproxy parses the same words into the same object.
        self.mode: compat.mode_specs.ProxyMode = copy(compat.mode_specs.ProxyMode.parse(f"reverse:{scheme}://{at}"))
        self._instance = compat.server_instance(self.mode)
        self._port = services.ports.open(treatment.realms[Side.CLIENT], client.local.address, bound)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(lease.expectation.lifetime, self._look)
        services.run(self._serve())

    @property
    def advertised(self) -> Endpoint:
        """What is told of it."""
        return self._port.advertised

    async def _serve(self) -> None:
        """Accept; those who came meanwhile wait in the kernel."""
        self._server = await asyncio.start_server(self._came, sock=self._port.sock)
        if self._closed:
            self._server.close()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = endpoint_of(writer.get_extra_info("peername"))
        try:
            self.lease.admit(peer.address, asyncio.get_running_loop().time())
        except PolicyError as error:
            self._services.record("alg:", error.reason, f"at {self._port.local}: {error}")
            compat.reset_stream(writer)
            return
        self._connections += 1
        try:
            await self._instance.handle_stream(reader, writer)
        finally:
            self._connections -= 1
            self._leave()

    @property
    def target(self) -> Endpoint:
        """Where it leads: what was judged, also where the mode has the name that is asked for there."""
        return self.lease.key.target.target

    def _leave(self) -> None:
        if self._closed and not self._connections:
            self._shared.left(self)

    def _look(self) -> None:
        """Close if nobody may come any more, or look again."""
        loop = asyncio.get_running_loop()
        if loop.time() < self.lease.deadline:
            self._timer = loop.call_later(self.lease.expectation.lifetime, self._look)
            return
        self._services.record("alg:", "lease_expired", f"{self._port.local}: nobody has asked any more")
        self.close()

    def close(self) -> None:
        """Stop listening; what came through lives on, under the same rules."""
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            self._server.close()
        self._timer.cancel()
        self._port.give_back()
        self._shared.closed(self)
        self._leave()

"""`SharedListener`: a dynamic listener that all sessions of a route share. Who was told of it and comes begins a session
of its own: under the same rules, with the target as its upstream.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from alg.core.addresses import Address
from alg.core.commands import OpenBinding
from alg.core.errors import BindError, PolicyError
from alg.core.events import BindingOpened, CommandFailed, Event
from alg.core.model import Connect, Endpoint, Expectation, Leg, Side
from alg.core.policy import TargetRules
from alg.core.shared import SharedKey, SharedLease, SharedLeases
from alg.relay import sockets
from alg.relay.lease import LeaseListener
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.tls_settings import RouteTls
from alg.settings import Route, Upstream


class SharedListeners:
    """Those of one route."""

    __slots__ = ("_on_accepted", "_open", "_route", "_services", "_tls", "leases", "targets")

    def __init__(
        self,
        services: Services,
        route: Route,
        tls: RouteTls | None,
        targets: dict[Side, TargetRules],
        on_accepted: Callable[[SharedListener, socket.socket, Endpoint], None],
    ) -> None:
        self._services = services
        self._route = route
        self._tls = tls
        self.targets = targets
        self._on_accepted = on_accepted
        self.leases = SharedLeases(services.limits.leases.shared)
        self._open: set[SharedListener] = set()

    def open(self, command: OpenBinding, leg: Leg) -> Event:
        """Listen for an expectation, or find who does; `leg` is that of the client who will be told."""
        expectation = command.expectation
        plan = expectation.server
        assert isinstance(plan, Connect), "only clients come"
        key = SharedKey(leg.local.address, plan, expectation.client.tls, expectation.plugin)
        try:
            lease = self.leases.find(key) or self._listen(key, expectation, leg)
            lease.tell(leg.peer.address, self._services.loop.time())
        except BindError as error:
            return CommandFailed(command.number, error)
        assert lease.endpoint is not None, "it listens"
        return BindingOpened(command.number, {Side.CLIENT: lease.endpoint})

    def _listen(self, key: SharedKey, expectation: Expectation, leg: Leg) -> SharedLease:
        lease = self.leases.begin(key, expectation)
        route = self._route
        plan = key.target
        toward = replace(
            route,
            upstream=Upstream(plan.name or str(plan.target.address), plan.target.port),
            client_tls=replace(route.client_tls, implicit=key.tls),
            server_tls=replace(route.server_tls, implicit=plan.tls),
        )
        listener = SharedListener(self._services, toward, lease, self._tls, self, leg, self._on_accepted)
        self.leases.opened(lease, listener.advertised)
        self._open.add(listener)
        return lease

    def closed(self, listener: SharedListener) -> None:
        """It listens no more."""
        self._open.discard(listener)
        self.leases.close(listener.lease)

    def close(self) -> None:
        """None of them listens any more."""
        for listener in list(self._open):
            listener.close()


class SharedListener:
    """One of them; to sessions it is what `Listener` is."""

    __slots__ = (
        *(
            "_family",
            "_listener",
            "_on_accepted",
            "_services",
            "is_opaque",
            "lease",
            "local",
            "route",
            "shared",
            "targets",
        ),
        *("tls",),
    )

    def __init__(
        self,
        services: Services,
        route: Route,
        lease: SharedLease,
        tls: RouteTls | None,
        shared: SharedListeners,
        leg: Leg,
        on_accepted: Callable[[SharedListener, socket.socket, Endpoint], None],
    ) -> None:
        """Listen.

        Raises:
            BindError: no port or descriptor is free.
        """
        self._services = services
        self.route = route
        self.lease = lease
        self.tls = tls
        self.shared = shared
        self.targets = shared.targets
        self._on_accepted = on_accepted
        self.is_opaque = lease.key.plugin is None
        services.budget.take_related()
        try:
            self._listener = LeaseListener(
                services, route.realms[Side.CLIENT], Side.CLIENT, leg, self._came, self._trouble
            )
        except BindError:
            services.budget.give_related()
            raise
        self.local = self._listener.local
        services.timeouts(lease.expectation.lifetime).begin(self._look)

    @property
    def advertised(self) -> Endpoint:
        """What is told of it."""
        return self._listener.advertised

    @property
    def name(self) -> str:
        """The protocol of the route."""
        return self.route.plugin.name

    def upstream_for(self, client: Address) -> Sequence[Endpoint]:  # noqa: ARG002 - as `Listener`
        """Where to connect."""
        return (self.lease.key.target.target,)

    def _came(self, _: LeaseListener, sock: socket.socket, peer: Endpoint) -> None:
        try:
            self.lease.admit(peer.address, self._services.loop.time())
        except PolicyError as error:
            sockets.reset(sock)
            fields = {"peer": peer, "listener": self.local}
            record(error.reason, f"at {self.local}: {error}", protocol=self.name, fields=fields)
            return
        sock.setblocking(False)
        self._on_accepted(self, sock, peer)

    def _trouble(self, message: str) -> None:
        record("accept_failed", message, protocol=self.name)

    def _look(self) -> None:
        """Close if nobody may come any more, or look again."""
        if self._listener.closed:
            return
        if self._services.loop.time() >= self.lease.deadline:
            record("lease_expired", f"{self.local}: nobody has asked any more", protocol=self.name)
            self.close()
        else:
            self._services.timeouts(self.lease.expectation.lifetime).begin(self._look)

    def close(self) -> None:
        """Stop listening; sessions that came through live on."""
        if not self._listener.closed:
            self._listener.close()
            self._services.budget.give_related()
            self.shared.closed(self)

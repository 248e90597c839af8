"""`SharedListener`: a dynamic listener that all sessions of a route share. Who was told of it and comes begins a session
of its own: under the same rules, with the target as its upstream.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from alg.core.addresses import Address, is_this_host
from alg.core.commands import OpenBinding
from alg.core.errors import AlgError, BindError, PolicyError
from alg.core.events import BindingOpened, CommandFailed, Event
from alg.core.model import Endpoint, Leg, Side
from alg.core.policy import TargetRules
from alg.core.shared import SharedKey, SharedLease, SharedLeases
from alg.relay import sockets
from alg.relay.deadline import Deadline
from alg.relay.lease import LeaseListener
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.tls_settings import RouteTls
from alg.settings import Route, Upstream


class SharedListeners:
    """Those of one route."""

    __slots__ = ("_closed", "_on_accepted", "_open", "_route", "_services", "_tls", "leases", "targets")

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
        self._closed = False

    def open(self, command: OpenBinding, leg: Leg) -> Event:
        """Listen for an expectation, or find who does; `leg` is that of the client who will be told."""
        now = self._services.loop.time()
        try:
            listener = self.leases.obtain(command.expectation, leg, now, partial(self._listen, leg))
        except AlgError as error:
            return CommandFailed(command.number, error)
        return BindingOpened(command.number, {Side.CLIENT: listener})

    def _listen(self, leg: Leg, lease: SharedLease) -> Endpoint:
        if self._closed:
            raise BindError("the gateway accepts nobody any more", reason="stopped")
        listener = SharedListener(self._services, self._toward(lease.key), lease, self._tls, self, leg)
        self._open.add(listener)
        return listener.advertised

    def _toward(self, key: SharedKey) -> Route:
        """The route of the sessions that come through: the same, but for where it leads, and who treats them."""
        route, target = self._route, key.target
        if key.plugin is not None and key.plugin != route.plugin.name:
            plugin = self._services.registry.find(key.plugin)
            route = replace(route, plugin=plugin, config=None)
        return replace(
            route,
            upstream=Upstream(target.name or str(target.target.address), target.target.port),
            client_tls=replace(route.client_tls, implicit=key.tls),
            server_tls=replace(route.server_tls, implicit=target.tls),
        )

    def accepted(self, listener: SharedListener, sock: socket.socket, peer: Endpoint) -> None:
        """Somebody who was told has come."""
        self._on_accepted(listener, sock, peer)

    def closed(self, listener: SharedListener) -> None:
        """It listens no more."""
        self._open.discard(listener)
        self.leases.close(listener.lease)

    def close(self) -> None:
        """None of them listens any more, and no further one will."""
        self._closed = True
        for listener in list(self._open):
            listener.close()


class SharedListener:
    """One of them; to sessions it is what `Listener` is."""

    awaited: ClassVar[tuple[Address, ...]] = ()

    __slots__ = (
        "_deadline",
        "_listener",
        "_services",
        "is_opaque",
        "lease",
        "local",
        "route",
        "shared",
        "targets",
        "tls",
    )

    def __init__(
        self,
        services: Services,
        route: Route,
        lease: SharedLease,
        tls: RouteTls | None,
        shared: SharedListeners,
        leg: Leg,
    ) -> None:
        """Listen, where `leg` reaches clients. `route` is that of the sessions that begin here.

        Raises:
            BindError: no port or descriptor is free.
        """
        self._services = services
        self.route = route
        self.lease = lease
        self.tls = tls
        self.shared = shared
        on_loopback = is_this_host(lease.key.target.target.address)  # as was judged when it was announced
        server = replace(shared.targets[Side.SERVER], loopback=on_loopback)
        self.targets = {**shared.targets, Side.SERVER: server}
        self.is_opaque = lease.key.plugin is None
        services.budget.take_related()
        try:
            self._listener = LeaseListener(
                *(services, route.realms[Side.CLIENT], Side.CLIENT, leg, self._came, self._trouble),
                backlog=sockets.BACKLOG,  # as for the route's own: many may come at once
            )
        except BindError:
            services.budget.give_related()
            raise
        self.local = self._listener.local
        self._deadline = Deadline(services.loop, self._look)
        self._deadline.set(lease.expectation.lifetime)

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
        self.shared.accepted(self, sock, peer)

    def _trouble(self, message: str) -> None:
        record("accept_failed", message, protocol=self.name)

    def _look(self) -> None:
        """Close if nobody may come any more, or look again when the last who may no longer may."""
        left = self.lease.deadline - self._services.loop.time()
        if left > 0:
            self._deadline.set(left)
            return
        fields = {"listener": self.local, "target": self.lease.key.target.target}
        record("lease_expired", f"{self.local}: nobody has asked any more", protocol=self.name, fields=fields)
        self.close()

    def close(self) -> None:
        """Stop listening; sessions that came through live on."""
        if not self._listener.closed:
            self._deadline.close()
            self._listener.close()
            self._services.budget.give_related()
            self.shared.closed(self)

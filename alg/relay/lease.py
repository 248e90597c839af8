"""`RelayedLease`: the sockets behind a lease. They listen from the moment it exists, let through whom it admits, reset
everybody else without using it up, and are gone when it is used up, expired or given back.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from alg.core.errors import BindError, PolicyError
from alg.core.events import RelatedEnded
from alg.core.model import Endpoint, Leg, Realm, Side
from alg.core.session import Lease
from alg.relay import sockets
from alg.relay.flow import RelayedFlow
from alg.relay.owner import LeaseOwner
from alg.relay.related import RelatedFlow
from alg.relay.services import Services

_BACKLOG = 8
_ACCEPTS = 32  # in one go, before the loop turns to the others
_PAUSE = 1.0  # seconds without accepting, when there are no descriptors


class LeaseListener:
    """Listens on one side for a lease, at a port from the pool of the realm that it faces."""

    __slots__ = ("_on_came", "_on_trouble", "_port", "_services", "_sock", "side")

    def __init__(
        self,
        services: Services,
        realm: Realm,
        side: Side,
        leg: Leg,
        on_came: Callable[[LeaseListener, socket.socket, Endpoint], None],
        on_trouble: Callable[[str], None],
        *,
        backlog: int = _BACKLOG,
    ) -> None:
        """Open the listener, where `leg` reaches that side. Whoever comes is handed to `on_came`; `on_trouble` hears why
        nobody can be accepted.

        Raises:
            BindError: no port is free.
        """
        self.side = side
        self._services = services
        self._on_came = on_came
        self._on_trouble = on_trouble
        self._port = services.ports.open(realm, leg.local.address, partial(sockets.listen, backlog=backlog))
        self._sock = self._port.sock
        self._services.watcher.add_reader(self._sock.fileno(), self._acceptable)

    @property
    def local(self) -> Endpoint:
        """Where it listens."""
        return self._port.local

    @property
    def advertised(self) -> Endpoint:
        """What is told of it."""
        return self._port.advertised

    def _acceptable(self) -> None:
        for _ in range(_ACCEPTS):
            if self.closed:
                return
            try:
                sock, sockaddr = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors in the whole system: wait for better times
                self._services.watcher.remove_reader(self._sock.fileno())
                self._services.timeouts(_PAUSE).begin(self._restart)
                self._on_trouble(f"at {self.local}: {error.strerror}; trying again in {_PAUSE:g} s")
                return
            self._on_came(self, sock, sockets.endpoint_of(sockaddr))

    def _restart(self) -> None:
        if self._sock.fileno() >= 0:
            self._services.watcher.add_reader(self._sock.fileno(), self._acceptable)

    @property
    def closed(self) -> bool:
        """Whether it listens no more."""
        return self._sock.fileno() < 0

    def close(self) -> None:
        """Stop listening; the port goes back to its pool. The second time nothing happens."""
        if self.closed:
            return
        self._services.watcher.forget(self._sock.fileno())
        self._sock.close()
        self._port.give_back()


class RelayedLease:
    """One lease of a session: its listeners, one for each side on which we accept, and its deadline."""

    __slots__ = ("_asker", "_lease", "_listeners", "_session", "_timer", "_waiting")

    def __init__(self, session: LeaseOwner, lease: Lease, asker: RelayedFlow) -> None:
        """Open the listeners. `asker` is the flow that expects; it is told what comes of it.

        Raises:
            BindError: no port or descriptor is free.
        """
        services = session.services
        self._session = session
        self._lease = lease
        self._asker = asker
        self._waiting: RelatedFlow | None = None
        """A flow one of whose legs has come, where both are accepted."""
        self._listeners: list[LeaseListener] = []
        if lease.expectation.accepted:
            services.budget.take_related()
        try:
            for side in lease.expectation.accepted:
                realm, leg = session.route.realms[side], session.legs[side]
                self._listeners.append(LeaseListener(services, realm, side, leg, self._came, self._trouble))
        except BindError:
            self._close_listeners()
            raise
        lease.start(services.loop.time())
        self._timer = services.timeouts(lease.expectation.lifetime).begin(self._expire)

    @property
    def endpoints(self) -> dict[Side, Endpoint]:
        """What to advertise, for each side on which we accept."""
        return {listener.side: listener.advertised for listener in self._listeners}

    def _trouble(self, message: str) -> None:
        self._session.write("accept_failed", message)

    def _came(self, listener: LeaseListener, sock: socket.socket, peer: Endpoint) -> None:
        """Somebody came: let it through, or reset it."""
        services, session, lease = self._session.services, self._session, self._lease
        try:
            lease.admit(listener.side, peer.address, services.loop.time())
        except PolicyError as error:
            sockets.reset(sock)
            fields = {"peer": peer, "listener": listener.local}
            session.write(error.reason, f"at {listener.local}: {error}", fields)
            return
        sock.setblocking(False)
        flow = self._waiting
        if flow is None:
            try:
                services.budget.take_related()
            except BindError as error:
                sockets.reset(sock)
                session.write(error.reason, f"at {listener.local}: {error}")
                self._asker.tell(RelatedEnded(lease.number, None))
                self._close_if_used_up(listener)
                return
            flow = RelatedFlow(session, lease, self._asker)
        self._waiting = flow if len(lease.expectation.accepted) > 1 and self._waiting is None else None
        self._close_if_used_up(listener)
        flow.arrive(listener.side, sock, peer, listener.local)

    def _close_if_used_up(self, listener: LeaseListener) -> None:
        lease = self._lease
        if all(map(lease.used_up, lease.expectation.accepted)):
            self._session.close_binding(lease.number)
        elif lease.used_up(listener.side):
            listener.close()

    def dial(self) -> None:
        """Both legs are dialled: do it."""
        services, session = self._session.services, self._session
        session.close_binding(self._lease.number)
        try:
            services.budget.take_related()
        except BindError as error:
            session.write(error.reason, str(error))
            self._asker.tell(RelatedEnded(self._lease.number, None))
            return
        RelatedFlow(session, self._lease, self._asker).dial()

    def _expire(self) -> None:
        what = self._lease.expectation.describe(self.endpoints)
        self._session.write("lease_expired", f"nobody came in time: {what}")
        self._session.close_binding(self._lease.number)

    def close(self) -> None:
        """Stop listening; a leg that still waits for the other one is cut off."""
        self._timer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting:
            waiting.give_up()
        self._close_listeners()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._lease.expectation.accepted:
            self._session.services.budget.give_related()

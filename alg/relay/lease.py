"""`RelayedLease`: the sockets behind a lease. They listen from the moment it exists, let through whom it admits, reset
everybody else without using it up, and are gone when it is used up, expired or given back.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from alg.core.addresses import within
from alg.core.errors import AlgError, BindError, PolicyError
from alg.core.events import RelatedEnded
from alg.core.model import Connect, Endpoint, Leg, Realm, Side
from alg.core.session import Lease
from alg.relay import sockets
from alg.relay.claims import Claim
from alg.relay.flow import RelayedFlow
from alg.relay.owner import LeaseOwner
from alg.relay.reception import Reception
from alg.relay.related import RelatedFlow
from alg.relay.services import Services
from alg.relay.visitor import Visitor

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
        foreign: bool = False,
        at: Endpoint | None = None,
    ) -> None:
        """Open the listener, where `leg` reaches that side. Whoever comes is handed to `on_came`; `on_trouble` hears why
        nobody can be accepted. With `foreign` our end of the leg has another host's address; then the very endpoint may be
        named (`at`).

        Raises:
            BindError: no port is free.
        """
        self.side = side
        self._services = services
        self._on_came = on_came
        self._on_trouble = on_trouble
        listen = partial(sockets.listen, backlog=backlog, transparent=foreign)
        if foreign:
            self._port = services.ports.open_foreign(realm, at or leg.local.address, listen)
        else:
            self._port = services.ports.open(realm, leg.local.address, listen)
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
            sock.setblocking(False)
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

    __slots__ = ("_asker", "_lease", "_listeners", "_receptions", "_session", "_timer", "_waiting")

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
        self._listeners: list[LeaseListener | Claim] = []
        self._receptions: set[Reception] = set()
        """Those who still have to say for whom they come (PROXY protocol)."""
        if lease.expectation.accepted:
            services.budget.take_related()
        try:
            for side in lease.expectation.accepted:
                self._listeners += self._listen(side)
        except BindError:
            self._close_listeners()
            raise
        lease.start(services.loop.time())
        self._timer = services.timeouts(lease.expectation.lifetime).begin(self._expire)

    def _listen(self, side: Side) -> list[LeaseListener | Claim]:
        """Wait on that side: at a listener of ours; at the announced endpoint itself where its owner is reached through us.

        Raises:
            BindError: no port is free.
        """
        session, services, lease = self._session, self._session.services, self._lease
        via = session.route.via
        if via is not None and side is Side.SERVER:
            raise BindError(f"no server can come to us that is behind {via}", reason="not_through_proxy")
        plan = lease.expectation.plan(side.other)
        target = plan.target if isinstance(plan, Connect) else None
        foreign, leg, realm = side in session.foreign, session.legs[side], session.route.realms[side]
        asks = session.asks and side is Side.CLIENT and target is not None
        at = target if target is not None and target.address.version == leg.local.address.version else None
        if asks and at is not None:
            return [self._claim(at)]
        listener = LeaseListener(services, realm, side, leg, self._came, self._trouble, foreign=foreign, at=at)
        if asks:
            # The client speaks to us by the one family, to the server by the other: what it will ask for depends on what
            # it makes of our answer, which holds our port, and our address or none.
            assert target is not None
            server = Endpoint(target.address, listener.advertised.port)
            return [self._claim(server), self._claim(listener.advertised), listener]
        return [self._claim(at), listener] if foreign and at is not None and side is Side.CLIENT else [listener]

    def _claim(self, target: Endpoint) -> Claim:
        """Wait for the client to ask for that."""
        session = self._session
        return Claim(
            session.services.claims, target, self._lease.sources[Side.CLIENT], session.core.party, self._claimed
        )

    @property
    def endpoints(self) -> dict[Side, Endpoint]:
        """What to advertise, for each side on which we accept."""
        return {listener.side: listener.advertised for listener in self._listeners}

    def _trouble(self, message: str) -> None:
        self._session.write("accept_failed", message)

    def _came(self, listener: LeaseListener, sock: socket.socket, peer: Endpoint) -> None:
        """Somebody came to a listener: let it through, or reset it; hear first for whom it comes, if it must say so."""
        route = self._session.route
        if listener.side is Side.SERVER or not within(peer.address, route.proxy_senders):
            self._admit(listener, Visitor(self._session.services, sock, peer, listener.local))
        elif len(self._receptions) >= _BACKLOG:
            sockets.reset(sock)
        else:
            ready, refused = partial(self._introduced, listener), partial(self._not_introduced, listener)
            reception = Reception(self._session.services, route, sock, peer, ready, refused, self._receptions.discard)
            self._receptions.add(reception)

    def _introduced(self, listener: LeaseListener, reception: Reception, visitor: Visitor, _: object) -> None:
        self._receptions.discard(reception)
        self._admit(listener, visitor)

    def _not_introduced(self, listener: LeaseListener, reception: Reception, error: AlgError) -> None:
        self._session.write(error.reason, f"at {listener.local}: {reception.peer}: {error}")

    def _claimed(self, claim: Claim, visitor: Visitor) -> None:
        """Somebody asked for what was announced to it: let it through, or refuse it."""
        self._admit(claim, visitor)

    def _admit(self, listener: LeaseListener | Claim, visitor: Visitor) -> None:
        services, session, lease = self._session.services, self._session, self._lease
        peer = visitor.peer
        try:
            lease.admit(listener.side, peer.address, services.loop.time())
        except PolicyError as error:
            visitor.cut_off(error)
            fields = {"peer": peer, "listener": listener.local}
            session.write(error.reason, f"at {listener.local}: {error}", fields)
            return
        flow = self._waiting
        if flow is None:
            try:
                services.budget.take_related()
            except BindError as error:
                visitor.cut_off(error)
                session.write(error.reason, f"at {listener.local}: {error}")
                self._asker.tell(RelatedEnded(lease.number, None))
                self._close_if_used_up(listener)
                return
            flow = RelatedFlow(session, lease, self._asker)
        self._waiting = flow if len(lease.expectation.accepted) > 1 and self._waiting is None else None
        self._close_if_used_up(listener)
        flow.arrive(listener.side, visitor, listener.local)

    def _close_if_used_up(self, listener: LeaseListener | Claim) -> None:
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
        for reception in list(self._receptions):
            reception.refuse(
                PolicyError("somebody else came first, or nobody is expected any more", reason="lease_used")
            )
        if self._lease.expectation.accepted:
            self._session.services.budget.give_related()

"""`LeaseListener`: the socket behind a lease. It listens from the moment it exists, lets through whom the lease admits,
resets everybody else without using the lease up, and is gone when the lease is used up, expired or given back.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from alg.core.addresses import Address
from alg.core.commands import OpenBinding, Record
from alg.core.errors import AlgError, BindError, PolicyError
from alg.core.events import Event
from alg.core.flow import FlowMachine
from alg.core.model import Connect, Endpoint, Leg, Side
from alg.core.plugin import Field
from alg.core.session import Lease, Session
from alg.relay import sockets
from alg.relay.dialer import Dial
from alg.relay.flow import FlowOwner, RelayedFlow
from alg.relay.leg import LegSocket
from alg.relay.machines import make_machine
from alg.relay.records import wanted
from alg.relay.services import Services
from alg.relay.timeouts import Timeouts
from alg.settings import Route

_ATTEMPTS = 16  # ports that others hold are skipped so often
_BACKLOG = 8
_PAUSE = 1.0  # seconds without accepting, when there are no descriptors


class LeaseOwner(FlowOwner, Protocol):
    """What a lease and the flows that come through it need of their session."""

    services: Services
    route: Route
    legs: dict[Side, Leg]
    core: Session

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record of the session."""

    def local_address(self, side: Side, target: Endpoint) -> Address | None:
        """Where a related flow on that side is dialled from."""

    def add_dial(self, dial: Dial, *, on_cancel: Callable[[], None]) -> None:
        """Something is being connected; the session lives as long."""

    def dial_done(self, dial: Dial) -> None:
        """It is decided."""

    def add_flow(self, flow: RelayedFlow) -> None:
        """A flow has both its legs: let it carry."""

    def related_closed(self, flow: RelayedFlow, began: float, name: object) -> None:
        """A related flow is over."""


@dataclass(frozen=True, slots=True)
class _Path:
    """Who came, through which listener of ours, and where it leads."""

    peer: Endpoint
    at: Endpoint
    target: Endpoint

    def __str__(self) -> str:
        return f"{self.peer} -> {self.at} -> {self.target}"


def _of_family(address: Address, configured: Address | None) -> Address:
    """The configured address where it is of the family that is needed; a route may serve both."""
    return configured if configured is not None and configured.version == address.version else address


class LeaseListener:
    """Listens for one lease of a session, at a port from the pool of the realm that it faces."""

    __slots__ = ("_lease", "_pool", "_session", "_sock", "_timer", "advertised", "local", "origin")

    def __init__(self, session: LeaseOwner, lease: Lease) -> None:
        """Open the listener.

        Raises:
            BindError: no port or descriptor is free.
        """
        services = session.services
        self._session = session
        self._lease = lease
        self.origin = lease.expectation.origin
        realm = session.route.realms[self.origin]
        local = session.legs[self.origin].local.address
        address = _of_family(local, realm.bind)
        self._pool = services.port_pool(address, realm.ports)
        services.budget.take_related()
        try:
            self._sock, self.local = self._bind(address)
        except BindError:
            services.budget.give_related()
            raise
        reached = local if address.is_unspecified else address
        self.advertised = Endpoint(_of_family(reached, realm.advertise), self.local.port)
        services.gate.add_socket(self.local)
        services.watcher.add_reader(self._sock.fileno(), self._acceptable)
        lease.start(services.loop.time())
        self._timer = services.timeouts(lease.expectation.lifetime).begin(self._expire)

    def _bind(self, address: Address) -> tuple[socket.socket, Endpoint]:
        for _ in range(_ATTEMPTS):
            port = self._pool.take()
            if port is None:
                raise BindError(f"all ports {self._pool.ports} are in use", reason="no_port")
            endpoint = Endpoint(address, port)
            try:
                return sockets.listen(endpoint, backlog=_BACKLOG), endpoint
            except OSError as error:
                self._pool.give_back(port)
                if error.errno != errno.EADDRINUSE:
                    raise BindError(f"cannot listen at {endpoint}: {error.strerror}", reason="no_port") from None
        raise BindError(f"{_ATTEMPTS} ports out of {self._pool.ports} were taken by others", reason="no_port")

    def _acceptable(self) -> None:
        services, session = self._session.services, self._session
        while self._sock.fileno() >= 0:
            try:
                sock, sockaddr = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors in the whole system: wait for better times
                services.watcher.remove_reader(self._sock.fileno())
                services.timeouts(_PAUSE).begin(self._restart)
                session.write("accept_failed", f"at {self.local}: {error.strerror}; trying again in {_PAUSE:g} s")
                return
            peer = sockets.endpoint_of(sockaddr)
            try:
                self._lease.admit(peer.address, services.loop.time())
            except PolicyError as error:
                sockets.reset(sock)
                session.write(error.reason, f"at {self.local}: {error}", {"peer": peer, "listener": self.local})
                continue
            sock.setblocking(False)
            if self._lease.used_up:
                session.close_binding(self._lease.number)
            try:
                services.budget.take_related()
            except BindError as error:
                sockets.reset(sock)
                session.write(error.reason, f"at {self.local}: {error}")
                continue
            RelatedFlow(session, self._lease, sock, peer, self.local)

    def _restart(self) -> None:
        if self._sock.fileno() >= 0:
            self._session.services.watcher.add_reader(self._sock.fileno(), self._acceptable)

    def _expire(self) -> None:
        self._session.write("lease_expired", f"nobody came to {self.local} for {self._lease.expectation.target}")
        self._session.close_binding(self._lease.number)

    def close(self) -> None:
        """Stop listening; the port goes back to its pool."""
        services = self._session.services
        self._timer.cancel()
        services.watcher.forget(self._sock.fileno())
        self._sock.close()
        services.gate.remove_socket(self.local)
        self._pool.give_back(self.local.port)
        services.budget.give_related()


class RelatedFlow:
    """A flow that came through a lease: dials the target, then carries; records its beginning and end.

    It owns its flow for the session (`FlowOwner`).
    """

    __slots__ = ("_at", "_began", "_dial", "_lease", "_name", "_peer", "_session", "_sock")

    def __init__(self, session: LeaseOwner, lease: Lease, sock: socket.socket, peer: Endpoint, at: Endpoint) -> None:
        self._session = session
        self._lease = lease
        self._sock = sock
        self._peer = peer
        self._at = at
        self._began = session.services.loop.time()
        origin = lease.expectation.origin
        plan = lease.expectation.plan(origin.other)
        assert isinstance(plan, Connect), "the relay carries flows that one side opens"
        self._name = _Path(peer, at, plan.target)
        self._dial = Dial(
            session.services.loop,
            session.services.watcher,
            session.services.gate,
            [plan.target],
            source=lambda target: session.local_address(origin.other, target),
            timeouts=session.services.connect_timeouts,
            on_connected=self._connected,
            on_failed=self._failed,
        )
        session.add_dial(self._dial, on_cancel=self._drop)

    def _connected(self, sock: socket.socket, target: Endpoint) -> None:
        session, loop = self._session, self._session.services.loop
        origin = self._lease.expectation.origin
        watcher = session.services.watcher
        try:
            machine = self._machine(sock, target)
        except AlgError as error:
            watcher.forget(sock.fileno())
            sock.close()
            self._failed(error)
            return
        accepted, dialled = LegSocket(loop, watcher, self._sock), LegSocket(loop, watcher, sock)
        legs = {origin: accepted, origin.other: dialled}
        if wanted("flow_open"):
            fields: dict[str, Field] = {"lease": self._lease.number, "peer": self._peer, "target": target}
            session.write("flow_open", str(self._name), fields)
        flow = RelayedFlow(
            loop,
            session.services.pipes,
            {side: legs[side] for side in Side},
            machine=machine,
            owner=self,
        )
        session.add_flow(flow)
        session.dial_done(self._dial)

    def _machine(self, sock: socket.socket, target: Endpoint) -> FlowMachine | None:
        name = self._lease.expectation.plugin
        if name is None:
            return None
        plugin = self._session.services.make_plugin(name, self._session.route)
        origin = self._lease.expectation.origin
        legs = {origin: Leg(self._at, self._peer), origin.other: Leg(sockets.endpoint_of(sock.getsockname()), target)}
        return make_machine(plugin, self._session.core, legs)

    def _failed(self, error: AlgError) -> None:
        self._session.write(error.reason, f"{self._peer} -> {self._at}: {error}", {"lease": self._lease.number})
        self._drop()
        self._session.dial_done(self._dial)

    def _drop(self) -> None:
        sockets.reset(self._sock)
        self._session.services.budget.give_related()

    # `FlowOwner`: a related flow may announce further ones.

    def open_binding(self, command: OpenBinding) -> Event:
        """Listen, on behalf of the session."""
        return self._session.open_binding(command)

    def close_binding(self, number: int) -> None:
        """Stop listening."""
        self._session.close_binding(number)

    def report(self, report: Record) -> None:
        """Write a record."""
        self._session.report(report)

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""
        return self._session.timeouts(seconds)

    def flow_ended(self, flow: RelayedFlow) -> None:
        """Nothing ends with a related flow but itself."""

    def flow_closed(self, flow: RelayedFlow) -> None:
        """Record it, and give back what it used."""
        self._session.services.budget.give_related()
        self._session.related_closed(flow, self._began, self._name)

"""`DatagramLease`: the ports behind a lease over UDP. A port over UDP is not done with when somebody has come, so all of it ends
together, after a time of silence or with its session. What comes through the ports is in `alg.relay.datagram_port`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from alg.core.binding import Field
from alg.core.errors import BindError, PolicyError
from alg.core.events import Event, RelatedEnded
from alg.core.model import Endpoint, Leg, Outcome, Side
from alg.core.session import Lease, Session
from alg.dynamic_ports import DynamicPort
from alg.relay import datagram_sockets as datagrams
from alg.relay.datagram_port import LeasePort, RelatedDatagrams
from alg.relay.server_socket import ServerSocket
from alg.relay.services import Services
from alg.settings import Route

IDLE = 60.0
"""Seconds of silence after which a related flow is over."""


class DatagramLeaseOwner(Protocol):
    """What a lease needs of its session."""

    @property
    def services(self) -> Services:
        """Those of the relay."""

    route: Route
    foreign: frozenset[Side]
    legs: dict[Side, Leg]
    core: Session

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record of the session."""

    def close_binding(self, number: int) -> None:
        """The lease is over."""


class DatagramLease:
    """One lease: its ports, the flows through each, and its deadline."""

    __slots__ = ("_lease", "_owner", "_ports", "_seen", "_tell", "_timer", "origin", "pair", "target", "traffic")

    def __init__(
        self,
        owner: DatagramLeaseOwner,
        lease: Lease,
        tell: Callable[[Event], None],
        pair: DatagramLease | None = None,
    ) -> None:
        """Open the ports. `tell` hears what comes of each flow; `pair` is the lease for the other way.

        Raises:
            BindError: no port or descriptor is free, or the two are no pair.
        """
        services, expectation = owner.services, lease.expectation
        self._owner = owner
        self._lease = lease
        self._tell = tell
        self.pair: DatagramLease | None = None
        (self.origin,) = expectation.accepted
        (self.target,) = expectation.targets
        if pair is not None and (pair.pair, pair.span, pair.origin) != (None, expectation.span, self.origin.other):
            raise BindError("a pair is of two bindings, one for each way, with as many ports", reason="no_pair")
        self.traffic = 0
        self._seen = -1
        self._ports: list[LeasePort] = []
        taken = 0
        try:
            for _ in range(expectation.span):
                services.budget.take_descriptor()
                taken += 1
            opened = self._open(expectation.span)
        except BindError:
            for _ in range(taken):
                services.budget.give_descriptor()
            raise
        self._ports = [LeasePort(self, each, offset) for offset, each in enumerate(opened)]
        if pair is not None:
            self.pair, pair.pair = pair, self
        lease.start(services.loop.time())
        self._timer = services.timeouts(expectation.lifetime).begin(self._expire)

    def _open(self, span: int) -> list[DynamicPort]:
        """Listen at ports of ours; where we stand for the target, at its own, so that nothing has to be rewritten.

        Raises:
            BindError: there are none.
        """
        owner, ports = self._owner, self.services.ports
        local = owner.legs[self.origin].local.address
        if self.origin not in owner.foreign:
            return ports.open_span(owner.route.realms[self.origin], local, datagrams.listen, span)
        if self.target.address.version != local.version:
            raise BindError(
                f"{self.target} is not of the IP version of {local}, for whose owner we would listen", reason="no_port"
            )
        return ports.open_foreign_span(self.target, partial(datagrams.listen, transparent=True), span)

    @property
    def endpoints(self) -> dict[Side, Endpoint]:
        """What to advertise: the first port."""
        return {self.origin: self._ports[0].port.advertised}

    @property
    def span(self) -> int:
        """How many ports there are."""
        return len(self._ports)

    @property
    def services(self) -> Services:
        """Those of the session."""
        return self._owner.services

    def speak_to(self, target: Endpoint, flow: RelatedDatagrams) -> ServerSocket:
        """Speak to that target, from our end of the leg that its session has there.

        Raises:
            OSError: there is no way to it.
        """
        side = self.origin.other
        address = self._owner.legs[side].local.address
        source = address if address.version == target.address.version else None
        transparent = side in self._owner.foreign
        return ServerSocket(self.services.watcher, target, source, flow, loose=False, transparent=transparent)

    def admit(self, peer: Endpoint, port: LeasePort) -> bool:
        """Whether that sender may begin a flow through that port; if not, it is recorded, and nothing used up."""
        limit = self._lease.expectation.limit
        try:
            if limit is not None and port.came >= limit:
                raise PolicyError(f"{peer} came where {limit} had come, the limit", reason="lease_used")
            self._lease.admit(self.origin, peer.address, self.services.loop.time())
        except PolicyError as error:
            fields: dict[str, Field] = {"peer": peer, "listener": port.port.local}
            self._owner.write(error.reason, f"at {port.port.local}: {error}", fields)
            return False
        return True

    def not_begun(self) -> None:
        """Nothing has come of whom we let through last."""
        self._lease.take_back(self.origin)

    def way_out(self, offset: int) -> LeasePort | None:
        """From where what comes at a port leaves, if that is a port of the pair."""
        return self.pair._ports[offset] if self.pair is not None else None

    def record(self, reason: str, message: str) -> None:
        """Write a record of the session."""
        self._owner.write(reason, message, {"lease": self._lease.number})

    def flow_ended(self, flow: RelatedDatagrams) -> None:
        """One flow is over."""
        seconds = self.services.loop.time() - flow.began
        up, down = flow.said[Side.CLIENT], flow.said[Side.SERVER]
        self.record("flow_close", f"{flow.name} ended after {seconds:.3f} s, {up} bytes up, {down} bytes down")
        self._tell(RelatedEnded(self._lease.number, Outcome(up, down, seconds)))

    def _expire(self) -> None:
        """The time to come is over; from then on, time of silence is counted."""
        if any(port.flows for port in self._ports):
            self._look()
            return
        what = self._lease.expectation.describe(self.endpoints)
        self.record("lease_expired", f"nobody came in time: {what}")
        self._owner.close_binding(self._lease.number)

    def _look(self) -> None:
        if self.traffic == self._seen:
            self._owner.close_binding(self._lease.number)
            return
        self._seen = self.traffic
        self._timer = self.services.timeouts(IDLE).begin(self._look)

    def dial(self) -> None:
        """It is accepted on one side."""
        raise AssertionError("a lease over UDP listens")

    def close(self) -> None:
        """Neither listen nor carry any more."""
        self._timer.cancel()
        if self.pair is not None:
            self.pair.pair, self.pair = None, None
        for port in self._ports:
            port.close()


def make_datagram_lease(
    owner: DatagramLeaseOwner, lease: Lease, tell: Callable[[Event], None], find: Callable[[int], object]
) -> DatagramLease:
    """Open a lease over UDP; `find` returns the session's open lease of a number, of whatever kind.

    Raises:
        BindError: no port or descriptor is free, what it is to be paired with is none of this session's, or its servers are
            behind another proxy.
    """
    via = owner.route.via
    if via is not None:
        raise BindError(f"datagrams cannot go through {via}", reason="not_through_proxy")
    number = lease.expectation.pair
    pair = find(number) if number is not None else None
    if number is not None and not isinstance(pair, DatagramLease):
        raise BindError("there is no such binding to be paired with", reason="no_pair")
    return DatagramLease(owner, lease, tell, pair if isinstance(pair, DatagramLease) else None)

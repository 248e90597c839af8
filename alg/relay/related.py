"""`RelatedFlow`: a flow that was announced: gathers its two legs, accepted or dialled, then carries; records its beginning
and its end, and tells both to the flow that announced it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from alg.core.binding import Field
from alg.core.errors import AlgError, ConnectError
from alg.core.events import RelatedEnded
from alg.core.flow import FlowMachine
from alg.core.machines import make_machine
from alg.core.model import Accept, Connect, Endpoint, Leg, Outcome, Side
from alg.core.session import Lease
from alg.relay import sockets
from alg.relay.dialer import Attempt
from alg.relay.flow import RelayedFlow
from alg.relay.owner import LeaseOwner
from alg.relay.reach import reach
from alg.relay.records import wanted
from alg.relay.visitor import Visitor


@dataclass(frozen=True, slots=True)
class _End:
    """One leg, before there is a flow."""

    visitor: Visitor
    leg: Leg


class RelatedFlow:
    """One related flow of a session, from its first leg to its record. It may announce further ones, as the master may."""

    __slots__ = ("_asker", "_began", "_dial", "_ends", "_lease", "_name", "_over", "_session")

    def __init__(self, session: LeaseOwner, lease: Lease, asker: RelayedFlow) -> None:
        """`arrive` or `dial` follows. The descriptors have been taken from the budget; they are given back here."""
        self._session = session
        self._lease = lease
        self._asker = asker
        self._ends: dict[Side, _End] = {}
        self._dial: Attempt | None = None
        self._name = ""
        self._over = False
        self._began = session.services.loop.time()

    # The legs.

    def arrive(self, side: Side, visitor: Visitor, at: Endpoint) -> None:
        """That side's leg was accepted."""
        if self._over:
            visitor.cut_off(ConnectError("its other leg is gone", reason="no_leg"))
            return
        self._ends[side] = _End(visitor, Leg(at, visitor.peer))
        self._advance()

    def dial(self) -> None:
        """Both legs are dialled, the server's first."""
        self._advance()

    def _advance(self) -> None:
        """See to the next leg that is missing, if it is ours to see to."""
        for side in (Side.SERVER, Side.CLIENT):
            if side not in self._ends:
                plan = self._lease.expectation.plan(side)
                if isinstance(plan, Connect):
                    self._connect(side, plan.target)
                return
        self._begin()

    def _connect(self, side: Side, target: Endpoint) -> None:
        session, services = self._session, self._session.services
        # What stands before the servers does not stand before the clients.
        route = session.route if side is Side.SERVER else replace(session.route, via=None)
        self._dial = reach(
            services,
            route,
            [target],
            source=lambda target: session.local_address(side, target),
            on_connected=lambda sock, target: self._connected(side, sock, target),
            on_failed=self._failed,
            transparent=side in session.foreign,
        )
        session.add_dial(self._dial, on_cancel=self.give_up)

    def _connected(self, side: Side, sock: socket.socket, target: Endpoint) -> None:
        dial, self._dial = self._dial, None
        local = sockets.endpoint_of(sock.getsockname())
        self._ends[side] = _End(Visitor(self._session.services, sock, target, local), Leg(local, target))
        if side is Side.SERVER:
            client = self._ends.get(Side.CLIENT)
            self._session.introduce(sock, client.leg if client else None)
        self._advance()
        if dial:
            self._session.dial_done(dial)

    def _failed(self, error: AlgError) -> None:
        who = ", ".join(f"{end.leg.peer} -> {end.leg.local}" for end in self._ends.values())
        self._session.write(error.reason, f"{who}: {error}" if who else str(error), {"lease": self._lease.number})
        dial, self._dial = self._dial, None
        self.give_up(error)
        if dial:
            self._session.dial_done(dial)

    def give_up(self, error: AlgError | None = None) -> None:
        """There will be no flow: cut off what legs there are, and say why where one was asked for."""
        if self._over:
            return
        self._over = True
        for end in self._ends.values():
            end.visitor.cut_off(error or ConnectError("its session has ended", reason="session_over"))
        self._session.services.budget.give_related()
        self._asker.tell(RelatedEnded(self._lease.number, None))

    # The flow.

    def _begin(self) -> None:
        session, services = self._session, self._session.services
        expectation = self._lease.expectation
        try:
            machine = self._machine()
        except AlgError as error:
            self._failed(error)
            return
        path = [self._path(side) for side in self._order]
        self._name = " -> ".join(path)
        if wanted("flow_open"):
            first, last = (self._ends[side].leg.peer for side in self._order)
            fields: dict[str, Field] = {"lease": self._lease.number, "peer": first, "target": last}
            session.write("flow_open", self._name, fields)
        self._ends[Side.CLIENT].visitor.grant(self._ends[Side.SERVER].leg.local)
        flow = RelayedFlow(
            services.loop,
            services.pipes,
            {side: self._ends[side].visitor.leg() for side in Side},
            machine=machine,
            owner=session,
            on_closed=self._closed,
            covered=tuple(side for side in Side if expectation.plan(side).tls),
        )
        session.add_flow(flow)

    @property
    def _order(self) -> tuple[Side, Side]:
        """The side that came first: the one where we accepted."""
        origin = next(iter(self._lease.expectation.accepted), Side.CLIENT)
        return origin, origin.other

    def _path(self, side: Side) -> str:
        leg = self._ends[side].leg
        accepted = isinstance(self._lease.expectation.plan(side), Accept)
        first = side is self._order[0]
        if accepted:
            return f"{leg.peer} -> {leg.local}" if first else f"{leg.local} <- {leg.peer}"
        return f"{leg.peer} <- {leg.local}" if first else f"{leg.peer}"

    def _machine(self) -> FlowMachine | None:
        name = self._lease.expectation.plugin
        if name is None:
            return None
        plugin = self._session.services.make_plugin(name, self._session.route)
        route = self._session.route
        legs = {side: replace(self._ends[side].leg, tls_policy=route.tls_policy(side)) for side in Side}
        return make_machine(plugin, self._session.core, legs)

    def _closed(self, flow: RelayedFlow) -> None:
        """Tell whoever announced it, record it, and give back what it used."""
        services = self._session.services
        services.budget.give_related()
        from_client, from_server = (flow.legs[side].received for side in Side)
        client, server = (flow.tls.info(side) if flow.tls else None for side in Side)
        seconds = services.loop.time() - self._began
        outcome = Outcome(from_client, from_server, seconds, client, server, flow.error)
        self._asker.tell(RelatedEnded(self._lease.number, outcome))
        flow.discard()
        self._session.related_closed(flow, self._began, self._name)

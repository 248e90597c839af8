"""A session in memory: a playbook for the master flow, one for each related flow, and what a host does between them: who
is let through a listener, where a leg is dialled, when a lease expires, who is told of an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alg.core.errors import AlgError, ConnectError, PolicyError
from alg.core.model import Connect, Endpoint, Expectation, Outcome, Side
from alg.core.plugin import Plugin
from alg.registry import Registry
from alg.testing import Playbook
from tests.conformance.memory_network import MemoryPeer, MemoryTarget, Opaque


class MemorySession:
    """A master flow, its listeners, and the flows that came through them."""

    def __init__(self, talk: Playbook, targets: Mapping[Endpoint, MemoryTarget], free_port: Callable[[], int]) -> None:
        self._talk = talk
        self._targets = targets
        self._free_port = free_port
        self._records: list[str] = []
        self._listening: dict[Endpoint, tuple[int, Side]] = {}
        self._dialled: set[int] = set()
        self._waiting: dict[int, MemoryPeer] = {}
        """Who has come where both legs are accepted, and the other one is yet to come."""
        self._flows: list[Playbook] = []
        talk.gate.add_socket(talk.legs[Side.CLIENT].local)
        self._settle()

    def peers(self) -> tuple[MemoryPeer, MemoryPeer]:
        """The client and the server of the master flow."""
        client, server = (MemoryPeer(side, leg.peer, leg.local) for side, leg in self._talk.legs.items())
        for peer in (client, server):
            peer.join(self._talk, self._settle)
        return client, server

    @property
    def reasons(self) -> list[str]:
        """The reasons of all records: those of the playbook, and behind them those that a host adds."""
        return [*self._talk.reasons, *self._records]

    def check_over(self) -> None:
        """All flows have ended, and nothing is held."""
        assert self._talk.closed, "the master flow goes on"
        assert all(flow.closed for flow in self._flows), "a related flow goes on"
        assert not self._listening, f"somebody listens: {self._listening}"
        assert self._talk.gate.pending_leases == 0

    # Listeners.

    def _settle(self) -> None:
        """After whatever happened: see who listens now, what is to be dialled, and whether all is over."""
        talk = self._talk
        listening = {
            at: (lease.number, side)
            for lease in talk.leases
            for side, at in talk.listeners.get(lease.number, {}).items()
            if not lease.used_up(side)
        }
        for at in self._listening.keys() - listening.keys():
            talk.gate.remove_socket(at)
        for at in listening.keys() - self._listening.keys():
            talk.gate.add_socket(at)
        self._listening = listening
        for number in [number for number in self._waiting if talk.session.find(number) is None]:
            self._waiting.pop(number).cut()
        for number in talk.dialled:
            if number not in self._dialled:
                self._dialled.add(number)
                self._begin(number, {})
        if talk.error is not None and not isinstance(talk.error, ConnectError):
            for flow in self._flows:
                if not flow.closed:
                    flow.lose(Side.SERVER, "the session was ended")

    def listens_at(self, at: Endpoint) -> bool:
        """Whether there is a listener."""
        return at in self._listening

    def come(self, to: Endpoint, source: Endpoint) -> MemoryPeer:
        """Somebody connects.

        Raises:
            ConnectionResetError: it is not let through.
        """
        number, side = self._listening[to]
        lease = self._talk.session.find(number)
        assert lease is not None, "a listener has a lease"
        try:
            lease.admit(side, source.address, self._talk.now)
        except PolicyError as error:
            self._records.append(error.reason)
            raise ConnectionResetError(str(error)) from None
        peer = MemoryPeer(side, source, to)
        came = {side: peer}
        if len(lease.expectation.accepted) == len(Side):
            if number not in self._waiting:
                self._waiting[number] = peer
                self._settle()
                return peer
            came[side.other] = self._waiting.pop(number)
        if all(map(lease.used_up, lease.expectation.accepted)):
            self._talk.session.release(number)
        self._begin(number, came)
        self._settle()
        return peer

    @property
    def next_deadline(self) -> float:
        """When the next lease expires, or the flow's own deadline passes."""
        talk = self._talk
        own = [] if talk.closed or talk.deadline is None else [talk.deadline]
        return min((*self._lease_deadlines, *own), default=float("inf"))

    @property
    def _lease_deadlines(self) -> list[float]:
        own = [lease.deadline for lease in self._talk.leases if lease.deadline is not None]
        return own + [lease.deadline for lease in self._talk.shared]

    def pass_time(self, until: float) -> None:
        """Let time pass."""
        self._records += ["lease_expired" for deadline in self._lease_deadlines if deadline <= until]
        self._talk.now = until
        self._talk.wait(0.0)
        self._settle()

    # Related flows.

    def _begin(self, number: int, peers: dict[Side, MemoryPeer]) -> None:
        """Dial the legs that are missing, the server's first, and join them."""
        expectation = self._talk.expectations[number - 1]
        try:
            for side in (Side.SERVER, Side.CLIENT):
                if side not in peers:
                    peers[side] = self._dial(side, expectation)
            plugin = self._plugin(expectation)
        except AlgError as error:
            self._records.append(error.reason)
            for peer in peers.values():
                peer.cut()
            self._talk.related_ended(number, None)
            return
        client, server = peers[Side.CLIENT], peers[Side.SERVER]
        flow = Playbook(
            plugin,
            client=str(client.local),
            client_local=str(client.remote),
            server=str(server.local),
            server_local=str(server.remote),
            implicit_tls=[side for side in Side if expectation.plan(side).tls],
        )
        flow.now = self._talk.now
        self._flows.append(flow)
        began, told = self._talk.now, False

        def after() -> None:
            nonlocal told
            if flow.closed and not told:
                told = True
                seconds = self._talk.now - began
                self._over(number, Outcome(client.said, server.said, seconds, error=flow.error))

        for peer in (client, server):
            peer.join(flow, after)

    def _dial(self, side: Side, expectation: Expectation) -> MemoryPeer:
        plan = expectation.plan(side)
        assert isinstance(plan, Connect), "it is not accepted"
        self._talk.gate.judge_dial(plan.target)
        target = self._targets.get(plan.target)
        if target is None:
            raise ConnectError(f"nobody listens at {plan.target}", reason="connect_refused")
        peer = MemoryPeer(side, plan.target, Endpoint(self._talk.legs[side].local.address, self._free_port()))
        target.came.append(peer)
        return peer

    def _plugin(self, expectation: Expectation) -> type[Plugin[object]]:
        return Opaque if expectation.plugin is None else Registry().find(expectation.plugin)

    def _over(self, number: int, outcome: Outcome) -> None:
        """A related flow is over: record it, and tell whoever announced it."""
        lost = outcome.error is None or outcome.error.reason.endswith("_lost")
        self._records.append("flow_close" if outcome.error is None or lost else outcome.error.reason)
        self._talk.related_ended(number, outcome)
        self._settle()

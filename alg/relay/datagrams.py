"""`DatagramSessions`: all flows of datagrams of a relay: how one begins, which makes place for another, and how all end.

Nobody knocks before a datagram comes, and its sender may be forged: so nothing here costs more than one socket, whoever is
refused hears nothing, and a flood of them is one record a second.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping

from alg.core.addresses import Address
from alg.core.datagrams import DatagramPlugin
from alg.core.errors import AlgError, BindError, PolicyError
from alg.core.machines import make_plugin
from alg.core.model import Endpoint, Side
from alg.core.policy import TargetRules
from alg.core.rate import RateLimit
from alg.relay.datagram_session import DatagramSession, Way
from alg.relay.datagram_table import DatagramTable
from alg.relay.services import Services
from alg.relay.tally import Tallies
from alg.settings import Route, idle_of

ANSWERS_PER_SECOND = 10
"""How often, in all, something is said on our own account to senders whose address may be forged."""
_LOOKS = 8
"""How often within the shortest idle time all flows are looked at."""
_LONGEST_LOOK = 1.0
_DRAIN_IDLE = 5.0
"""Seconds of silence after which a flow counts as over, when the relay stops: few protocols over UDP say so."""


class DatagramSessions:
    """The flows of all routes, whatever the way by which their clients come."""

    def __init__(self, services: Services, next_number: Callable[[], int]) -> None:
        self.services = services
        self._next_number = next_number
        self._sessions: set[DatagramSession] = set()
        self._dialled: set[tuple[Endpoint, Address]] = set()
        self._table: DatagramTable[DatagramSession] = DatagramTable(
            min(services.limits.datagram_flows, services.budget.descriptors // 2),
            services.limits.datagram_flows_per_client,
        )
        self._answers = RateLimit(ANSWERS_PER_SECOND, burst=ANSWERS_PER_SECOND)
        self.tallies = Tallies(services.loop.time)
        self._idle = asyncio.Event()
        self._idle.set()
        self._longest_idle = float("inf")
        self._period = _LONGEST_LOOK
        self._look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[DatagramSession]:
        return iter(list(self._sessions))

    def serve(self, route: Route) -> None:
        """Flows of that route may come."""
        self._period = min(self._period, idle_of(route) / _LOOKS)

    @staticmethod
    def is_loose(route: Route) -> bool:
        """Whether the server may answer from another port."""
        return issubclass(route.plugin, DatagramPlugin) and route.plugin.loose_peer_port

    def has_dialled(self, local: Endpoint, target: Address) -> bool:
        """Whether one of the flows speaks from there to that host."""
        return (local, target) in self._dialled

    # The beginning.

    def begin(
        self, route: Route, way: Way, target: Endpoint, targets: Mapping[Side, TargetRules]
    ) -> DatagramSession | None:
        """Begin a flow for a client that was not known; None: it is refused, and hears nothing."""
        client = way.peer.address
        session = None
        try:
            plugin = None if route.is_opaque else make_plugin(route.plugin, route.config)
            self._judge(way.peer, target)
            self._make_place(client)
            session = DatagramSession(self, route, self._next_number(), way, idle=idle_of(route))
            session.connect(target)
        except (AlgError, OSError) as error:
            if session is not None:
                self.services.budget.give_descriptor()
            cause = error if isinstance(error, AlgError) else f"{target}: {os.strerror(error.errno or 0)}"
            self.tallies.tell("datagram_refused", f"{way.peer} refused: {cause}", route.plugin.name)
            return None
        self._sessions.add(session)
        self._dialled.add((session.server.local, target.address))
        self._table.add(client, session)
        self._idle.clear()
        if self._look is None:
            self._look = self.services.loop.call_later(self._period, self._look_for_idle)
        try:
            session.begin(plugin, targets)
        except AlgError as error:
            session.close(error)
        return session if session in self._sessions else None

    def _judge(self, peer: Endpoint, target: Endpoint) -> None:
        """
        Raises:
            PolicyError: the target is a socket of ours; or its sender is said to be one, or the target: then what is answered
                would be answered again, for ever.
        """
        self.services.gate.judge_dial(target)
        if peer == target or self.services.gate.is_own_socket(peer):
            raise PolicyError(f"{peer} -> {target} would speak with itself", reason="loop")

    def _make_place(self, client: Address) -> None:
        """Take a place and a descriptor, from another flow if there is none left.

        Raises:
            BindError: connections have them all.
        """
        victim = self._table.victim(client)
        if victim is None:
            try:
                self.services.budget.take_descriptor()
            except BindError:
                victim = self._table.least()
                if victim is None:
                    raise
            else:
                return
        self.tallies.tell("flow_evicted", f"{victim.peer} makes place for {client}", victim.route.plugin.name)
        victim.close(AlgError("ended to make place for another flow", reason="flow_evicted"))
        self.services.budget.take_descriptor()

    def may_answer(self) -> bool:
        """Whether something may be said now to a sender whose address may be forged."""
        return self._answers.admit(self.services.loop.time())

    # While they live.

    def touch(self, session: DatagramSession) -> None:
        """A flow carries a datagram."""
        self._table.touch(session.peer.address, session, assured=session.assured)

    def assure(self, session: DatagramSession) -> None:
        """The client of a flow is where it says."""
        self._table.assure(session.peer.address, session)

    def _look_for_idle(self) -> None:
        self._look = self.services.loop.call_later(self._period, self._look_for_idle) if self._sessions else None
        now = self.services.loop.time()
        for session in self:
            idle = min(session.idle, self._longest_idle)
            if session.leases and session.carries:
                session.last = now
            if now - session.last >= idle:
                session.close(AlgError(f"silent for {idle:g} s", reason="idle"))

    # The end.

    def closed(self, session: DatagramSession) -> None:
        """A flow is over."""
        self._sessions.discard(session)
        self._dialled.discard((session.server.local, session.server.target.address))
        self._table.remove(session.peer.address, session, assured=session.assured)
        self.services.budget.give_descriptor()
        if not self._sessions:
            self._idle.set()

    def drain(self) -> None:
        """The relay stops: what has become silent is over."""
        self._longest_idle = _DRAIN_IDLE

    async def wait_idle(self) -> None:
        """Return when there is no flow."""
        await self._idle.wait()

    def close(self) -> None:
        """End everything now."""
        error = AlgError("the gateway stops", reason="stopped")
        for session in list(self._sessions):
            session.end(error)
        if self._look:
            self._look.cancel()
            self._look = None

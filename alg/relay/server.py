"""`Relay`: the daemon's inside: the listeners of its routes, its sessions, and how it starts and stops.

Everything runs on one event loop. Sessions are admitted before a descriptor is spent on them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from alg.core.addresses import Address
from alg.core.errors import AlgError, BindError, ConfigError
from alg.core.machines import make_plugin
from alg.core.model import Endpoint, Transport
from alg.core.plugin import Plugin
from alg.registry import Registry
from alg.relay.datagram_listener import DatagramListener
from alg.relay.datagrams import DatagramSessions
from alg.relay.doorman import Doorman, needs_doorman
from alg.relay.entrance import Entrance
from alg.relay.intercepted_datagrams import InterceptingListener
from alg.relay.listener import Listener
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.session import RelayedSession
from alg.relay.shared import SharedListener
from alg.relay.visitor import Visitor
from alg.settings import Limits, Route, Times, Way

_LOOKS = 8
"""How often within the idle time all sessions are looked at."""


class Relay:
    """All routes of one daemon on one event loop."""

    def __init__(
        self,
        routes: Sequence[Route],
        registry: Registry,
        *,
        times: Times | None = None,
        limits: Limits | None = None,
        splice: bool = True,
    ) -> None:
        """`splice`: whether bulk may leave Python where the kernel can carry it; if not, it is copied."""
        self.services = Services(registry, times or Times(), limits or Limits(), splice=splice)
        self.routes = routes
        self.listeners: list[Listener] = []
        self.sessions: set[RelayedSession] = set()
        self._numbers = 0
        self.datagrams = DatagramSessions(self.services, self._next_number)
        self._doorman = Doorman(
            self.services,
            self.sessions,
            self.datagrams,
            begin=self._begin_arrived,
            refused=self._record_refusal,
            leave=self._leave,
        )
        self._idle = asyncio.Event()
        self._idle.set()
        self._look: asyncio.TimerHandle | None = None
        self._seen: dict[RelayedSession, tuple[int, float]] = {}
        self._last_refusal = float("-inf")
        self._refusals = 0

    # Start.

    async def start(self) -> None:
        """Listen for all routes, or for none.

        Raises:
            BindError: a listener cannot be opened.
            ConfigError: an upstream cannot be resolved, or is one of our own listeners.
        """
        try:
            for route in self.routes:
                self.listeners.append(self._listen(route))
            for listener in self.listeners:
                self.services.gate.add_socket(listener.local)
            for listener in self.listeners:
                await listener.resolve()
                self._refuse_loops(listener)
        except AlgError:
            self.close()
            raise
        for listener in self.listeners:
            listener.start()
        self._look = self.services.loop.call_later(self.services.times.idle / _LOOKS, self._look_for_idle)

    def _listen(self, route: Route) -> Listener:
        try:
            if route.plugin.transport is Transport.UDP:
                return DatagramListener(self.services, route, self.datagrams)
            if any(rule.plugin.transport is Transport.UDP for rule in route.rules) and route.way is Way.TRANSPARENT:
                return InterceptingListener(self.services, route, self._admit, self.datagrams)
            return Listener(self.services, route, self._admit)
        except OSError as error:
            raise BindError(f"route {route}: cannot listen at {route.listen}: {error.strerror}") from None

    def _refuse_loops(self, listener: Listener) -> None:
        for target in listener.upstream_for(listener.local.address):
            if self.services.gate.is_own_socket(target):
                raise ConfigError(f"route {listener.route}: its upstream {target} is a listener of this gateway")

    # Sessions.

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _admit(self, listener: Listener | SharedListener, sock: socket.socket, peer: Endpoint) -> None:
        """An accepted client: begin its session, if the budget has room for it, or hear what it wants first."""
        route, plugin = listener.route, None
        visitor = Visitor(self.services, sock, peer, listener.local)
        try:
            if not listener.is_opaque:
                plugin = make_plugin(route.plugin, route.config)
            share = self.services.budget.admit(peer.address, related_flows=route.related_flows)
        except AlgError as error:
            self._record_refusal(listener, peer, error)
            visitor.refuse(error, plugin)
            return
        self._idle.clear()
        if isinstance(listener, Listener) and needs_doorman(route):
            self._doorman.receive(listener, sock, peer, share)
        else:
            self._begin(listener, visitor, plugin, share)

    def _begin_arrived(self, arrival: Entrance, visitor: Visitor, share: int) -> None:
        """Begin the session of a client that has said all that it had to say before."""
        plugin = None
        try:
            if not arrival.is_opaque:
                plugin = make_plugin(arrival.route.plugin, arrival.route.config)
        except AlgError as error:
            self._leave(visitor.peer.address, share)
            self._record_refusal(arrival, visitor.peer, error)
            visitor.refuse(error)
            return
        self._begin(arrival, visitor, plugin, share)

    def _begin(self, entrance: Entrance, visitor: Visitor, plugin: Plugin[object] | None, share: int) -> None:
        session = RelayedSession(self.services, entrance, self._next_number(), visitor, plugin, self._session_closed)
        session.share = share
        self.sessions.add(session)

    def _record_refusal(self, listener: Entrance, peer: Endpoint, error: AlgError) -> None:
        """A flood of clients must not become a flood of records: one a second, with the count of the others."""
        self._refusals += 1
        now = self.services.loop.time()
        if now - self._last_refusal >= 1.0:
            record(
                error.reason,
                f"{peer} refused: {error} ({self._refusals} refused since the last such record)",
                protocol=listener.name,
                fields={"refused": self._refusals},
            )
            self._last_refusal, self._refusals = now, 0

    def _session_closed(self, session: RelayedSession) -> None:
        """A session is over."""
        self.sessions.discard(session)
        self._seen.pop(session, None)
        self._leave(session.peer.address, session.share)

    def _leave(self, client: Address, share: int) -> None:
        """Give back what a client had of the budget."""
        self.services.budget.leave(client, share)
        if not self.services.budget.sessions:
            self._idle.set()

    def _look_for_idle(self) -> None:
        """End the sessions whose byte count has not moved for the idle time; no timer per session is needed."""
        self._look = self.services.loop.call_later(self.services.times.idle / _LOOKS, self._look_for_idle)
        now = self.services.loop.time()
        for session in list(self.sessions):
            traffic = session.traffic
            seen, since = self._seen.get(session, (-1, now))
            if traffic != seen:
                self._seen[session] = (traffic, now)
            elif now - since >= self.services.times.idle:
                session.end(AlgError(f"idle for {self.services.times.idle:g} s", reason="idle"))

    # Stop.

    async def drain(self, seconds: float) -> bool:
        """Stop accepting, and give the sessions that time to finish; return whether all did."""
        for listener in self.listeners:
            listener.close()
        self._doorman.close()
        self.datagrams.drain()
        try:
            await asyncio.wait_for(self.wait_idle(), seconds)
        except TimeoutError:
            return False
        return True

    async def wait_idle(self) -> None:
        """Return when there is no session, and nobody who wants one."""
        await self._idle.wait()
        await self.datagrams.wait_idle()

    def close(self) -> None:
        """End everything now. Sessions get the time for a last word: wait for them, and close again."""
        for listener in self.listeners:
            listener.close()
        self._doorman.close()
        self.datagrams.close()
        if self._look:
            self._look.cancel()
        error = AlgError("the gateway stops", reason="stopped")
        for session in list(self.sessions):
            session.end(error)
        if not self.sessions:  # else last words are still to be sent: close again when that is done
            self.services.close()

"""`Relay`: the daemon's inside: the listeners of its routes, its sessions, and how it starts and stops.

Everything runs on one event loop. Sessions are admitted before a descriptor is spent on them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from alg.core.errors import AlgError, BindError, ConfigError
from alg.core.machines import make_plugin
from alg.core.model import Endpoint
from alg.registry import Registry
from alg.relay.listener import Listener
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.session import RelayedSession, refuse
from alg.relay.shared import SharedListener
from alg.settings import Limits, Route, Times

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
            return Listener(self.services, route, self._admit)
        except OSError as error:
            raise BindError(f"route {route}: cannot listen at {route.listen}: {error.strerror}") from None

    def _refuse_loops(self, listener: Listener) -> None:
        for target in listener.upstream_for(listener.local.address):
            if self.services.gate.is_own_socket(target):
                raise ConfigError(f"route {listener.route}: its upstream {target} is a listener of this gateway")

    # Sessions.

    def _admit(self, listener: Listener | SharedListener, sock: socket.socket, peer: Endpoint) -> None:
        """Begin a session for an accepted client, if the budget has room for it."""
        route, plugin = listener.route, None
        try:
            if not listener.is_opaque:
                plugin = make_plugin(route.plugin, route.config)
            share = self.services.budget.admit(peer.address, related_flows=route.plugin.related_flows)
        except AlgError as error:
            refuse(sock, plugin, error)
            self._record_refusal(listener, peer, error)
            return
        self._numbers += 1
        session = RelayedSession(self.services, listener, self._numbers, sock, peer, plugin, self._session_closed)
        session.share = share
        self.sessions.add(session)
        self._idle.clear()

    def _record_refusal(self, listener: Listener | SharedListener, peer: Endpoint, error: AlgError) -> None:
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
        self.services.budget.leave(session.peer.address, session.share)
        if not self.sessions:
            self._idle.set()

    def _look_for_idle(self) -> None:
        """End the sessions whose byte count has not moved for the idle time; no timer per session is needed."""
        now = self.services.loop.time()
        for session in list(self.sessions):
            traffic = session.traffic
            seen, since = self._seen.get(session, (-1, now))
            if traffic != seen:
                self._seen[session] = (traffic, now)
            elif now - since >= self.services.times.idle:
                session.end(AlgError(f"idle for {self.services.times.idle:g} s", reason="idle"))
        self._look = self.services.loop.call_later(self.services.times.idle / _LOOKS, self._look_for_idle)

    # Stop.

    async def drain(self, seconds: float) -> bool:
        """Stop accepting, and give the sessions that time to finish; return whether all did."""
        for listener in self.listeners:
            listener.close()
        try:
            await asyncio.wait_for(self.wait_idle(), seconds)
        except TimeoutError:
            return False
        return True

    async def wait_idle(self) -> None:
        """Return when there is no session."""
        await self._idle.wait()

    def close(self) -> None:
        """End everything now. Sessions get the time for a last word: wait for them, and close again."""
        for listener in self.listeners:
            listener.close()
        if self._look:
            self._look.cancel()
        error = AlgError("the gateway stops", reason="stopped")
        for session in list(self.sessions):
            session.end(error)
        if not self.sessions:  # else last words are still to be sent: close again when that is done
            self.services.close()

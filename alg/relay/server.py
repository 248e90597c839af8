"""`Relay`: the daemon's inside: the listeners of its routes, its sessions, and how it starts and stops.

Everything runs on one event loop. Sessions are admitted before a descriptor is spent on them.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace

from alg.core.addresses import Address, is_this_host, parse_address
from alg.core.errors import AlgError, BindError, ConfigError, ProtocolError
from alg.core.model import Endpoint, PortRange, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import Gate, TargetRules
from alg.core.ports import PortPool
from alg.registry import Registry
from alg.relay import sockets
from alg.relay.budget import Budget, raise_descriptor_limit
from alg.relay.machines import make_plugin
from alg.relay.pipes import PipePool
from alg.relay.poller import make_watcher
from alg.relay.records import record
from alg.relay.session import RelayedSession, refuse
from alg.relay.timeouts import Timeouts
from alg.settings import Limits, Route, Times

_ACCEPTS = 32
"""Clients accepted in one go, before the loop turns to the others."""
_LOOKS = 8
"""How often within the idle time all sessions are looked at."""
_RESOLVE_AFTER = 30.0
"""Seconds after which an upstream's name is looked up again when the next client comes."""


class Listener:
    """The public listener of one route."""

    def __init__(self, relay: Relay, route: Route) -> None:
        self.route = route
        self.is_opaque = route.is_opaque
        self._relay = relay
        self.sock = sockets.listen(route.listen)
        self.local = sockets.endpoint_of(self.sock.getsockname())
        self._targets: dict[int, Sequence[Endpoint]] = {}
        self._resolved_at = 0.0
        self._resolving: asyncio.Task[None] | None = None
        client = replace(route.targets[Side.CLIENT], loopback=is_this_host(route.listen.address))
        # An upstream on loopback was put there by the operator: it may announce its own address.
        server = replace(route.targets[Side.SERVER], loopback=True)
        self.targets: dict[Side, TargetRules] = {Side.CLIENT: client, Side.SERVER: server}

    async def resolve(self) -> None:
        """Look up the upstream.

        Raises:
            ConfigError: its name has no address.
        """
        upstream = self.route.upstream
        try:
            self._set_addresses([parse_address(upstream.host)])
            self._resolved_at = float("inf")
        except ProtocolError:
            loop = self._relay.loop
            try:
                found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(f"route {self.route}: {upstream.host} cannot be resolved: {error.strerror}") from None
            # The kernel's numeric answer, not text from a payload.
            self._set_addresses([sockets.endpoint_of((item[4][0], item[4][1])).address for item in found])  # type: ignore[arg-type]
            self._resolved_at = loop.time()

    def _set_addresses(self, addresses: Sequence[Address]) -> None:
        port = self.route.upstream.port
        for version in (4, 6):
            ordered = sorted(addresses, key=lambda address: address.version != version)
            self._targets[version] = [Endpoint(address, port) for address in ordered]

    def upstream_for(self, client: Address) -> Sequence[Endpoint]:
        """Where to connect for this client: the addresses of its own family first."""
        if self._relay.loop.time() - self._resolved_at > _RESOLVE_AFTER and self._resolving is None:
            self._resolving = self._relay.loop.create_task(self._resolve_again())
        return self._targets[client.version]

    async def _resolve_again(self) -> None:
        try:
            await self.resolve()
        except ConfigError as error:
            self._resolved_at = self._relay.loop.time()  # what was found before stays good
            record(error.reason, str(error), protocol=self.route.plugin.name)
        finally:
            self._resolving = None

    def start(self) -> None:
        """Begin to accept."""
        self._relay.watcher.add_reader(self.sock.fileno(), self._acceptable)

    def _acceptable(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, sockaddr = self.sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # no descriptors in the whole system: wait for better times
                self.pause(1.0)
                record("accept_failed", f"{self.route}: {error.strerror}; trying again in 1 s", protocol=self.name)
                return
            sock.setblocking(False)
            self._relay.admit(self, sock, sockets.endpoint_of(sockaddr))

    def pause(self, seconds: float) -> None:
        """Do not accept for a while."""
        self._relay.watcher.remove_reader(self.sock.fileno())
        self._relay.loop.call_later(seconds, self._restart)

    def _restart(self) -> None:
        if self.sock.fileno() >= 0:
            self.start()

    @property
    def name(self) -> str:
        """The protocol of the route."""
        return self.route.plugin.name

    def close(self) -> None:
        """Stop accepting."""
        if self._resolving:
            self._resolving.cancel()
        if self.sock.fileno() >= 0:
            self._relay.watcher.forget(self.sock.fileno())
            self.sock.close()


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
        self.loop = asyncio.get_running_loop()
        self.watcher = make_watcher(self.loop)
        self.routes = routes
        self.registry = registry
        self.times = times or Times()
        self.limits = limits or Limits()
        self.gate = Gate(self.limits.leases, is_own_address=sockets.is_own_address)
        self.budget = Budget(self.limits, raise_descriptor_limit())
        self.pipes = PipePool(available=splice, limit=self.budget.pipes)
        self.listeners: list[Listener] = []
        self.sessions: set[RelayedSession] = set()
        self._timeouts: dict[float, Timeouts] = {}
        self.connect_timeouts = self.timeouts(self.times.connect)
        self._pools: dict[tuple[Address, PortRange], PortPool] = {}
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
                self.gate.add_socket(listener.local)
            for listener in self.listeners:
                await listener.resolve()
                self._refuse_loops(listener)
        except AlgError:
            self.close()
            raise
        for listener in self.listeners:
            listener.start()
        self._look = self.loop.call_later(self.times.idle / _LOOKS, self._look_for_idle)

    def _listen(self, route: Route) -> Listener:
        try:
            return Listener(self, route)
        except OSError as error:
            raise BindError(f"route {route}: cannot listen at {route.listen}: {error.strerror}") from None

    def _refuse_loops(self, listener: Listener) -> None:
        for target in listener.upstream_for(listener.local.address):
            if self.gate.is_own_socket(target):
                raise ConfigError(f"route {listener.route}: its upstream {target} is a listener of this gateway")

    # Sessions.

    def admit(self, listener: Listener, sock: socket.socket, peer: Endpoint) -> None:
        """Begin a session for an accepted client, if the budget has room for it."""
        route, plugin = listener.route, None
        try:
            if not listener.is_opaque:
                plugin = make_plugin(route.plugin, route.config)
            share = self.budget.admit(peer.address, related_flows=route.plugin.related_flows)
        except AlgError as error:
            refuse(sock, plugin, error)
            self._record_refusal(listener, peer, error)
            return
        self._numbers += 1
        session = RelayedSession(self, listener, self._numbers, sock, peer, plugin)
        session.share = share
        self.sessions.add(session)
        self._idle.clear()

    def _record_refusal(self, listener: Listener, peer: Endpoint, error: AlgError) -> None:
        """A flood of clients must not become a flood of records: one a second, with the count of the others."""
        self._refusals += 1
        now = self.loop.time()
        if now - self._last_refusal >= 1.0:
            record(
                error.reason,
                f"{peer} refused: {error} ({self._refusals} refused since the last such record)",
                protocol=listener.name,
                fields={"refused": self._refusals},
            )
            self._last_refusal, self._refusals = now, 0

    def session_closed(self, session: RelayedSession) -> None:
        """A session is over."""
        self.sessions.discard(session)
        self._seen.pop(session, None)
        self.budget.leave(session.peer.address, session.share)
        if not self.sessions:
            self._idle.set()

    def _look_for_idle(self) -> None:
        """End the sessions whose byte count has not moved for the idle time; no timer per session is needed."""
        now = self.loop.time()
        for session in list(self.sessions):
            traffic = session.traffic
            seen, since = self._seen.get(session, (-1, now))
            if traffic != seen:
                self._seen[session] = (traffic, now)
            elif now - since >= self.times.idle:
                session.end(AlgError(f"idle for {self.times.idle:g} s", reason="idle"))
        self._look = self.loop.call_later(self.times.idle / _LOOKS, self._look_for_idle)

    # What sessions share.

    def port_pool(self, address: Address, ports: PortRange) -> PortPool:
        """The pool of a range at one local address."""
        key = (address, ports)
        if key not in self._pools:
            self._pools[key] = PortPool(ports, secrets.randbelow)
        return self._pools[key]

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""
        if seconds not in self._timeouts:
            self._timeouts[seconds] = Timeouts(self.loop, seconds)
        return self._timeouts[seconds]

    @property
    def ports_taken(self) -> int:
        """How many ports of all pools are taken."""
        return sum(pool.taken for pool in self._pools.values())

    def make_plugin(self, name: str, route: Route) -> StreamPlugin[object]:
        """An instance of the plugin that a related flow asks for by name.

        Raises:
            ConfigError: there is no such plugin.
            PluginError: it cannot be made.
        """
        if name == route.plugin.name:
            return make_plugin(route.plugin, route.config)
        plugin = self.registry.find(name)
        return make_plugin(plugin, plugin.config_type() if plugin.config_type else None)

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
        self.pipes.close()
        if not self.sessions:  # else last words are still to be sent: close again when that is done
            for timeouts in self._timeouts.values():
                timeouts.close()
            self.watcher.close()

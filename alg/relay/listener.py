"""`Listener`: where the clients of one route arrive, and where they are to be led: it knows the upstream's addresses.

`Arrival` stands in its place for a client that named its destination itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from alg.core.addresses import Address, is_this_host, parse_address
from alg.core.errors import ConfigError, ProtocolError
from alg.core.model import Endpoint, PortRange, Side, Transport
from alg.core.policy import TargetRules
from alg.relay import sockets
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.shared import SharedListener, SharedListeners
from alg.relay.tls_settings import RouteTls
from alg.settings import Route, Upstream, Way

_ACCEPTS = 32
"""Clients accepted in one go, before the loop turns to the others."""


class Listener:
    """The public listener of one route."""

    awaited: tuple[Address, ...] = ()

    def __init__(
        self,
        services: Services,
        route: Route,
        on_accepted: Callable[[Listener | SharedListener, socket.socket, Endpoint], None],
    ) -> None:
        """Listen; `start` begins to accept. Each client is handed to `on_accepted` with its address.

        Raises:
            ConfigError: a certificate or CA cannot be used.
            OSError: the port is taken, the address is not ours, or permission is missing.
        """
        self.route = route
        self.is_opaque = route.is_opaque
        self._services = services
        self._on_accepted = on_accepted
        self.tls = _tls(route)
        self.sock = self._open(route.listen)
        self.local = sockets.endpoint_of(self.sock.getsockname())
        self._targets: dict[int, Sequence[Endpoint]] = {}
        self._resolved_at = 0.0
        self._resolving: asyncio.Task[None] | None = None
        # A side that the operator put on loopback may announce its own address there.
        client = replace(route.targets[Side.CLIENT], loopback=is_this_host(route.listen.address))
        self.targets: dict[Side, TargetRules] = {Side.CLIENT: client, Side.SERVER: route.targets[Side.SERVER]}
        self.shared = SharedListeners(services, route, self.tls, self.targets, on_accepted)
        self._treated: dict[tuple[PortRange, Transport], tuple[Route, RouteTls | None, SharedListeners]] = {}
        for rule in route.rules:
            treated = route.treated_by(rule)
            tls = _tls(treated)
            shared = SharedListeners(services, treated, tls, self.targets, on_accepted)
            self._treated[rule.ports, rule.plugin.transport] = treated, tls, shared

    def toward(
        self, upstream: Upstream, targets: Sequence[Endpoint], local: Endpoint, transport: Transport = Transport.TCP
    ) -> Arrival:
        """Where the session of a client begins that wants to go there; `targets` are what was judged."""
        rule = self.route.rule_for(upstream.port, transport)
        route, tls, shared = self._treated[rule.ports, transport] if rule else (self.route, self.tls, self.shared)
        route = replace(route, upstream=upstream)
        if rule is None and transport is Transport.UDP:
            route = replace(route, plugin=self._services.registry.find("udp"), config=None)
        on_loopback = any(is_this_host(target.address) for target in targets)  # as the route allows by name
        server = replace(self.targets[Side.SERVER], loopback=on_loopback)
        rules = {**self.targets, Side.SERVER: server}
        return Arrival(route, local, targets, rules, tls, shared)

    def awaiting(self, sources: tuple[Address, ...], local: Endpoint) -> Arrival:
        """Where the session of a client begins that waits for one of them to come."""
        return Arrival(self.route, local, (), self.targets, self.tls, self.shared, awaited=sources)

    def _open(self, endpoint: Endpoint) -> socket.socket:
        return sockets.listen(endpoint, transparent=self.route.way is Way.TRANSPARENT)

    async def resolve(self) -> None:
        """Look up the upstream.

        Raises:
            ConfigError: its name has no address.
        """
        upstream, loop = self.route.upstream, self._services.loop
        if upstream is None:
            return
        try:
            self._set_addresses([parse_address(upstream.host)])
            self._resolved_at = float("inf")
        except ProtocolError:
            try:
                found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(f"route {self.route}: {upstream.host} cannot be resolved: {error.strerror}") from None
            except UnicodeError:
                raise ConfigError(f"route {self.route}: {upstream.host} is no host name") from None
            self._set_addresses(sockets.addresses_of(found))
            self._resolved_at = loop.time()

    def _set_addresses(self, addresses: Sequence[Address]) -> None:
        """Take the upstream's addresses. This host counts only where the operator meant it: from the first answer on."""
        if not self._targets:
            on_loopback = any(map(is_this_host, addresses))
            self.targets[Side.SERVER] = replace(self.targets[Side.SERVER], loopback=on_loopback)
        elif not self.targets[Side.SERVER].loopback:
            addresses = [address for address in addresses if not is_this_host(address)]
        upstream = self.route.upstream
        assert upstream is not None, "there is nothing to look up otherwise"
        if not addresses:
            raise ConfigError(f"route {self.route}: {upstream.host} now resolves to this host; not followed")
        port = upstream.port
        for version in (4, 6):
            ordered = sorted(addresses, key=lambda address: address.version != version)
            self._targets[version] = [Endpoint(address, port) for address in ordered]

    def upstream_for(self, client: Address) -> Sequence[Endpoint]:
        """Where to connect for this client: the addresses of its own family first; none where the client chooses."""
        if self.route.upstream is None:
            return ()
        if self._services.loop.time() - self._resolved_at > self._services.times.resolve and self._resolving is None:
            self._resolving = self._services.loop.create_task(self._resolve_again())
        return self._targets[client.version]

    async def _resolve_again(self) -> None:
        try:
            await self.resolve()
        except ConfigError as error:
            self._resolved_at = self._services.loop.time()  # what was found before stays good
            record(error.reason, str(error), protocol=self.route.plugin.name)
        finally:
            self._resolving = None

    def start(self) -> None:
        """Begin to accept."""
        self._services.watcher.add_reader(self.sock.fileno(), self._acceptable)

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
            self._on_accepted(self, sock, sockets.endpoint_of(sockaddr))

    def pause(self, seconds: float) -> None:
        """Do not accept for a while."""
        self._services.watcher.remove_reader(self.sock.fileno())
        self._services.loop.call_later(seconds, self._restart)

    def _restart(self) -> None:
        if self.sock.fileno() >= 0:
            self.start()

    @property
    def name(self) -> str:
        """The protocol of the route."""
        return self.route.name

    def close(self) -> None:
        """Stop accepting."""
        if self._resolving:
            self._resolving.cancel()
        if self.sock.fileno() >= 0:
            self._services.watcher.forget(self.sock.fileno())
            self.sock.close()
        for shared in (self.shared, *(shared for _, _, shared in self._treated.values())):
            shared.close()


def _tls(route: Route) -> RouteTls | None:
    wants_tls = route.plugin.transport is Transport.TCP and (route.implicit_tls or not route.is_opaque)
    return RouteTls(route) if wants_tls else None


class Arrival:
    """What a session whose client named its destination needs to know of where it came in; as `Listener`."""

    __slots__ = ("_targets", "awaited", "is_opaque", "local", "route", "shared", "targets", "tls")

    def __init__(
        self,
        route: Route,
        local: Endpoint,
        endpoints: Sequence[Endpoint],
        targets: dict[Side, TargetRules],
        tls: RouteTls | None,
        shared: SharedListeners,
        *,
        awaited: tuple[Address, ...] = (),
    ) -> None:
        """`local` is what the client believes to speak to, as far as it matters to it; `endpoints` are where it leads, or
        one of `awaited` will come."""
        self.route = route
        self.is_opaque = route.is_opaque
        self.local = local
        self._targets = endpoints
        self.awaited = awaited
        self.targets = targets
        self.tls = tls
        self.shared = shared

    @property
    def name(self) -> str:
        """The protocol of the route."""
        return self.route.plugin.name

    def upstream_for(self, client: Address) -> Sequence[Endpoint]:  # noqa: ARG002 - as `Listener`
        """Where to connect."""
        return self._targets

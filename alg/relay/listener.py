"""`Listener`: where the clients of one route arrive, and where they are to be led: it knows the upstream's addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from alg.core.addresses import Address, is_this_host, parse_address
from alg.core.errors import ConfigError, ProtocolError
from alg.core.model import Endpoint, Side
from alg.core.policy import TargetRules
from alg.relay import sockets
from alg.relay.records import record
from alg.relay.services import Services
from alg.relay.shared import SharedListener, SharedListeners
from alg.relay.tls_settings import RouteTls
from alg.settings import Route

_ACCEPTS = 32
"""Clients accepted in one go, before the loop turns to the others."""


class Listener:
    """The public listener of one route."""

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
        wants_tls = route.implicit_tls or not route.is_opaque
        self.tls = RouteTls(route) if wants_tls else None
        self.sock = sockets.listen(route.listen)
        self.local = sockets.endpoint_of(self.sock.getsockname())
        self._targets: dict[int, Sequence[Endpoint]] = {}
        self._resolved_at = 0.0
        self._resolving: asyncio.Task[None] | None = None
        # A side that the operator put on loopback may announce its own address there.
        client = replace(route.targets[Side.CLIENT], loopback=is_this_host(route.listen.address))
        self.targets: dict[Side, TargetRules] = {Side.CLIENT: client, Side.SERVER: route.targets[Side.SERVER]}
        self.shared = SharedListeners(services, route, self.tls, self.targets, on_accepted)

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
            # The resolver's numeric answer, not text from a payload.
            self._set_addresses([sockets.endpoint_of((item[4][0], item[4][1])).address for item in found])  # type: ignore[arg-type]
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
        return self.route.plugin.name

    def close(self) -> None:
        """Stop accepting."""
        if self._resolving:
            self._resolving.cancel()
        if self.sock.fileno() >= 0:
            self._services.watcher.forget(self.sock.fileno())
            self.sock.close()
        self.shared.close()

"""`Choice`: the server that a client chose: whether the route allows it, where it is, and the connection to it.

Never an open relay: a host passes by an entry of the route's allow list only, and so do its addresses, once resolved.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from alg.certificates import matches
from alg.core.addresses import Address, is_this_host, names_this_host, parse_address, within
from alg.core.commands import ConnectUpstream
from alg.core.errors import AlgError, ConnectError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.relay import sockets
from alg.relay.dialer import Dial
from alg.relay.services import Services
from alg.relay.timeouts import Timeout
from alg.settings import Route


class Choice:
    """One choice. Calls `on_connected` or `on_failed`, once, unless it is cancelled before."""

    __slots__ = (
        *("_command", "_dial", "_entries", "_on_connected", "_on_failed", "_services", "_source", "_task", "_timer"),
    )

    def __init__(
        self,
        services: Services,
        route: Route,
        command: ConnectUpstream,
        source: Callable[[Endpoint], Address | None],
        *,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[AlgError], None],
    ) -> None:
        self._services = services
        self._command = command
        self._source = source
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._dial: Dial | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: Timeout | None = None
        self._entries = [each for each in route.allowed if each.port in (None, command.port)]

    def begin(self) -> None:
        """Judge the host; resolve it if it is a name; judge its addresses; connect."""
        host = self._command.host
        try:
            self._connect([parse_address(host)], by_name=False)
        except ProtocolError:
            if any(not isinstance(entry.host, str) or matches(host, [entry.host]) for entry in self._entries):
                self._timer = self._services.connect_timeouts.begin(self._time_out)
                self._task = self._services.loop.create_task(self._resolve())
            else:
                self._fail_soon(self._refusal("is none of the upstreams that this route allows"))

    async def _resolve(self) -> None:
        host, port = self._command.host, self._command.port
        try:
            found = await self._services.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._on_failed(ConnectError(f"{host} cannot be resolved: {error}", reason="not_resolved"))
            return
        finally:
            if self._timer:
                self._timer.cancel()
        # The resolver's numeric answer, not text from a payload.
        addresses = [sockets.endpoint_of((item[4][0], item[4][1])).address for item in found]  # type: ignore[arg-type]
        self._connect(addresses, by_name=True)

    def _time_out(self) -> None:
        on_failed, host = self._on_failed, self._command.host
        self.cancel()
        on_failed(ConnectError(f"{host} was not resolved in time", reason="not_resolved"))

    def _connect(self, addresses: Sequence[Address], *, by_name: bool) -> None:
        allowed = [address for address in addresses if self._allows(address, by_name=by_name)]
        if not allowed:
            self._fail_soon(self._refusal("leads to no address that this route allows"))
            return
        self._dial = Dial(
            self._services.loop,
            self._services.watcher,
            self._services.gate,
            [Endpoint(address, self._command.port) for address in dict.fromkeys(allowed)],
            source=self._source,
            timeouts=self._services.connect_timeouts,
            on_connected=self._on_connected,
            on_failed=self._on_failed,
        )

    def _allows(self, address: Address, *, by_name: bool) -> bool:
        """A network allows its addresses. A name allows where it leads, but this host only by a network, and what is
        private only if the name stands there in full: who owns a domain makes names below it, and says where they lead.
        """
        networks = tuple(entry.host for entry in self._entries if not isinstance(entry.host, str))
        if is_this_host(address):
            return names_this_host(address, networks)
        if within(address, networks):
            return True
        names = [entry.host for entry in self._entries if isinstance(entry.host, str)]
        named = [name for name in names if matches(self._command.host, [name])]
        return by_name and bool(named) and (address.is_global or any("*" not in name for name in named))

    def _refusal(self, why: str) -> PolicyError:
        return PolicyError(f"{self._command.host}:{self._command.port} {why}", reason="upstream_refused")

    def _fail_soon(self, error: AlgError) -> None:
        # Whoever asked may be gone by then.
        self._services.loop.call_soon(lambda: self._on_failed(error))

    def cancel(self) -> None:
        """Give up; nobody is called."""
        if self._timer:
            self._timer.cancel()
        if self._task:
            self._task.cancel()
        if self._dial:
            self._dial.cancel()
        self._on_failed = self._on_connected = _nobody


def _nobody(*_: object) -> None:
    """Whoever asked is gone."""

"""`Choice`: the server that a client chose: whether the route allows it, where it is, and the connection to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from alg.core.addresses import Address
from alg.core.commands import ConnectUpstream
from alg.core.errors import AlgError
from alg.core.model import Endpoint
from alg.relay.dialer import Attempt
from alg.relay.reach import reach
from alg.relay.resolution import Resolution
from alg.relay.services import Services
from alg.settings import Route, Upstream


class Choice:
    """One choice. Calls `on_connected` or `on_failed`, once, unless it is cancelled before."""

    __slots__ = ("_dial", "_on_connected", "_on_failed", "_resolution", "_route", "_services", "_source")

    def __init__(
        self,
        services: Services,
        route: Route,
        command: ConnectUpstream,
        client: Address,
        source: Callable[[Endpoint], Address | None],
        *,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[AlgError], None],
    ) -> None:
        self._services = services
        self._route = route
        self._source = source
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._dial: Attempt | None = None
        wanted = Upstream(command.host, command.port)
        self._resolution = Resolution(services, route, wanted, client, on_found=self._connect, on_failed=on_failed)

    def begin(self) -> None:
        """Judge the host, and connect."""
        self._resolution.begin()

    def _connect(self, targets: Sequence[Endpoint]) -> None:
        self._dial = reach(
            self._services,
            self._route,
            targets,
            source=self._source,
            on_connected=self._on_connected,
            on_failed=self._on_failed,
        )

    def cancel(self) -> None:
        """Give up; nobody is called."""
        self._resolution.cancel()
        if self._dial:
            self._dial.cancel()

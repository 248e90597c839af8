"""How a route reaches a server: by a connection of our own, or through the proxy that stands before it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from alg.core.addresses import Address
from alg.core.errors import AlgError
from alg.core.model import Endpoint
from alg.relay.chain import ProxyDial
from alg.relay.dialer import Attempt, Dial
from alg.relay.services import Services
from alg.settings import Route


def reach(
    services: Services,
    route: Route,
    targets: Sequence[Endpoint],
    *,
    source: Callable[[Endpoint], Address | None],
    on_connected: Callable[[socket.socket, Endpoint], None],
    on_failed: Callable[[AlgError], None],
    transparent: bool = False,
) -> Attempt:
    """Begin to connect to the first of the targets that answers; the arguments are those of `Dial`."""
    if route.via is not None:
        return ProxyDial(services, route.via, targets, on_connected=on_connected, on_failed=on_failed)
    return Dial(
        services.loop,
        services.watcher,
        services.gate,
        services.budget,
        targets,
        source=source,
        timeouts=services.connect_timeouts,
        on_connected=on_connected,
        on_failed=on_failed,
        transparent=transparent,
    )

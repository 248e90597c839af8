"""`Entrance`: what a session needs to know of where its client came in. A route's listener is one, so is one that sessions share,
and so is what a client said that named its destination itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alg.core.addresses import Address
from alg.core.model import Endpoint, Side
from alg.core.policy import TargetRules
from alg.relay.shared import SharedListeners
from alg.relay.tls_settings import RouteTls
from alg.settings import Route


class Entrance(Protocol):
    """Where sessions begin."""

    @property
    def route(self) -> Route:
        """Under which rules."""

    @property
    def is_opaque(self) -> bool:
        """Whether nothing is read."""

    @property
    def local(self) -> Endpoint:
        """What the client speaks to: our address, or the one that we stand for."""

    @property
    def tls(self) -> RouteTls | None:
        """The TLS of the route, if it may need some."""

    @property
    def targets(self) -> dict[Side, TargetRules]:
        """Where each side may have us connect."""

    @property
    def shared(self) -> SharedListeners:
        """The listeners that its sessions share."""

    @property
    def name(self) -> str:
        """The protocol, for records."""

    @property
    def awaited(self) -> tuple[Address, ...]:
        """Who is to come, where the server's leg is not dialled (SOCKS BIND)."""

    def upstream_for(self, client: Address) -> Sequence[Endpoint]:
        """Where to connect for this client; none where its plugin asks it."""

"""What a flow, and what comes through a lease, need of the session that they belong to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from alg.core.addresses import Address
from alg.core.binding import Field
from alg.core.commands import ConnectUpstream, OpenBinding, Record
from alg.core.events import Event
from alg.core.model import Endpoint, Leg, Side
from alg.core.session import Session
from alg.relay.timeouts import Timeouts
from alg.relay.tls import TlsEngine

if TYPE_CHECKING:
    from alg.relay.dialer import Attempt
    from alg.relay.flow import RelayedFlow
    from alg.relay.services import Services
    from alg.settings import Route


class FlowOwner(Protocol):
    """What a flow needs from the session that it belongs to."""

    def open_binding(self, command: OpenBinding, flow: RelayedFlow) -> Event:
        """Listen for that flow, and return the answer."""

    def close_binding(self, number: int) -> None:
        """Stop listening."""

    def dial_binding(self, number: int) -> None:
        """Dial both legs of a binding."""

    def connect_upstream(self, command: ConnectUpstream, flow: RelayedFlow) -> None:
        """Connect to a server, and tell the flow what came of it."""

    def tls_engine(self, side: Side, flow: RelayedFlow) -> TlsEngine:
        """What to put TLS on that side's leg with.

        Raises:
            TlsError: there is nothing.
        """

    def handshake_timeouts(self) -> Timeouts:
        """The deadlines of TLS handshakes."""

    def report(self, report: Record) -> None:
        """Write a record."""

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""

    def flow_ended(self, flow: RelayedFlow) -> None:
        """The flow has said its last word; what is queued may still have to leave."""


class LeaseOwner(FlowOwner, Protocol):
    """What a lease and the flows that come through it need of their session."""

    services: Services
    route: Route
    legs: dict[Side, Leg]
    core: Session
    asks: bool
    """Whether the client asks us for each connection (SOCKS, CONNECT)."""
    foreign: frozenset[Side]
    """The sides on which our end of the legs has another host's address: what goes there comes through us."""

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record of the session."""

    def local_address(self, side: Side, target: Endpoint) -> Address | None:
        """Where a related flow on that side is dialled from."""

    def add_dial(self, dial: Attempt, *, on_cancel: Callable[[], None]) -> None:
        """Something is being connected; the session lives as long."""

    def dial_done(self, dial: Attempt) -> None:
        """It is decided."""

    def add_flow(self, flow: RelayedFlow) -> None:
        """A flow has both its legs: let it carry."""

    def introduce(self, server: socket.socket, client: Leg | None) -> None:
        """Tell a server that was just connected who its client is, if the route wants that."""

    def related_closed(self, flow: RelayedFlow, began: float, name: object) -> None:
        """A related flow is over."""

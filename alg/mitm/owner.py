"""What a flow needs of the session that it belongs to, and the hook by which it asks for a listener."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mitmproxy.connection import Server
from mitmproxy.tcp import TCPFlow, TCPMessage

from alg.core.addresses import Address
from alg.core.commands import NameBinding, OpenBinding, Record
from alg.core.errors import AlgError
from alg.core.events import BindingOpened, CommandFailed
from alg.core.flow import FlowMachine
from alg.core.model import Endpoint, Expectation, Leg, Outcome, Side, TlsPolicy
from alg.mitm.compat import SSL, TcpMessageInjected, commands

if TYPE_CHECKING:
    from alg.mitm.layer import FlowLayer
    from alg.mitm.services import Services
    from alg.mitm.settings import Treatment


class FlowOwner(Protocol):
    """What a flow needs of its session."""

    def tls_policy(self, side: Side) -> TlsPolicy:
        """What is to be said to a plugin about TLS on that leg."""

    def make_machine(self, layer: FlowLayer, legs: Mapping[Side, Leg]) -> FlowMachine | None:
        """The machine for a flow whose legs are there; None: it is opaque.

        Raises:
            AlgError: there is none to be had.
        """

    def resumable(self, layer: FlowLayer) -> SSL.Session | None:
        """The TLS session toward the server which a related flow is to resume."""

    async def open_binding(self, command: OpenBinding, layer: FlowLayer) -> BindingOpened | CommandFailed:
        """Listen for an expectation; the answer to the machine."""

    def close_binding(self, number: int) -> None:
        """Stop listening."""

    def name_binding(self, command: NameBinding) -> None:
        """Show what the flow through a binding is for."""

    def dial_binding(self, number: int) -> None:
        """Dial both legs of a binding."""

    def report(self, report: Record, layer: FlowLayer) -> None:
        """Write a record that a plugin or the machine asked for."""

    def write(self, reason: str, message: str) -> None:
        """Write a record of the session."""

    def active(self) -> None:
        """Bytes passed: the session is not idle."""

    def flow_ended(self, layer: FlowLayer, error: AlgError | None) -> None:
        """A flow has said its last word."""


class LeaseOwner(FlowOwner, Protocol):
    """What a lease, and the flows that come through it, need of their session."""

    services: Services
    treatment: Treatment
    legs: dict[Side, Leg]
    observes: bool

    @property
    def name(self) -> str:
        """`ftp#17`, as in records."""

    def local_address(self, side: Side, target: Endpoint) -> Address | None:
        """Where a related flow on that side is dialled from."""

    def claim(self, layer: FlowLayer, number: int) -> None:
        """A related flow begins, through the binding of that number: show whose it is, and what for."""

    def name_server(self, server: Server) -> None:
        """Have a data channel's server be verified by the name of the control channel's."""

    def tell_related_over(self, asker: FlowLayer, number: int, outcome: Outcome | None) -> None:
        """A related flow is over; who announced it hears of it."""


@dataclass(slots=True, eq=False)
class LeaseRequest:
    """What the hook `alg_lease` is about: a plugin expects a related flow, so somebody is to be listened for.

    An addon may set `refused` to a reason in words, before or after the gateway has answered; then nobody is.
    """

    layer: FlowLayer
    command: OpenBinding
    refused: str = ""
    answer: BindingOpened | CommandFailed | None = None

    @property
    def expectation(self) -> Expectation:
        """Who may come, where that leads, how often and how long."""
        return self.command.expectation

    @property
    def flow(self) -> TCPFlow:
        """The flow whose plugin asks."""
        return self.layer.flow


@dataclass
class AlgLeaseHook(commands.StartHook):
    """A plugin expects a related flow: listen for it, or refuse."""

    request: LeaseRequest


class Notice(TcpMessageInjected):
    """News from outside a flow's own connections; it reaches the flow's layer by the way of injected messages."""

    def __init__(self, flow: TCPFlow) -> None:
        super().__init__(flow, TCPMessage(False, b""))


class RelatedOver(Notice):
    """A related flow is over, for the layer of the flow that announced it."""

    def __init__(self, flow: TCPFlow, number: int, outcome: Outcome | None) -> None:
        super().__init__(flow)
        self.number = number
        self.outcome = outcome


class Cut(Notice):
    """The session was ended for a reason, and this related flow with it."""

    def __init__(self, flow: TCPFlow, error: AlgError) -> None:
        super().__init__(flow)
        self.error = error

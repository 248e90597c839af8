"""`Requests`: what a plugin asks of the machine of its flow. Each request is judged here, and becomes a command for the host;
who misuses the API hears of it as `PluginError`. The coroutines are driven in `alg.core.flow`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

from alg.core.addresses import Address
from alg.core.binding import Field
from alg.core.commands import (
    CloseBinding,
    CloseConnection,
    Command,
    ConnectUpstream,
    DialBinding,
    Forward,
    NameBinding,
    OpenBinding,
    Report,
    ReportRewrite,
    SendData,
    SendDatagram,
    SetDeadline,
    StartTls,
    StopTls,
)
from alg.core.errors import PluginError, ProtocolError
from alg.core.flow_handle import Flow
from alg.core.model import Connect, Endpoint, Expectation, Leg, Side, Transport
from alg.core.outcomes import OnEnd, Outcomes
from alg.core.plugin import Plugin
from alg.core.promise import Promise
from alg.core.session import Session


class Incoming(Protocol):
    """What one side says, as far as requests need to know it: a `Stream`, or `Datagrams`."""

    side: Side

    @property
    def buffered(self) -> int:
        """How much of it arrived and was not read."""


S = TypeVar("S", bound=Incoming)

Request: TypeAlias = Incoming | int | Side | ConnectUpstream | Forward | Promise[object]
"""What a coroutine waits for: more of its stream, the binding of that number, TLS on that side (or its end), a server,
that bytes have passed, or something that the other coroutine knows."""

REQUESTS = (int, Side, ConnectUpstream, Forward, Promise)


class Direction(Generic[S]):
    """What comes from one side, and the coroutine that treats it."""

    __slots__ = ("coroutine", "forwarding", "opaque", "stream", "waits_for")

    def __init__(self, stream: S) -> None:
        self.stream = stream
        self.coroutine: Coroutine[object, object, None] | None = None
        self.waits_for: Request | None = None
        self.opaque = False
        self.forwarding = False
        """Whether bytes pass unread, and not all of those that were to have passed: also where no more will come."""


class Requests(ABC, Generic[S]):
    """The state of one flow, and what its plugin may ask for."""

    __slots__ = (
        "_client",
        "_commands",
        "_deadline",
        "_directions",
        "_ended",
        "_handshakes",
        "_outcomes",
        "_server",
        "legs",
        "now",
        "plugin",
        "session",
    )

    def __init__(self, plugin: Plugin[object], session: Session, *, client: Leg, server: Leg | None) -> None:
        """`server` is None where the client chooses its server."""
        self.plugin = plugin
        self.session = session
        self.legs = {Side.CLIENT: client}
        if server is not None:
            self.legs[Side.SERVER] = server
        self._outcomes = Outcomes(session)
        self._commands: list[Command] = []
        self._ended = False
        self._handshakes: frozenset[Side] = frozenset()
        self._deadline: tuple[float | None, str] = (None, "")
        self.now = 0.0
        """Seconds of the host's monotonic clock at the last event."""
        plugin.flow = Flow(self)
        self._client, self._server = (Direction(self._incoming(side)) for side in Side)
        self._directions: dict[Side, Direction[S]] = {Side.CLIENT: self._client, Side.SERVER: self._server}

    _carries: ClassVar[type[SendData | SendDatagram]]
    """The command that sends what a plugin says."""

    @abstractmethod
    def _incoming(self, side: Side) -> S:
        """What that side's coroutine reads."""

    @property
    def transport(self) -> Transport:
        """What carries this flow."""
        return self.plugin.transport

    @abstractmethod
    def _send(self, side: Side, data: bytes) -> None:
        """Have something said to that side."""

    @abstractmethod
    def splice(self) -> None:
        """Make both directions opaque: for who drives the coroutines."""

    def lease(self, expectation: Expectation, on_end: OnEnd | None) -> int:
        """Judge an expectation, and ask the host to listen for it; return the number of the binding."""
        self._refuse_after_end()
        lease = self.session.lease(expectation, self.legs)
        self._commands.append(OpenBinding(lease.number, lease.expectation))
        if on_end is not None:
            self._outcomes.watch(lease, on_end)
        return lease.number

    def shared_target(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener that is advertised as this endpoint leads."""
        return self.session.shared.target_of(endpoint) if self.session.shared is not None else None

    def set_deadline(self, seconds: float | None, what: str) -> None:
        """Ask the host to end the flow in time."""
        if not self._ended and (seconds is not None or self._deadline[0] is not None):
            self._deadline = seconds, what
            self._commands.append(SetDeadline(seconds))

    def linger(self, seconds: float) -> None:
        """Ask the host to end the flow after so much silence."""
        raise PluginError(
            f"plugin {self.plugin.name} lingers for {seconds:g} s on a connection, which `close` or its peers end"
        )

    def dial(self, number: int) -> None:
        """Ask the host to dial both legs of a binding."""
        lease = self.session.find(number)
        if not self._ended and lease is not None and not lease.dialled:
            lease.dialled = True
            self._commands.append(DialBinding(number))

    def name(self, number: int, words: str, fields: Mapping[str, Field]) -> None:
        """Tell the host what the flow through a binding is for."""
        if not self._ended:
            self._commands.append(NameBinding(number, words, fields))

    def release(self, number: int) -> None:
        """Ask the host to stop listening."""
        if not self._ended and self.session.find(number) is not None:
            self._commands.append(CloseBinding(number))

    def prepare_upstream(self, command: ConnectUpstream) -> None:
        """Ask the host for a server."""
        self._refuse_after_end()
        asked = any(isinstance(each.waits_for, ConnectUpstream) for each in self._directions.values())
        if asked or Side.SERVER in self.legs:
            raise PluginError(f"plugin {self.plugin.name} connects to a second server")
        self._commands.append(command)

    def prepare_tls(self, side: Side) -> None:
        """Ask the host for TLS on a leg, provided that nothing sent in the clear is still unread, from either side."""
        self._refuse_tls_change(side, secure=False)
        in_the_clear = [self._directions[each] for each, leg in self.legs.items() if not leg.secure]
        for direction in in_the_clear:
            if direction.stream.buffered:
                raise ProtocolError(
                    f"the {direction.stream.side.value} sent {direction.stream.buffered} bytes before the TLS handshake",
                    reason="bytes_before_tls",
                )
        self._handshakes |= {side}
        self._commands.append(StartTls(side))

    def prepare_clear(self, side: Side) -> None:
        """Ask the host for the end of TLS on a leg, provided that nothing sent within it is still unread."""
        self._refuse_tls_change(side, secure=True)
        if buffered := self._directions[side].stream.buffered:
            raise ProtocolError(
                f"the {side.value} sent {buffered} bytes more before the end of TLS", reason="bytes_before_clear"
            )
        self._handshakes |= {side}
        self._commands.append(StopTls(side))

    def _refuse_tls_change(self, side: Side, *, secure: bool) -> None:
        """Refuse what no host could carry out; `secure` says what the leg must be before."""
        self._refuse_after_end()
        if side not in self.legs:
            raise self._no_server()
        why = ""
        if self._directions[side].opaque or self._is_forwarding:
            why = "bytes pass unread"
        elif side in self._handshakes:
            why = "that is under way"
        elif self.legs[side].secure != secure:
            why = "there is none" if secure else "there is some"
        if why:
            what = "stops TLS" if secure else "starts TLS"
            raise PluginError(f"plugin {self.plugin.name} {what} on the {side.value}'s leg, where {why}")

    def prepare_forward(self, side: Side, request: Forward) -> None:
        """Ask the host to carry bytes over; the coroutine of that side asks for it, and for no other side's."""
        direction = self._directions[side]
        if request.side is not side:
            raise PluginError(f"plugin {self.plugin.name} has pass what the other side says: its own coroutine may")
        if direction.opaque:
            raise PluginError(f"plugin {self.plugin.name} reads on after splice()")
        if Side.SERVER not in self.legs:
            raise self._no_server()
        if self._handshakes:
            raise PluginError(f"plugin {self.plugin.name} has bytes pass in the middle of a TLS handshake")
        direction.forwarding = True
        self._commands.append(request)

    @property
    def _is_forwarding(self) -> bool:
        return any(isinstance(direction.waits_for, Forward) for direction in self._directions.values())

    def _amid(self, does: str) -> PluginError:
        return PluginError(f"plugin {self.plugin.name} {does} in the middle of what passes unread")

    def _no_server(self) -> PluginError:
        return PluginError(f"plugin {self.plugin.name} has no server yet: `connect` comes first")

    def _refuse_after_end(self) -> None:
        if self._ended:
            raise PluginError(f"plugin {self.plugin.name} goes on after the end of its flow")

    def close(self) -> None:
        """End the flow once all that was sent has left."""
        if not self._ended:
            self._ended = True
            self._commands.append(CloseConnection())

    def report(self, reason: str, message: str, fields: Mapping[str, Field]) -> None:
        """Write one record."""
        self._commands.append(Report(reason, message, fields))

    def report_rewrite(
        self, number: int, expectation: Expectation, endpoints: Mapping[Side, Endpoint], announced_by: str
    ) -> None:
        """Record what stands for what from now on."""
        lease = self.session.find(number)
        if lease is not None:
            expectation = lease.expectation  # its lifetime may be shorter than was asked for
        sources: Mapping[Side, tuple[Address, ...]] = lease.sources if lease else {}
        if expectation.shared:
            sources = self.session.sources(expectation, self.legs)
        self._commands.append(ReportRewrite(number, expectation, endpoints, sources, announced_by))

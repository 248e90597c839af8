"""The base class of protocol plugins, and `Flow`: what a plugin sees of the connection that it treats.

Nothing in here does I/O: what a plugin asks for becomes a command, which the flow machine hands to its host.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar, Generic, Protocol, TypeVar, cast

from alg.core.addresses import Address
from alg.core.commands import ConnectUpstream
from alg.core.errors import AlgError, BindError, PluginError, PolicyError
from alg.core.model import Connect, Endpoint, Expectation, Leg, LegPlan, Side, Transport
from alg.core.outcomes import OnEnd
from alg.core.stream import Stream, suspend
from alg.core.web import HttpExchange, Ways

C_co = TypeVar("C_co", covariant=True)


class Need(enum.Enum):
    """What not every host can do; the value is the name of the request."""

    CONNECT = "connect"
    """To leave the server to the plugin. In mitmproxy the mode says which server."""
    STOP_TLS = "stop_tls"
    """To take TLS off a leg. mitmproxy's TLS cannot tell what comes behind it."""
    SHARED = "shared"
    """To share listeners between sessions."""


Field = str | int | Endpoint
"""What a record may hold besides its message."""


class Machine(Protocol):
    """What a plugin's requests are handed to: the flow machine (`alg.core.flow`)."""

    legs: dict[Side, Leg]
    now: float

    @property
    def transport(self) -> Transport:
        """What carries this flow."""

    def lease(self, expectation: Expectation, on_end: OnEnd | None) -> int:
        """Ask for a listener; return the number of the binding."""

    def shared_target(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener leads."""

    def set_deadline(self, seconds: float | None, what: str) -> None:
        """End the flow in time."""

    def linger(self, seconds: float) -> None:
        """End the flow after so much silence."""

    def dial(self, number: int) -> None:
        """Dial both legs of a binding."""

    def name(self, number: int, words: str, fields: Mapping[str, Field]) -> None:
        """Say what the flow through a binding is for."""

    def release(self, number: int) -> None:
        """Give it up."""

    def prepare_upstream(self, command: ConnectUpstream) -> None:
        """Ask for a server."""

    def prepare_tls(self, side: Side) -> None:
        """Ask for TLS."""

    def prepare_clear(self, side: Side) -> None:
        """Ask for no more TLS."""

    def splice(self) -> None:
        """Make both directions opaque."""

    def close(self) -> None:
        """End the flow."""

    def report(self, reason: str, message: str, fields: Mapping[str, Field]) -> None:
        """Write a record."""

    def report_rewrite(
        self, number: int, expectation: Expectation, endpoints: Mapping[Side, Endpoint], announced_by: str
    ) -> None:
        """Write the record of a rewrite."""


class Binding:
    """What the host reserved for an expectation: it listens already."""

    __slots__ = ("_machine", "_released", "endpoints", "expectation", "number")

    def __init__(
        self, machine: Machine, number: int, expectation: Expectation, endpoints: Mapping[Side, Endpoint]
    ) -> None:
        self._machine = machine
        self._released = False
        self.number = number
        self.expectation = expectation
        self.endpoints = endpoints
        """The endpoint to write into the payload, for each side on which we accept."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint to write into the payload, where we accept on one side.

        Raises:
            PluginError: we accept on both sides, or on none.
        """
        if len(self.endpoints) != 1:
            raise PluginError(f"a binding with {len(self.endpoints)} endpoints has no `endpoint`; see `endpoints`")
        return next(iter(self.endpoints.values()))

    def dial(self) -> None:
        """Where both legs are dialled: do it now, the server's side first.

        To do it again does nothing, nor does it after `release`, the lifetime, or the end of the flow.

        Raises:
            PluginError: a leg is accepted.
        """
        if self.expectation.accepted:
            raise PluginError("a binding that listens is not dialled")
        self._machine.dial(self.number)

    def name(self, words: str, fields: Mapping[str, Field] | None = None) -> None:
        """Say what the flow through it is for (`RETR '/notes.txt'`), for those who look at it; hosts without a screen
        leave it. It may have come already. Never put a password into it."""
        self._machine.name(self.number, words, fields or {})

    def release(self) -> None:
        """Stop listening. A flow that has come through lives on; to release twice, or after the end, does nothing."""
        if not self._released:
            self._released = True
            self._machine.release(self.number)


class Flow:
    """One relayed connection: its two legs, and what may be asked of the host."""

    __slots__ = ("_machine",)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def client(self) -> Leg:
        """The leg on the client's side."""
        return self._machine.legs[Side.CLIENT]

    @property
    def server(self) -> Leg:
        """The leg on the server's side; there is none before `connect`, where the client chooses its server."""
        return self._machine.legs[Side.SERVER]

    @property
    def connected(self) -> bool:
        """Whether there is a server; only where the client chooses its server there may be none."""
        return Side.SERVER in self._machine.legs

    @property
    def now(self) -> float:
        """Seconds of the host's monotonic clock at the event that is being treated. Plugins have no other clock."""
        return self._machine.now

    def leg(self, side: Side) -> Leg:
        """The leg on that side."""
        return self._machine.legs[side]

    async def expect(
        self,
        origin: Side,
        target: Endpoint,
        *,
        announced_by: str = "",
        limit: int | None = 1,
        lifetime: float = 60.0,
        sources: tuple[Address, ...] = (),
        plugin: str | None = None,
        tls: Collection[Side] = (),
        on_end: OnEnd | None = None,
        shared: bool = False,
        name: str | None = None,
        transport: Transport | None = None,
        span: int = 1,
        pair: Binding | None = None,
    ) -> Binding:
        """Expect a related flow: have the host listen on the origin's side and connect each comer to the target.

        `origin` is the side that will connect: `Side.CLIENT` where the server announces, `Side.SERVER` where the client
        does. When this returns, the listener is open, so the bytes that name it may be sent. `announced_by` is for the
        record: the words of the payload (`227`). `limit` flows may come (None: any number) within `lifetime` seconds,
        from `sources` only (default: the origin side's peer), to be treated by `plugin` (default: opaque). Legs on the
        sides in `tls` are TLS from the first byte. `on_end` is called for each flow that had both legs and is over; if
        this flow is over too by then, it may still `log`, and whatever else it asks for goes nowhere.

        With `shared` there is one listener for all sessions of the route: it is opened when it is first asked for, and
        used again by who asks for the same; `limit` means nothing, `lifetime` begins anew with each who is told or comes.
        Who comes begins a session of its own, with the target as its upstream, and ends without a word to this one.
        `name` is what such a target is called, where it has a name: in TLS, and as `Leg.name`.

        `transport` is that of this flow unless it says otherwise. Over UDP a flow is what one address and port says, it is
        over when it has been silent for a minute, and all of them end with their session; `span` consecutive ports may be
        asked for (RTP and RTCP: 2), the first of them even; with `pair`, the binding for the other way, each side is
        spoken to from the port that it speaks to.

        Raises (and records):
            PolicyError: the target is none that its side may name (`third_party_address`, `self_target`, `low_port`).
            BindError: the host has no port, descriptor or lease left.
        """
        if (on_end is not None or origin is Side.SERVER) if shared else name is not None:
            raise PluginError("only clients come to what is shared, and without `on_end`; `name` goes with `shared`")
        expectation = Expectation.usual(
            origin,
            target,
            limit=None if shared else limit,
            lifetime=lifetime,
            sources=sources,
            plugin=plugin,
            tls=tls,
            shared=shared,
            name=name,
            transport=transport or self._machine.transport,
            span=span,
            pair=pair.number if pair is not None else None,
        )
        if expectation.transport is Transport.TCP:
            if span != 1 or pair is not None:
                raise PluginError("`span` and `pair` are for UDP")
        elif shared or tls or plugin is not None or span < 1 or target.port + span > 65536:
            raise PluginError("over UDP a binding is neither shared nor TLS nor treated, and its ports exist")
        return await self._expect(expectation, announced_by, on_end)

    def shared_target(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener of this route leads, by the endpoint that is advertised for it; None if it is none."""
        return self._machine.shared_target(endpoint)

    def deadline(self, seconds: float | None, what: str = "the client") -> None:
        """End the flow in so many seconds (`too_slow`), whatever comes until then, unless another deadline is set before;
        None: there is none any more. `what` is what then took too long."""
        self._machine.set_deadline(seconds, what)

    async def expect_legs(
        self,
        client: LegPlan,
        server: LegPlan,
        *,
        announced_by: str = "",
        lifetime: float = 60.0,
        on_end: OnEnd | None = None,
    ) -> Binding:
        """Expect one opaque related flow whose legs are accepted or dialled as the plans say; else as `expect`.

        Where both are accepted, the first comer waits for the other; where both are dialled, `Binding.dial` says when.

        Raises (and records): as `expect`.
        """
        return await self._expect(Expectation(client, server, lifetime=lifetime), announced_by, on_end)

    async def _expect(self, expectation: Expectation, announced_by: str, on_end: OnEnd | None) -> Binding:
        try:
            number = self._machine.lease(expectation, on_end)
            endpoints = cast(Mapping[Side, Endpoint], await suspend(number))
        except (PolicyError, BindError) as error:
            fields: dict[str, Field] = {
                "announced_by": announced_by,
                "origin": "+".join(side.value for side in expectation.accepted),
                "target": ", ".join(map(str, expectation.targets)),
            }
            self._machine.report(error.reason, f"{announced_by} {error}".lstrip(), fields)
            raise
        self._machine.report_rewrite(number, expectation, endpoints, announced_by)
        return Binding(self._machine, number, expectation, endpoints)

    async def connect(self, host: str, port: int) -> None:
        """Connect to the server that the client chose; only where the route leaves the choice to it.

        `host` is a name or a literal address. When this returns there is a server's leg, and what it says arrives. Before
        that nothing can be sent to it, and nothing of the client's passes unread. One at a time, and only until there
        is a server; anything else is a mistake of the plugin.

        Raises:
            PolicyError: the route does not allow this upstream (`upstream_refused`).
            ConnectError: it cannot be reached, or has no address. Another one may be tried.
        """
        command = ConnectUpstream(host, port)
        self._machine.prepare_upstream(command)
        await suspend(command)

    async def start_tls(self, side: Side) -> None:
        """Turn the leg on that side into TLS; when this returns, the handshake is complete.

        Toward the client we are the TLS server, toward the server the client. It is a mistake to start TLS on a leg
        that has it, or whose bytes pass unread.

        Raises:
            ProtocolError: bytes that were sent in the clear are still unread on either side (`bytes_before_tls`); what
                was pipelined before the handshake must never count as sent within it.
            TlsError: the handshake failed, or this host has no TLS for that leg.
        """
        self._machine.prepare_tls(side)
        await suspend(side)

    async def stop_tls(self, side: Side) -> None:
        """Take TLS off the leg on that side, behind all that was sent; when this returns, the leg is in the clear.

        It is a mistake where there is none.

        Raises:
            ProtocolError: what that side sent under TLS is still unread (`bytes_before_clear`).
            TlsError: the peer does not agree in time.
        """
        self._machine.prepare_clear(side)
        await suspend(side)

    def splice(self) -> None:
        """Look no longer at either direction. All that was received and not read goes on first."""
        self._machine.splice()

    def linger(self, seconds: float) -> None:
        """For datagrams: all is said, so end the flow once both sides have been silent for so long. Until then what still
        comes is treated as before: an answer that got lost is asked for again."""
        self._machine.linger(seconds)

    def close(self) -> None:
        """End the flow once all that was sent has left."""
        self._machine.close()

    def log(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write one record of a decision. Never put a password into it."""
        self._machine.report(reason, message, fields or {})


METHODS = {Side.CLIENT: "from_client", Side.SERVER: "from_server"}
"""What treats each side. Made once: Python keeps each name that an attribute was ever looked up by, for a while."""


class Plugin(Generic[C_co]):
    """What plugins for TCP (`StreamPlugin`) and for UDP (`DatagramPlugin`) have in common; be one of these.

    One instance serves one flow. `self.config` is there from `__init__` on, `self.flow` once its coroutines run. Class
    attributes: `name` is the scheme on the command line; `config_type` the frozen dataclass that the plugin's table in
    the configuration becomes (every field with a default; lists are `tuple[str, ...]`; raise `ValueError` in
    `__post_init__` for a value that cannot be).
    """

    transport: ClassVar[Transport]
    name: ClassVar[str]
    config_type: ClassVar[type | None] = None
    default_port: ClassVar[int | None] = None
    """The protocol's well-known port, for an upstream that is given without one."""
    chooses_upstream: ClassVar[bool] = False
    """Whether it can ask its client for the server, and `connect` to it, on a route that names none."""
    tls_scheme: ClassVar[tuple[str, int | None] | None] = None
    """The scheme that means TLS from the first byte (`ftps`), and its well-known port. Needs an entry point as well."""
    starts_tls: ClassVar[bool] = False
    """Whether it starts TLS in the middle of a connection (`flow.start_tls`). Where none does, a route's TLS on a leg is
    there from the first byte."""
    alpn: ClassVar[tuple[str, ...]] = ()
    """The protocol's names in TLS (RFC 7301); a client that offers only others is refused."""
    related_flows: ClassVar[bool] = False
    """Whether most sessions of this protocol open related flows: the host then counts half a flow's descriptors for
    each session before it accepts it. It works without; then more clients are accepted, and more `BindError` raised."""

    def __init__(self, config: C_co) -> None:
        self.config = config
        self.flow: Flow

    @classmethod
    @abstractmethod
    def reads(cls, side: Side) -> bool:
        """Whether it treats what that side says: whether that coroutine is overridden."""

    def needs(self) -> frozenset[Need]:
        """What a host must be able to do for this configuration besides what every host can: nothing by default.

        A host that cannot refuses the plugin when it is loaded, and not in the middle of a session.
        """
        return frozenset()

    def refusal(self, error: AlgError) -> bytes | None:  # noqa: ARG002 - for those that override it
        """What the client is told, in its protocol, when its session cannot begin or must end: nothing by default.

        None says that it is in the middle of something that ends where its connection does, and must not take this end
        for that one: it sees a reset. `ConnectError` means that the server cannot be reached or was lost, `BindError`
        that the gateway is full or stops, `ProtocolError` that one side broke the protocol.
        """
        return b""


class StreamPlugin(Plugin[C_co]):
    """Base of a plugin for a protocol over TCP: a subclass says what happens to what each side sends.

    `from_client` and `from_server` run as two coroutines side by side, `from_client` first; they may await only what this
    API offers. A side whose coroutine is not overridden is opaque, and so is what follows once it has returned.
    """

    transport = Transport.TCP

    async def from_client(self, stream: Stream) -> None:
        """Treat what the client says."""

    async def from_server(self, stream: Stream) -> None:
        """Treat what the server says."""

    @classmethod
    def reads(cls, side: Side) -> bool:
        """Whether it treats what that side says: whether that coroutine is overridden."""
        name = METHODS[side]  # not that of the function: a decorator may have given it another one
        return getattr(cls, name) is not getattr(StreamPlugin, name)

    def http(self, client: Leg, server: Leg, ways: Ways) -> HttpExchange | None:  # noqa: ARG002 - for those that override it
        """What a host that parses HTTP itself is to ask about each exchange between these legs; None: this is no plugin
        for HTTP. Such a host runs neither coroutine."""
        return None


def refusal_words(plugin: Plugin[object], error: AlgError) -> bytes | None:
    """What the plugin would tell its client about this error; nothing if the plugin fails at that too. None: see there."""
    try:
        words = plugin.refusal(error)
    except Exception:  # noqa: BLE001 - we are about to end the session because of another error: that one counts
        return b""
    return words if words is None or isinstance(words, bytes) else b""

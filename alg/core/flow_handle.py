"""`Flow`: what a plugin sees of the connection that it treats, and what it may ask for.

Nothing in here does I/O: what a plugin asks for becomes a command, which the flow machine hands to its host.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from alg.core.addresses import Address
from alg.core.binding import Binding, Field, Machine
from alg.core.commands import ConnectUpstream
from alg.core.errors import BindError, PluginError, PolicyError
from alg.core.model import Connect, Endpoint, Expectation, Leg, LegPlan, Side, Transport
from alg.core.outcomes import OnEnd
from alg.core.stream import suspend


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

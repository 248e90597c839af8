"""`FlowLayer`: one flow in mitmproxy: carries out the commands of its machine on two legs. Without a machine it carries
what is opaque, and shows the beginning of it.

It decides nothing: what passes is the plugin's business, what may be listened for is the session's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alg.core.addresses import name_of
from alg.core.commands import (
    Abort,
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
    SendEof,
    SetDeadline,
    Splice,
    StartTls,
    StopTls,
)
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError, ProtocolError, TlsError
from alg.core.events import (
    CommandFailed,
    ConnectionLost,
    DataReceived,
    DeadlinePassed,
    EofReceived,
    Event,
    Forwarded,
    RelatedEnded,
    TlsStarted,
)
from alg.core.flow import FlowMachine
from alg.core.model import Leg, Outcome, Side, TlsInfo, TlsPolicy
from alg.core.plugin import StreamPlugin, refusal_words
from alg.mitm import compat
from alg.mitm.alarm import Alarm
from alg.mitm.carrier import CarrierLayer, Preview
from alg.mitm.compat import Context, commands
from alg.mitm.legs import connect_error, endpoint_of, literal
from alg.mitm.owner import AlgLeaseHook, Cut, FlowOwner, LeaseRequest, RelatedOver
from alg.mitm.tunnels import ClientTunnel, Commands, Received, ServerTunnel

AHEAD_LIMIT = 1 << 20
"""Bytes that a side may say while its plugin waits for something else. mitmproxy reads on whatever we do."""


class FlowLayer(CarrierLayer):
    """One flow between the client and the server of its context."""

    def __init__(
        self,
        context: Context,
        session: FlowOwner,
        *,
        name: str,
        preview: Preview,
        plugin: StreamPlugin[object] | None = None,
        covered: tuple[Side, ...] = (),
        on_closed: Callable[[FlowLayer], None] | None = None,
    ) -> None:
        """`plugin` treats the flow (None: it is opaque); legs on the sides in `covered` are TLS from the first byte."""
        super().__init__(context, preview)
        self.session = session
        self.plugin = plugin
        self.covered = covered
        self._machine: FlowMachine | None = None
        self._shaking: set[Side] = set()
        self._promised = False
        """Whether the machine was told that the server's leg is TLS before it is: the client has yet to say a name."""
        self._on_closed = on_closed
        self._deadline = Alarm()
        self.name = name

    # The beginning.

    def _on_start(self) -> Commands:
        yield from self._show_start()
        if self.context.server.timestamp_start is None:
            error = yield commands.OpenConnection(self.context.server)
            if error:
                yield from self._refuse(connect_error(self.context.server.address, str(error)))
                return
        for side in self.covered:
            self._shaking.add(side)
        both = len(self.covered) == len(Side)
        for side in self.covered:
            # A certificate for the client is made like that of the server, so that one comes first.
            yield from self._cover(side, server_first=both, later=both and side is Side.SERVER)
        if not self.covered:
            yield from self._begin()

    def _begin(self) -> Commands:
        """Both legs are there: the machine may start, or all is opaque."""
        self._machine = self.session.make_machine(self, {side: self._leg(side) for side in Side})
        if self._machine is None:
            self._opaque.update(Side)
        else:
            yield from self._execute(self._machine.start(self.now))
        yield from self._carry_early()

    def _leg(self, side: Side) -> Leg:
        conn = self._conn(side)
        seen = conn if conn.peername else compat.tunnel_of(compat.handler_of(self.context.client), conn)
        assert seen.sockname and seen.peername, "it is connected"
        local, peer = endpoint_of(seen.sockname), endpoint_of(seen.peername)
        if seen is not conn and (named := literal(self.context.server.address)) is not None:
            peer = named  # through an upstream proxy; where that is given a name, the proxy is all that we see
        address = self.context.server.address if side is Side.SERVER else None
        name = name_of(address[0]) if address else None
        return Leg(local, peer, self._tls(side), self.session.tls_policy(side), name)

    # What the legs say.

    def _on_data(self, side: Side, data: bytes) -> Commands:
        self.counts[side] += len(data)
        self.session.active()
        self._refuse_killed()
        if side in self._opaque:
            yield from self._carry(side, data)
            return
        assert self._machine is not None
        if side in self._forwarding:
            more = yield from self._forward(side, data)
            if more is None:
                return
            yield from self._receive(Forwarded(side, more))
        else:
            yield from self._receive(DataReceived(side, data))
        if self._machine.buffered(side) > AHEAD_LIMIT:
            raise ProtocolError(f"the {side.value} says too much ahead", reason="too_much_ahead")

    def _on_end(self, side: Side, *, truncated: bool) -> Commands:
        self._refuse_killed()
        if self._machine is not None and side not in self._opaque:
            yield from self._receive(EofReceived(side))
        else:
            yield from self._pass_end(side, truncated=truncated)

    def _on_lost(self, side: Side, error: ConnectError) -> Commands:
        if self._machine is None and not any(self.counts.values()):
            yield from self._break()  # as a data connection is that nobody needed
            return
        if self._machine is not None and not self._machine.ended:
            yield from self._receive(ConnectionLost(side, error))
        else:
            yield from self._abort(error)

    @property
    def _began(self) -> bool:
        return self._machine is not None or bool(self._opaque)

    def _on_shaken(self, side: Side, error: TlsError | None) -> Commands:
        self._shaking.discard(side)
        if not self._began:
            client = self._tunnels.get(Side.CLIENT)
            if isinstance(client, ClientTunnel) and client.unused and side is Side.CLIENT and error is not None:
                yield from self._break()  # as a data connection is that nobody needed
            elif error is not None:
                yield from self._refuse(error) if side is Side.SERVER else self._abort(error)
            elif not self._shaking:
                yield from self._begin()
            elif side is Side.CLIENT:  # no addon asked for the server's handshake first
                yield from self._begin_with_server()
        elif side is Side.SERVER and self._promised:
            assert self._machine is not None
            self._promised = False
            if error is not None:
                yield from self._receive(ConnectionLost(side, error))
            elif (info := self._tls(side)) is not None:
                self._machine.legs[side] = replace(self._machine.legs[side], tls=info)
        elif error is not None:
            yield from self._receive(CommandFailed(side, error))
        else:
            yield from self._receive(TlsStarted(side, self._tls(side) or TlsInfo("")))
            if side is Side.CLIENT and self._promised:  # no addon asked for the server's handshake first
                yield from self._begin_with_server()

    def _on_wakeup(self, call: commands.RequestWakeup) -> Commands:
        if (yield from self._deadline.called(call, self.now)):
            yield from self._receive(DeadlinePassed())

    def _on_injected(self, event: compat.TcpMessageInjected) -> Commands:
        if isinstance(event, RelatedOver):
            yield from self._receive(RelatedEnded(event.number, event.outcome))
        elif self._closing:
            return
        elif isinstance(event, Cut):
            yield from self._abort(event.error)
        elif (Side.CLIENT if event.message.from_client else Side.SERVER) in self._ended:
            return  # nothing can be said behind an end that was passed on
        elif event.message.from_client:
            yield from self._tell(Side.CLIENT, Received(event.message.content))  # a command like another
        else:
            yield from self._send(Side.CLIENT, event.message.content)

    def hear_late(self, number: int, outcome: Outcome | None) -> None:
        """What became of a related flow, after the end of this one: it can only be recorded."""
        assert self._machine is not None
        for command in self._machine.receive(RelatedEnded(number, outcome), self.now):
            if isinstance(command, Report | ReportRewrite):
                self.session.report(command, self)

    def _receive(self, event: Event) -> Commands:
        assert self._machine is not None
        yield from self._execute(self._machine.receive(event, self.now))

    # What the machine says.

    def _execute(self, given: list[Command]) -> Commands:
        # Answers to commands bring further commands, behind those that there are: they are carried out in order.
        for command in given:
            if isinstance(command, Report | ReportRewrite):
                self.session.report(command, self)  # also after the end
            elif self._closing:
                continue
            elif isinstance(command, SendData):
                yield from self._send(command.side, command.data)
            elif isinstance(command, OpenBinding):
                given += yield from self._open_binding(command)
            elif isinstance(command, CloseBinding):
                self.session.close_binding(command.number)
            elif isinstance(command, NameBinding):
                self.session.name_binding(command)
            elif isinstance(command, DialBinding):
                self.session.dial_binding(command.number)
            elif isinstance(command, StartTls):
                given += yield from self._start_tls(command.side)
            elif isinstance(command, Abort):
                yield from self._abort(command.error, cut_off=command.cut_off)
            elif isinstance(command, CloseConnection):
                yield from self._cut(set(self._forwarding))
            else:
                yield from self._execute_rest(command, given)

    def _execute_rest(self, command: Command, given: list[Command]) -> Commands:
        assert self._machine is not None
        if isinstance(command, SendEof):
            self._forwarding.pop(command.side.other, None)  # its side broke that off, and the plugin knows
            yield from self._pass_end(command.side.other, truncated=False)
        elif isinstance(command, Forward):
            self._forwarding[command.side] = command.count
        elif isinstance(command, SetDeadline):
            yield from self._deadline.set(command.seconds, self.now)
        elif isinstance(command, Splice):
            self._opaque.add(command.side)
        elif isinstance(command, StopTls):
            error: AlgError = TlsError("TLS cannot be taken off in mitmproxy", reason="not_offered")
            given += self._machine.receive(CommandFailed(command.side, error), self.now)
        elif isinstance(command, ConnectUpstream):
            error = PolicyError("in mitmproxy its mode says which server", reason="upstream_refused")
            given += self._machine.receive(CommandFailed(command, error), self.now)

    def _open_binding(self, command: OpenBinding) -> compat.Asking[list[Command]]:
        assert self._machine is not None
        request = LeaseRequest(self, command)
        yield from self._trigger(AlgLeaseHook(request))
        answer = request.answer
        if request.refused:
            self.session.close_binding(command.number)
            answer = CommandFailed(command.number, PolicyError(request.refused, reason="refused_by_addon"))
        elif answer is None:
            answer = CommandFailed(command.number, BindError("the gateway's addon is not there"))
        return self._machine.receive(answer, self.now)

    def _start_tls(self, side: Side) -> compat.Asking[list[Command]]:
        """Put TLS on a leg, in the middle of the stream."""
        assert self._machine is not None
        if side is Side.SERVER and self._waits_for_name:
            # mitmproxy asks the server for the name that the client asks for, and verifies that; the client will say it
            # in a handshake which this plugin begins only once the server's is done. So we say that it is.
            self._promised = True
            yield from self._cover(side, later=True)
            return self._machine.receive(TlsStarted(side, TlsInfo("")), self.now)
        yield from self._cover(side, server_first=side is Side.CLIENT and self._promised)
        return []

    @property
    def _waits_for_name(self) -> bool:
        """Whether nothing but an address is known of the server whose certificate is to be verified."""
        assert self._machine is not None
        server = self.context.server
        by_client = self._machine.legs[Side.SERVER].tls_policy is TlsPolicy.CLIENT
        if server.sni or not by_client or self._machine.legs[Side.CLIENT].secure:
            return False
        return literal(server.address) is not None

    @property
    def _holds_tickets(self) -> bool:
        return self.plugin is None

    def _resumable(self) -> compat.SSL.Session | None:
        return self.session.resumable(self)

    @property
    def tls_session(self) -> compat.SSL.Session | None:
        """The TLS session toward the server, for related flows to resume."""
        tunnel = self._tunnels.get(Side.SERVER)
        return tunnel.session if isinstance(tunnel, ServerTunnel) else None

    # The end.

    def _refuse(self, error: AlgError) -> Commands:
        """Tell the client in its protocol that its session cannot begin, and hang up; without one, by a reset."""
        if self.plugin is None:
            self.error = error
            yield from self._break()
            return
        if words := refusal_words(self.plugin, error):
            yield from self._write(Side.CLIENT, words)
        yield from self._abort(error)

    def _on_failure(self, error: AlgError) -> Commands:
        if self._closing:
            return
        self.error = self.error or error
        cut_off = False
        if self._machine is not None and not self._machine.ended:
            passes = self._opaque | self._forwarding.keys()
            words = b"" if Side.SERVER in passes else refusal_words(self._machine.plugin, error)
            if words:
                yield from self._write(Side.CLIENT, words)
            cut_off = words is None
        yield from self._abort(error, cut_off=cut_off)

    def _tell_over(self) -> None:
        self.session.flow_ended(self, self.error)
        if self._on_closed is not None:
            self._on_closed(self)

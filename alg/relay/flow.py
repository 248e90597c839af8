"""`RelayedFlow`: carries out the commands of one flow on two sockets: reads what the machine wants, pumps what is opaque.

It decides nothing: what passes is the plugin's business, what may be listened for is the session's.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from alg.core.commands import (
    Abort,
    CloseBinding,
    CloseConnection,
    Command,
    ConnectUpstream,
    DialBinding,
    Forward,
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
from alg.core.errors import AlgError, ConnectError, TlsError
from alg.core.events import (
    CommandFailed,
    ConnectionLost,
    DataReceived,
    DeadlinePassed,
    EofReceived,
    Event,
    Forwarded,
    TlsStarted,
    TlsStopped,
    UpstreamConnected,
)
from alg.core.flow import FlowMachine
from alg.core.model import Side, TlsInfo
from alg.relay.carrier import Carrier
from alg.relay.deadline import Deadline
from alg.relay.flow_tls import FlowTls
from alg.relay.leg import HIGH_WATER, RECEIVE_VIEW, LegSocket
from alg.relay.owner import FlowOwner
from alg.relay.pipes import PipePool
from alg.relay.timeouts import Timeouts

PIECE = 16384
"""Bytes that a machine is given at once: what a peer sends ahead must not keep the loop for long."""

REPLIES_HIGH_WATER = 1 << 20
"""Bytes that may wait for a side before that side itself is no longer read."""


class RelayedFlow(Carrier):
    """One flow between two connected sockets. Without a machine, both directions are opaque.

    The legs on the sides in `covered` shake hands before anything is carried. A flow whose client chooses the server
    has one leg at first. `on_closed` is called when the sockets are closed; `error` then says why, if it was no orderly
    end.
    """

    __slots__ = ("_covering", "_deadline", "_failure", "_machine", "_notify_closed", "_owner", "tls")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: PipePool,
        legs: dict[Side, LegSocket],
        *,
        machine: FlowMachine | None,
        owner: FlowOwner,
        on_closed: Callable[[RelayedFlow], None],
        covered: tuple[Side, ...] = (),
    ) -> None:
        super().__init__(loop, pool, legs)
        self._machine = machine
        self._owner = owner
        self._notify_closed = on_closed
        self._covering = covered
        """The legs whose handshake is to be complete before anything is carried."""
        self._failure: AlgError | None = None
        """Why there is no TLS toward the server, as long as the client cannot be told."""
        self._deadline: Deadline | None = None
        self.tls: FlowTls | None = None
        """TLS where there is some, or was when the flow ended."""

    # What a carrier wants to know.

    def _on_closing(self) -> None:
        self._owner.flow_ended(self)

    def _on_closed(self) -> None:
        if self._deadline:
            self._deadline.close()
        self._notify_closed(self)

    def _timeouts(self, seconds: float) -> Timeouts:
        return self._owner.timeouts(seconds)

    def discard(self) -> None:
        """Nobody will ask or tell this flow anything any more: no circle is left for the collector."""
        machine, self._machine = self._machine, None
        if machine:
            machine.discard()

    def start(self) -> None:
        """Begin to carry, or first to shake hands."""
        for side, leg in self.legs.items():
            leg.on_lost = self._lost_client if side is Side.CLIENT else self._lost_server
        if not self._covering:
            self._begin()
        for side in self._covering:
            if not self._closed:
                self._start_tls(side, partial(self._covered, side), partial(self._uncovered, side))

    def _begin(self) -> None:
        if self._machine is None:
            self._splice(Side.CLIENT)
            self._splice(Side.SERVER)
        else:
            self._execute(self._machine.start(self._loop.time()))

    # TLS.

    def _start_tls(self, side: Side, on_done: Callable[[TlsInfo], None], on_failed: Callable[[AlgError], None]) -> None:
        try:
            engine = self._owner.tls_engine(side, self)
        except TlsError as error:
            on_failed(error)
            return
        if self.tls is None:
            self.tls = FlowTls(self._owner.handshake_timeouts())
        self.tls.start(side, self.legs[side], engine, on_done, on_failed)

    def _covered(self, side: Side, info: TlsInfo) -> None:
        """A leg that is TLS from the start has shaken hands; when all have, the flow begins."""
        self._covering = tuple(each for each in self._covering if each is not side)
        if self._machine is not None:
            self._machine.legs[side] = replace(self._machine.legs[side], tls=info)
        if self._failure is not None:
            self.tell(ConnectionLost(Side.SERVER, self._failure))
        elif not self._covering and not self._closed:
            self._begin()

    def _uncovered(self, side: Side, error: AlgError) -> None:
        """A leg that should be TLS from the start is not: nothing is carried, and nobody may take that for an empty flow.

        A client is told of its server's failure in its protocol, once it can hear it.
        """
        if self._closed or self._closing:
            return
        if side is Side.SERVER and self._machine is not None:
            self._failure = error
            if Side.CLIENT not in self._covering:
                self.tell(ConnectionLost(side, error))
            return
        if error.reason != "tls_unused":  # as a data connection is that nobody needed
            self.error = self.error or error
        self.legs[side.other].reset()
        self._break()

    def _started(self, side: Side, info: TlsInfo) -> None:
        self.tell(TlsStarted(side, info))

    def _stopped(self, side: Side) -> None:
        self.tell(TlsStopped(side))

    def _not_started(self, side: Side, error: AlgError) -> None:
        if not isinstance(error, TlsError):
            error = TlsError(str(error), reason=error.reason)
        self.tell(CommandFailed(side, error))

    # From the sockets to the machine.

    def _readable(self, side: Side) -> None:
        leg, machine = self.legs[side], self._machine
        assert machine is not None
        try:
            count = leg.receive(PIECE)
        except OSError as error:
            leg.lose(error)
            return
        if count:
            event = DataReceived(side, bytes(RECEIVE_VIEW[:count]))
            self._execute(machine.receive(event, self._loop.time()))
        elif count == 0:
            leg.pause()
            self.tell(EofReceived(side))

    def _read_client(self) -> None:
        self._readable(Side.CLIENT)

    def _read_server(self) -> None:
        self._readable(Side.SERVER)

    def _lost_client(self, error: OSError) -> None:
        self._lost(Side.CLIENT, error)

    def _lost_server(self, error: OSError) -> None:
        self._lost(Side.SERVER, error)

    def _lost(self, side: Side, error: OSError) -> None:
        if self._closed:
            return
        if self._closing and not self.legs[side.other].broken:
            # That side has said all, and misses the end of it; the other still gets what is queued.
            self.legs[side.other].when_drained(self._finish)
            return
        lost = ConnectError(f"the {side.value} is gone: {error.strerror or error}", reason=self._why_lost(side, error))
        if self._machine and not self._machine.ended:
            self.tell(ConnectionLost(side, lost))
        else:
            self.error = self.error or lost
            self._break()

    def _why_lost(self, side: Side, error: OSError) -> str:
        if error.errno == errno.EPROTO:
            return "tls_broken"
        tls = self.tls.info(side) if self.tls else None
        if tls is not None and tls.version == "TLSv1.2" and side in self._ended:
            # RFC 5246 section 7.2.1: whoever has said close_notify need not take what is said to it any more.
            return "half_close_unsupported"
        return f"{side.value}_lost"

    def tell(self, event: Event) -> None:
        """Tell the machine what happened; also after the end, for what its related flows come to."""
        if self._machine is not None:
            self._execute(self._machine.receive(event, self._loop.time()))

    def upstream_connected(self, leg: LegSocket, event: UpstreamConnected, *, covered: bool) -> None:
        """The flow has a server now; with `covered`, TLS begins with the first byte."""
        if self._closed or self._closing:
            leg.close()
            return
        leg.on_lost = self._lost_server
        self.legs[Side.SERVER] = leg
        if not covered:
            self.tell(event)
            return
        self._start_tls(
            Side.SERVER,
            lambda info: self.tell(replace(event, leg=replace(event.leg, tls=info))),
            lambda error: self.tell(CommandFailed(event.command, error)),
        )

    def fail(self, error: AlgError) -> None:
        """End the flow from outside: idle, drained, or the like. The client is told in its protocol where possible."""
        if self._machine and not self._machine.ended:
            self.tell(ConnectionLost(Side.SERVER, error))
        else:
            self.error = self.error or error
            self._break()

    # From the machine to the sockets.

    def _execute(self, commands: list[Command]) -> None:
        # Answers to commands bring further commands, behind those that there are: no nesting, however many there are.
        for command in commands:
            if isinstance(command, Report | ReportRewrite):
                self._owner.report(command)  # also after the end
            elif self._closed:
                continue
            elif type(command) is SendData:
                self.legs[command.side].send(command.data)
            elif isinstance(command, OpenBinding):
                commands += self._answer(self._owner.open_binding(command, self))
            elif isinstance(command, CloseBinding):
                self._owner.close_binding(command.number)
            elif isinstance(command, DialBinding):
                self._owner.dial_binding(command.number)
            else:
                self._execute_on_legs(command)
        self._update_reading()

    def _answer(self, event: Event) -> list[Command]:
        return self._machine.receive(event, self._loop.time()) if self._machine else []

    def _execute_on_legs(self, command: Command) -> None:
        # What a related flow is for (`NameBinding`) is told to a person elsewhere: its plugin writes a record of it.
        if isinstance(command, SendEof):
            self._pumps.pop(command.side.other, None)  # its side broke off what was to pass, and the plugin knows
            self._side_ended(command.side.other)
        elif isinstance(command, Splice):
            self._splice(command.side)
        elif isinstance(command, Forward):
            side = command.side
            self._forward(side, command.count, partial(self._forward_ended, side), partial(self._forwarded, side))
        elif isinstance(command, SetDeadline):
            self._deadline = self._deadline or Deadline(self._loop, self._too_late)
            self._deadline.set(command.seconds)
        elif isinstance(command, StartTls):
            side = command.side
            self._start_tls(side, partial(self._started, side), partial(self._not_started, side))
        elif isinstance(command, StopTls):
            assert self.tls is not None, "the machine stops what it has started"
            side = command.side
            self.tls.stop(side, partial(self._stopped, side), partial(self._not_started, side))
        elif isinstance(command, ConnectUpstream):
            self._owner.connect_upstream(command, self)
        elif isinstance(command, CloseConnection):
            self._close_after_last_word()
        elif isinstance(command, Abort):
            self._abort(command)

    def _abort(self, command: Abort) -> None:
        self.error = command.error
        if Side.SERVER in self._pumps:
            self._break()  # the client is in the middle of an opaque stream: no last word, and no orderly end
            return
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        if command.cut_off and not client.closed:
            client.reset()
        if Side.CLIENT in self._pumps or server.queued:
            server.reset()  # it was cut off in the middle of a stream, and must not take this for its end
        else:
            server.close()
        self._close_after_last_word(abort=True)

    def _forwarded(self, side: Side, more: bytes) -> None:
        """All that was to pass unread has; `more` was read behind it."""
        del self._pumps[side]
        self.tell(Forwarded(side, more))

    def _forward_ended(self, side: Side) -> None:
        # The pump stays where it is: whoever gets what passed was cut off, and must not take the end for an orderly one.
        self.tell(EofReceived(side))

    def _too_late(self) -> None:
        self.tell(DeadlinePassed())

    def _update_reading(self) -> None:
        """Read a side while the machine wants it and nobody is behind with taking what came of it."""
        machine = self._machine
        if machine is None or machine.ended or self._closing:
            return
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        if machine.wants_both and client.reading and server.reading and not client.queued and not server.queued:
            return  # as nearly always
        for side, leg in self.legs.items():
            if self.tls is not None and side in self.tls.shaking:
                continue
            if self._may_read(side, machine):
                leg.resume(self._read_client if side is Side.CLIENT else self._read_server)
            elif side not in self._pumps:
                leg.pause()
            if leg.queued >= HIGH_WATER:
                leg.when_drained(self._update_reading)

    def _may_read(self, side: Side, machine: FlowMachine) -> bool:
        """Whether the machine wants that side, and the other side keeps up: no leg shakes hands, and none is behind.

        What waits for this side itself counts too, since it may be replies of ours to it; but at a mark that what the
        other side says never reaches, or two peers that both write before they read would wait for each other.
        """
        keeps_up = self.legs[side.other].queued < HIGH_WATER and self.legs[side].queued < REPLIES_HIGH_WATER
        shaking = self.tls is not None and self.tls.shaking
        return keeps_up and not shaking and machine.wants_data(side)

"""`RelayedFlow`: carries out the commands of one flow on two sockets: reads what the machine wants, pumps what is opaque.

It decides nothing: what passes is the plugin's business, what may be listened for is the session's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from alg.core.commands import (
    Abort,
    CloseBinding,
    CloseConnection,
    Command,
    OpenBinding,
    Record,
    Report,
    ReportRewrite,
    SendData,
    SendEof,
    Splice,
    StartTls,
)
from alg.core.errors import AlgError, ConnectError, TlsError
from alg.core.events import CommandFailed, ConnectionLost, DataReceived, EofReceived, Event
from alg.core.flow import FlowMachine
from alg.core.model import Side
from alg.relay.leg import HIGH_WATER, RECEIVE_VIEW, LegSocket
from alg.relay.pipes import PipePool
from alg.relay.pump import Pump
from alg.relay.timeouts import Timeout, Timeouts

PIECE = 16384
"""Bytes that a machine is given at once: what a peer sends ahead must not keep the loop for long."""

REPLIES_HIGH_WATER = 1 << 20
"""Bytes that may wait for a side before that side itself is no longer read."""

LINGER = 0.5
"""Seconds that a client is read and ignored after the last word to it, so that our close does not destroy that word."""


class FlowOwner(Protocol):
    """What a flow needs from the session that it belongs to."""

    def open_binding(self, command: OpenBinding) -> Event:
        """Listen, and return the answer."""

    def close_binding(self, number: int) -> None:
        """Stop listening."""

    def report(self, report: Record) -> None:
        """Write a record."""

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""

    def flow_ended(self, flow: RelayedFlow) -> None:
        """The flow has said its last word; what is queued may still have to leave."""

    def flow_closed(self, flow: RelayedFlow) -> None:
        """The sockets of the flow are closed; `flow.error` says why, if it was no orderly end."""


class RelayedFlow:
    """One flow between two connected sockets. Without a machine, both directions are opaque."""

    __slots__ = (
        "_closed",
        "_closing",
        "_ended",
        "_linger",
        "_loop",
        "_machine",
        "_owner",
        "_pool",
        "_pumps",
        "error",
        "legs",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: PipePool,
        legs: dict[Side, LegSocket],
        *,
        machine: FlowMachine | None,
        owner: FlowOwner,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self.legs = legs
        self._machine = machine
        self._owner = owner
        self._pumps: dict[Side, Pump] = {}
        self._ended: tuple[Side, ...] = ()
        """The sides whose end was passed on."""
        self.error: AlgError | None = None
        self._closing = False
        self._closed = False
        self._linger: Timeout | None = None

    def start(self) -> None:
        """Begin to carry."""
        for side, leg in self.legs.items():
            leg.on_lost = self._lost_client if side is Side.CLIENT else self._lost_server
        if self._machine is None:
            self._splice(Side.CLIENT)
            self._splice(Side.SERVER)
        else:
            self._execute(self._machine.start(self._loop.time()))

    @property
    def traffic(self) -> int:
        """Bytes received so far, both sides."""
        return sum(leg.received for leg in self.legs.values())

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
            self._tell(EofReceived(side))

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
        lost = ConnectError(f"the {side.value} is gone: {error.strerror or error}", reason=f"{side.value}_lost")
        if self._machine and not self._machine.ended:
            self._tell(ConnectionLost(side, lost))
        else:
            self.error = self.error or lost
            self._break()

    def _tell(self, event: Event) -> None:
        if self._machine is not None:
            self._execute(self._machine.receive(event, self._loop.time()))

    def fail(self, error: AlgError) -> None:
        """End the flow from outside: idle, drained, or the like. The client is told in its protocol where possible."""
        if self._machine and not self._machine.ended:
            self._tell(ConnectionLost(Side.SERVER, error))
        else:
            self.error = self.error or error
            self._break()

    # From the machine to the sockets.

    def _execute(self, commands: list[Command]) -> None:
        # Answers to commands bring further commands, behind those that there are: no nesting, however many there are.
        for command in commands:
            if self._closed:
                return
            if type(command) is SendData:  # the common case first
                self.legs[command.side].send(command.data)
            elif isinstance(command, Report | ReportRewrite):
                self._owner.report(command)
            elif isinstance(command, OpenBinding):
                commands += self._answer(self._owner.open_binding(command))
            elif isinstance(command, StartTls):
                error = TlsError("the relay offers no TLS yet", reason="no_tls")
                commands += self._answer(CommandFailed(command.side, error))
            elif isinstance(command, CloseBinding):
                self._owner.close_binding(command.number)
            else:
                self._execute_on_legs(command)
        self._update_reading()

    def _answer(self, event: Event) -> list[Command]:
        return self._machine.receive(event, self._loop.time()) if self._machine else []

    def _execute_on_legs(self, command: Command) -> None:
        if isinstance(command, SendEof):
            self._side_ended(command.side.other)
        elif isinstance(command, Splice):
            self._splice(command.side)
        elif isinstance(command, CloseConnection):
            self._close_after_last_word()
        elif isinstance(command, Abort):
            self.error = command.error
            if Side.SERVER in self._pumps:
                self._break()  # the client is in the middle of an opaque stream: no last word, and no orderly end
            else:
                server = self.legs[Side.SERVER]
                if Side.CLIENT in self._pumps or server.queued:
                    server.reset()  # it was cut off in the middle of a stream, and must not take this for its end
                else:
                    server.close()
                self._close_after_last_word(abort=True)

    def _update_reading(self) -> None:
        """Read a side while the machine wants it and nobody is behind with taking what came of it."""
        machine = self._machine
        if machine is None or machine.ended or self._closing:
            return
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        if machine.wants_both and client.reading and server.reading and not client.queued and not server.queued:
            return  # as nearly always
        for side, leg in self.legs.items():
            if self._may_read(side, machine):
                leg.resume(self._read_client if side is Side.CLIENT else self._read_server)
            elif side not in self._pumps:
                leg.pause()
            if leg.queued >= HIGH_WATER:
                leg.when_drained(self._update_reading)

    def _may_read(self, side: Side, machine: FlowMachine) -> bool:
        """Whether the machine wants that side, and the other side keeps up.

        What waits for this side itself counts too, since it may be replies of ours to it; but at a mark that what the
        other side says never reaches, or two peers that both write before they read would wait for each other.
        """
        keeps_up = self.legs[side.other].queued < HIGH_WATER and self.legs[side].queued < REPLIES_HIGH_WATER
        return keeps_up and machine.wants_data(side)

    def _splice(self, side: Side) -> None:
        leg = self.legs[side]
        leg.pause()
        ended = self._client_ended if side is Side.CLIENT else self._server_ended
        pump = Pump(leg, self.legs[side.other], self._pool, ended)
        self._pumps[side] = pump
        pump.start()

    # The end.

    def _client_ended(self) -> None:
        self._side_ended(Side.CLIENT)

    def _server_ended(self) -> None:
        self._side_ended(Side.SERVER)

    def _side_ended(self, side: Side) -> None:
        """That side's last byte was passed on, and its end is; when both are done, only what is queued is left to do."""
        self._ended += (side,)
        if len(self._ended) < 2:
            self.legs[side.other].send_eof()
        elif not self._closing:
            self._begin_to_close()
            self._after_all_is_sent(self._finish)

    def _close_after_last_word(self, *, abort: bool = False) -> None:
        """Close when all that is queued is sent, but not before the client has had the time to read it.

        To close a socket with unread bytes resets it, and the reset destroys what the peer has not read yet. So a
        client that says more (or, after an abort, is likely to) is read, and ignored, for a while. After an abort that
        while is also all the time that the client has to take what is queued.
        """
        self._begin_to_close()
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        for pump in self._pumps.values():
            if pump.stop():
                pump.sink.reset()  # it was cut off in the middle of a stream, and must not take this for its end
        if not client.closed:
            client.pause()
        if not server.closed:
            server.pause()
        if client.closed or client.broken or not (abort or client.queued or server.queued or self._client_says_more()):
            self._finish()
            return
        if not server.closed:
            server.send_eof()
        client.send_eof()
        if abort:
            self._stay()
        else:
            self._after_all_is_sent(self._stay)

    def _after_all_is_sent(self, callback: Callable[[], None]) -> None:
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        client.when_drained(lambda: server.when_drained(callback))

    def _stay(self) -> None:
        """Read the client, and ignore it, for a while."""
        self._linger = self._owner.timeouts(LINGER).begin(self._finish)
        self.legs[Side.CLIENT].resume(self._discard)

    def _client_says_more(self) -> bool:
        try:
            return bool(self.legs[Side.CLIENT].receive())
        except OSError:
            return False

    def _discard(self) -> None:
        if not self._client_says_more():
            self.legs[Side.CLIENT].pause()
            self._after_all_is_sent(self._finish)

    def _begin_to_close(self) -> None:
        self._closing = True
        self._owner.flow_ended(self)

    def _break(self) -> None:
        """Close at once; who was cut off in the middle of an opaque flow sees a reset, and no orderly end."""
        if self._closed:
            return
        if not self._closing:
            self._begin_to_close()
        if self._pumps:
            for leg in self.legs.values():
                if not leg.closed:
                    leg.reset()
        self._finish()

    def _finish(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._linger:
            self._linger.cancel()
        # Pumps and machine know us, or each other: without them no circle is left for the collector.
        pumps, self._pumps = self._pumps, {}
        for pump in pumps.values():
            if pump.stop():
                pump.sink.reset()  # what is dropped must not look complete
        machine, self._machine = self._machine, None
        if machine:
            machine.discard()
        for leg in self.legs.values():
            if leg.queued:
                leg.reset()
            elif not leg.closed:
                leg.close()
        self._owner.flow_closed(self)

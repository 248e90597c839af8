"""`FlowMachine`: drives a plugin between two streams. Events in, an ordered list of commands out; no I/O.

Promises to hosts: commands are to be carried out in order; nothing is sent to a server that there is not yet;
after `Splice(side)` no data of that side is emitted; nothing that a peer does makes `receive` raise.
Promise to plugins: `await` is answered by this machine alone, so they are the same in every host.
"""

from __future__ import annotations

from dataclasses import replace

from alg.core.commands import Command, Forward, SendData, SendEof, Splice
from alg.core.driver import Driver
from alg.core.errors import AlgError, PluginError
from alg.core.events import (
    DataReceived,
    EofReceived,
    Event,
    Forwarded,
    RelatedEnded,
    TlsStarted,
    TlsStopped,
    UpstreamConnected,
)
from alg.core.model import Side
from alg.core.plugin import refusal_words
from alg.core.requests import Request
from alg.core.stream import Stream


class FlowMachine(Driver[Stream]):
    """One flow over TCP: a plugin instance between two legs."""

    __slots__ = ()

    _carries = SendData

    def _incoming(self, side: Side) -> Stream:
        return Stream(side, self._send)

    def _send(self, side: Side, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"send() and reply() take bytes, not {type(data).__name__}")
        direction = self._directions[side.other]
        if side is Side.SERVER and side not in self.legs and not self._ended:
            raise self._no_server()
        if direction.opaque and not direction.stream.ended:
            name = f"from_{side.other.value}"
            raise PluginError(
                f"plugin {self.plugin.name} sends to the {side.value}, where bytes pass unread: override {name}, and do "
                "not return from it before"
            )
        if isinstance(direction.waits_for, Forward):
            raise self._amid(f"sends to the {side.value}")
        if not self._ended and not direction.opaque:
            self._commands.append(SendData(side, data))

    def receive(self, event: Event, now: float = 0.0) -> list[Command]:
        """Say what happened, and when; return what to do now. Events that come after the end are ignored."""
        self.now = now
        if isinstance(event, RelatedEnded):
            self._tell_outcome(event)
        elif not self._ended:
            if type(event) is DataReceived:  # nine events of ten
                direction = self._directions[event.side]
                direction.stream.receive(event.data)
                if direction.waits_for is direction.stream:
                    self._step(event.side)
            else:
                self._receive_other(event)
        return self._flush()

    def _receive_other(self, event: Event) -> None:
        if isinstance(event, EofReceived):
            direction = self._directions[event.side]
            direction.stream.receive_eof()
            if direction.waits_for is direction.stream:
                self._step(event.side)
            elif isinstance(direction.waits_for, Forward):
                self._step(event.side, False)
        else:
            self._receive_answer(event)

    def _receive_answer(self, event: Event) -> None:
        """What was asked of the host is done."""
        if isinstance(event, Forwarded):
            direction = self._directions[event.side]
            direction.stream.receive(event.more)
            if isinstance(direction.waits_for, Forward):
                direction.forwarding = False
                self._step(event.side, True)
        elif isinstance(event, TlsStarted | TlsStopped):
            self._handshakes -= {event.side}
            tls = event.tls if isinstance(event, TlsStarted) else None
            self.legs[event.side] = replace(self.legs[event.side], tls=tls)
            self._answer(event.side, None, None)
        elif isinstance(event, UpstreamConnected):
            self.legs[Side.SERVER] = event.leg
            if self._server.opaque:  # from the start
                self._commands.append(Splice(Side.SERVER))
            self._answer(event.command, None, None)
        else:
            self._receive_common(event)

    @property
    def wants_both(self) -> bool:
        """Whether the host should read both sides; asked after each piece of data."""
        client, server = self._client, self._server
        waiting = client.waits_for is client.stream and server.waits_for is server.stream
        return waiting and not self._ended and not self._handshakes

    def _wait(self, side: Side, request: Request) -> None:
        """A coroutine waits; of all requests only this one has not been judged, since a stream knows no machine."""
        if isinstance(request, Forward) and not self._ended:
            try:
                self.prepare_forward(side, request)
            except AlgError as problem:
                self._abort(problem)
                return
        self._directions[side].waits_for = request

    def _finish(self, side: Side) -> None:
        """A coroutine has returned: what its side says from here on is opaque."""
        direction = self._directions[side]
        direction.coroutine = None
        if self._ended or direction.opaque:
            return
        if Side.SERVER in self.legs:
            self._make_opaque(side)
        elif side is Side.SERVER:
            direction.opaque = True  # as if it had not been overridden
        elif direction.stream.ended:
            self.close()  # the client has left without choosing
        else:
            self._abort(self._no_server())

    def _make_opaque(self, side: Side) -> None:
        direction = self._directions[side]
        direction.opaque = True
        if rest := direction.stream.drain():
            self._commands.append(SendData(side.other, rest))
        self._commands.append(SendEof(side.other) if direction.stream.ended else Splice(side))
        if all(each.opaque and each.stream.ended for each in self._directions.values()):
            self.close()

    def _last_words(self, error: AlgError) -> bytes | None:
        passes = self._server.opaque or self._server.forwarding
        return b"" if passes else refusal_words(self.plugin, error)

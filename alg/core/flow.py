"""`FlowMachine`: drives the two coroutines of a plugin. Events in, an ordered list of commands out; no I/O.

Promises to hosts: commands are to be carried out in order; nothing is sent to a server that there is not yet;
after `Splice(side)` no data of that side is emitted; nothing that a peer does makes `receive` raise.
Promise to plugins: `await` is answered by this machine alone, so they are the same in every host.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from types import CoroutineType
from typing import TypeAlias

from alg.core.commands import (
    Abort,
    CloseBinding,
    CloseConnection,
    Command,
    ConnectUpstream,
    DialBinding,
    OpenBinding,
    Report,
    ReportRewrite,
    SendData,
    SendEof,
    Splice,
    StartTls,
    StopTls,
)
from alg.core.errors import AlgError, PluginError, ProtocolError
from alg.core.events import (
    BindingOpened,
    CommandFailed,
    ConnectionLost,
    DataReceived,
    EofReceived,
    Event,
    RelatedEnded,
    TlsStarted,
    TlsStopped,
    UpstreamConnected,
)
from alg.core.model import Endpoint, Expectation, Leg, Side
from alg.core.outcomes import OnEnd, Outcomes
from alg.core.plugin import Field, Flow, StreamPlugin, refusal_words
from alg.core.promise import Promise
from alg.core.session import Session
from alg.core.stream import Stream

Request: TypeAlias = Stream | int | Side | ConnectUpstream | Promise[object]
"""What a coroutine waits for: more of its stream, the binding of that number, TLS on that side (or its end), a server,
or something that the other coroutine knows."""


_REQUESTS = (int, Side, ConnectUpstream, Promise)


class _Direction:
    """What comes from one side, and the coroutine that treats it."""

    __slots__ = ("coroutine", "opaque", "stream", "waits_for")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.coroutine: Coroutine[object, object, None] | None = None
        self.waits_for: Request | None = None
        self.opaque = False


def _where(problem: Exception) -> str:
    """An exception in one line, with the place where it was raised."""
    place, trace = "", problem.__traceback__
    while trace:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(problem).__name__} at {place}: {problem}"


class FlowMachine:
    """One flow: a plugin instance between two legs."""

    __slots__ = (
        "_client",
        "_commands",
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

    def __init__(self, plugin: StreamPlugin[object], session: Session, *, client: Leg, server: Leg | None) -> None:
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
        self.now = 0.0
        """Seconds of the host's monotonic clock at the last event."""
        plugin.flow = Flow(self)
        self._client, self._server = (_Direction(Stream(side, self._send)) for side in Side)
        self._directions = {Side.CLIENT: self._client, Side.SERVER: self._server}

    # For hosts.

    def start(self, now: float = 0.0) -> list[Command]:
        """Begin: both legs are connected. To be called once, before `receive`."""
        self.now = now
        treats = {Side.CLIENT: self.plugin.from_client, Side.SERVER: self.plugin.from_server}
        for side, direction in self._directions.items():
            name = treats[side].__name__
            if getattr(type(self.plugin), name) is getattr(StreamPlugin, name):
                direction.opaque = True
                if Side.SERVER in self.legs:
                    self._commands.append(Splice(side))
        for side, direction in self._directions.items():
            if not direction.opaque and not self._ended:
                self._begin(side, treats[side])
        return self._flush()

    def _begin(self, side: Side, treat: Callable[[Stream], object]) -> None:
        """Call a plugin's method; one that lacks its `async` has been run by that, and ends its session."""
        name = f"{self.plugin.name}: {treat.__name__}"
        try:
            coroutine = treat(self._directions[side].stream)
        except Exception as problem:  # noqa: BLE001 - as in `_step`
            self._abort(PluginError(f"plugin {name} raised {_where(problem)}"))
            return
        if isinstance(coroutine, CoroutineType):
            self._directions[side].coroutine = coroutine
            self._step(side)
        else:
            self._abort(PluginError(f"plugin {name} is no `async def`"))

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
        elif isinstance(event, BindingOpened):
            if not self._answer(event.number, event.endpoints, None):
                self.release(event.number)  # whoever asked for it is gone
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
        elif isinstance(event, CommandFailed):
            if isinstance(event.command, int):
                self.session.release(event.command)
                self._outcomes.forget(event.command)
            elif isinstance(event.command, Side):
                self._handshakes -= {event.command}
            self._answer(event.command, None, event.error)
        else:
            assert isinstance(event, ConnectionLost), "there is no other event"
            self._abort(event.error)

    def _tell_outcome(self, event: RelatedEnded) -> None:
        """Tell a plugin what came of a related flow; it cannot send any more if its own flow is over."""
        on_end = self._outcomes.count(event.number)
        if on_end is None or event.outcome is None:
            return
        try:
            on_end(event.outcome)
        except Exception as problem:  # noqa: BLE001 - as in `_run`
            error = PluginError(f"plugin {self.plugin.name} raised {_where(problem)}")
            if self._ended:
                self.report(error.reason, str(error), {})
            else:
                self._abort(error)
        self._wake(Side.CLIENT)
        self._wake(Side.SERVER)

    def wants_data(self, side: Side) -> bool:
        """Whether the host should read that side; this is the whole of backpressure."""
        direction = self._directions[side]
        return not self._ended and direction.waits_for is direction.stream and side not in self._handshakes

    @property
    def wants_both(self) -> bool:
        """Whether the host should read both sides; asked after each piece of data."""
        client, server = self._client, self._server
        waiting = client.waits_for is client.stream and server.waits_for is server.stream
        return waiting and not self._ended and not self._handshakes

    @property
    def ended(self) -> bool:
        """Whether the machine has said its last word: `CloseConnection` or `Abort`."""
        return self._ended

    def discard(self) -> None:
        """The host is done with this flow: let go of the plugin, so that no circle is left for the collector."""
        self._ended = True
        self._drop_coroutines()
        self._directions = {}
        self._outcomes = Outcomes(self.session)
        del self._client, self._server, self.plugin

    def _flush(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands

    # Stepping.

    def _answer(self, request: int | Side | ConnectUpstream, value: object, error: AlgError | None) -> bool:
        for side, direction in self._directions.items():
            if direction.waits_for is not direction.stream and direction.waits_for == request:
                self._step(side, value, error)
                return True
        return False

    def _step(self, side: Side, value: object = None, error: AlgError | None = None) -> None:
        """Run a direction's coroutine until it waits again or returns; then whoever waits for what was promised."""
        self._run(side, value, error)
        self._wake(side.other)

    def _wake(self, side: Side) -> None:
        """Let that direction go on, if it waits for a promise that has been kept by now; then the other, and so on."""
        while not self._ended and self._may_go_on(side):
            self._run(side)
            side = side.other
        if self._ended:
            self._drop_coroutines()

    def _may_go_on(self, side: Side) -> bool:
        promise = self._directions[side].waits_for
        return isinstance(promise, Promise) and promise.kept

    def _run(self, side: Side, value: object = None, error: AlgError | None = None) -> None:
        direction = self._directions[side]
        coroutine = direction.coroutine
        assert coroutine is not None, "an opaque direction waits for nothing"
        direction.waits_for = None
        try:
            request = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration:
            self._finish(side)
        except AlgError as problem:
            self._abort(problem)
        except Exception as problem:  # noqa: BLE001 - whatever a plugin raises ends its session, and only that
            self._abort(PluginError(f"plugin {self.plugin.name} raised {_where(problem)}"))
        else:
            if request is not direction.stream and not isinstance(request, _REQUESTS):
                self._abort(PluginError(f"plugin {self.plugin.name} awaited something that is not of alg.plugin"))
            elif request is direction.stream and direction.opaque:
                self._abort(PluginError(f"plugin {self.plugin.name} reads on after splice()"))
            else:
                direction.waits_for = request

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

    def _drop_coroutines(self) -> None:
        for direction in self._directions.values():
            coroutine, direction.coroutine = direction.coroutine, None
            if coroutine is not None:
                self._drop(coroutine)

    def _drop(self, coroutine: Coroutine[object, object, None]) -> None:
        try:
            coroutine.close()
        except Exception as problem:  # noqa: BLE001 - a plugin that fails while it is dropped changes nothing
            self.report("plugin_failed", f"plugin {self.plugin.name} raised while it was dropped: {problem}", {})

    # What `Stream`, `Flow` and `Binding` ask for.

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
        if not self._ended and not direction.opaque:
            self._commands.append(SendData(side, data))

    def lease(self, expectation: Expectation, on_end: OnEnd | None) -> int:
        """Judge an expectation, and ask the host to listen for it; return the number of the binding."""
        self._refuse_after_end()
        lease = self.session.lease(expectation, self.legs)
        self._commands.append(OpenBinding(lease.number, expectation))
        if on_end is not None:
            self._outcomes.watch(lease, on_end)
        return lease.number

    def dial(self, number: int) -> None:
        """Ask the host to dial both legs of a binding."""
        lease = self.session.find(number)
        if not self._ended and lease is not None and not lease.dialled:
            lease.dialled = True
            self._commands.append(DialBinding(number))

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
        """Ask the host for TLS on a leg, provided that nothing sent in the clear is still unread."""
        self._refuse_tls_change(side, secure=False)
        for direction in self._directions.values():
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
        if self._directions[side].opaque:
            why = "bytes pass unread"
        elif side in self._handshakes:
            why = "that is under way"
        elif self.legs[side].secure != secure:
            why = "there is none" if secure else "there is some"
        if why:
            what = "stops TLS" if secure else "starts TLS"
            raise PluginError(f"plugin {self.plugin.name} {what} on the {side.value}'s leg, where {why}")

    def _no_server(self) -> PluginError:
        return PluginError(f"plugin {self.plugin.name} has no server yet: `connect` comes first")

    def _refuse_after_end(self) -> None:
        if self._ended:
            raise PluginError(f"plugin {self.plugin.name} goes on after the end of its flow")

    def splice(self) -> None:
        """Make both directions opaque."""
        if Side.SERVER not in self.legs and not self._ended:
            raise self._no_server()
        for side, direction in self._directions.items():
            if not direction.opaque and not self._ended:
                self._make_opaque(side)
                if direction.waits_for is not None and direction.coroutine is not None:
                    self._drop(direction.coroutine)
                    direction.coroutine, direction.waits_for = None, None

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
        sources = lease.sources if lease else {}
        self._commands.append(ReportRewrite(number, expectation, endpoints, sources, announced_by))

    def _abort(self, error: AlgError) -> None:
        """Fail closed: the session ends, and the client is told so in its protocol where that is still possible."""
        if self._ended:
            return
        if not self._directions[Side.SERVER].opaque and (words := refusal_words(self.plugin, error)):
            self._commands.append(SendData(Side.CLIENT, words))
        self._ended = True
        self._commands.append(Abort(error))
        self._drop_coroutines()

"""`Driver`: runs the two coroutines of a plugin, whatever the transport: starts them, hands them answers, drops them.

The only place where a plugin's code runs. Whatever it raises ends its flow, and only that. What comes of events that one
transport has and the other has not is in `alg.core.flow` (streams) and `alg.core.datagram_flow`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from types import CoroutineType

from alg.core.commands import Abort, Command, ConnectUpstream, Splice
from alg.core.errors import AlgError, PluginError, ProtocolError, describe
from alg.core.events import BindingOpened, CommandFailed, ConnectionLost, DeadlinePassed, Event, RelatedEnded
from alg.core.model import Side
from alg.core.outcomes import Outcomes
from alg.core.plugin import METHODS
from alg.core.promise import Promise
from alg.core.requests import REQUESTS, Request, Requests, S


class Driver(Requests[S]):
    """One flow: a plugin instance between two legs."""

    __slots__ = ()

    # For hosts.

    def start(self, now: float = 0.0) -> list[Command]:
        """Begin: both legs are connected. To be called once, before `receive`."""
        self.now = now
        for side, direction in self._directions.items():
            if not type(self.plugin).reads(side):
                direction.opaque = True
                if Side.SERVER in self.legs:
                    self._commands.append(Splice(side))
        for side, direction in self._directions.items():
            if not direction.opaque and not self._ended:
                self._begin(side)
        return self._flush()

    def _begin(self, side: Side) -> None:
        """Call a plugin's method; one that lacks its `async` has been run by that, and ends its session."""
        name = f"{self.plugin.name}: {METHODS[side]}"
        treat: Callable[[S], object] = getattr(self.plugin, METHODS[side])
        try:
            coroutine = treat(self._directions[side].stream)
        except Exception as problem:  # noqa: BLE001 - as in `_step`
            self._abort(PluginError(f"plugin {name} raised {describe(problem)}"))
            return
        if isinstance(coroutine, CoroutineType):
            self._directions[side].coroutine = coroutine
            self._step(side)
        else:
            self._abort(PluginError(f"plugin {name} is no `async def`"))

    def _receive_common(self, event: Event) -> None:
        """What happens to flows of any transport."""
        if isinstance(event, ConnectionLost):
            self._abort(event.error)
        elif isinstance(event, DeadlinePassed):
            seconds, what = self._deadline
            if seconds is not None:
                self._abort(ProtocolError(f"{what} took more than {seconds:g} s", reason="too_slow"))
        elif isinstance(event, CommandFailed):
            if isinstance(event.command, int):
                self.session.release(event.command)
                self._outcomes.forget(event.command)
            elif isinstance(event.command, Side):
                self._handshakes -= {event.command}
            self._answer(event.command, None, event.error)
        else:
            assert isinstance(event, BindingOpened), "there is no other event"
            if not self._answer(event.number, event.endpoints, None):
                self.release(event.number)  # whoever asked for it is gone

    def _tell_outcome(self, event: RelatedEnded) -> None:
        """Tell a plugin what came of a related flow; it cannot send any more if its own flow is over."""
        on_end = self._outcomes.count(event.number)
        if on_end is None or event.outcome is None:
            return
        try:
            on_end(event.outcome)
        except Exception as problem:  # noqa: BLE001 - as in `_run`
            error = PluginError(f"plugin {self.plugin.name} raised {describe(problem)}")
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

    def buffered(self, side: Side) -> int:
        """Bytes of that side that were handed in and not read yet: for hosts that cannot stop reading."""
        return self._directions[side].stream.buffered if not self._ended else 0

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

    # What differs from one transport to the other.

    @abstractmethod
    def _make_opaque(self, side: Side) -> None:
        """Look no longer at that direction; what was received and not read goes on first."""

    @abstractmethod
    def _finish(self, side: Side) -> None:
        """A coroutine has returned."""

    @abstractmethod
    def _last_words(self, error: AlgError) -> bytes | None:
        """What the client is told when the flow is aborted; None: it must not take this end for an orderly one."""

    def _wait(self, side: Side, request: Request) -> None:
        """A coroutine waits, for something that has been judged."""
        self._directions[side].waits_for = request

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
            self._abort(PluginError(f"plugin {self.plugin.name} raised {describe(problem)}"))
        else:
            if request is not direction.stream and not isinstance(request, REQUESTS):
                self._abort(PluginError(f"plugin {self.plugin.name} awaited something that is not of alg.plugin"))
            elif request is direction.stream and direction.opaque:
                self._abort(PluginError(f"plugin {self.plugin.name} reads on after splice()"))
            else:
                self._wait(side, request)

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

    def splice(self) -> None:
        """Make both directions opaque."""
        if Side.SERVER not in self.legs and not self._ended:
            raise self._no_server()
        if self._is_forwarding:
            raise self._amid("splices")
        for side, direction in self._directions.items():
            if not direction.opaque and not self._ended:
                self._make_opaque(side)
                if direction.waits_for is not None and direction.coroutine is not None:
                    self._drop(direction.coroutine)
                    direction.coroutine, direction.waits_for = None, None

    def _abort(self, error: AlgError) -> None:
        """Fail closed: the session ends, and the client is told so in its protocol where that is still possible."""
        if self._ended:
            return
        words = self._last_words(error)
        if words:
            self._commands.append(self._carries(Side.CLIENT, words))
        self._ended = True
        self._commands.append(Abort(error, cut_off=words is None))
        self._drop_coroutines()

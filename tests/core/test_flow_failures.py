"""Plugins that misbehave, and the end of a flow: fail closed, and never raise into the host."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from alg.core.commands import Abort, CloseConnection, Report, SendData
from alg.core.events import ConnectionLost
from alg.plugin import AlgError, ConnectError, PluginError, PolicyError, Side, Stream
from tests.machines import FROM_CLIENT, FROM_SERVER, TARGET, Echo, aborted, started


def test_closing_drops_the_other_coroutine_cleanly() -> None:
    """Its `finally` runs; what it does then has no effect, and what it raises is only recorded."""

    class Closing(Echo):
        dropped = False

        async def from_client(self, stream: Stream) -> None:
            await stream.read_line(100)
            self.flow.close()
            self.flow.close()

        async def from_server(self, stream: Stream) -> None:
            try:
                await stream.read_line(100)
            finally:
                stream.send(b"too late")
                self.dropped = True
                await self.flow.expect(Side.CLIENT, TARGET)

    machine, _ = started(Closing)
    close, report = machine.receive(FROM_CLIENT)
    assert close == CloseConnection()
    assert isinstance(report, Report)
    assert report.reason == "plugin_failed"
    assert machine.plugin.dropped  # type: ignore[attr-defined]
    assert not machine.session.pending


def test_a_decorated_method_is_known_by_its_place() -> None:
    """A decorator that does not keep the name of what it wraps changes nothing."""

    Method = Callable[[Any, Stream], Coroutine[Any, Any, None]]  # noqa: N806 - a type

    def anonymous(treat: Method) -> Method:
        async def wrapper(plugin: Echo, stream: Stream) -> None:
            await treat(plugin, stream)

        return wrapper

    class Decorated(Echo):
        @anonymous
        async def from_client(self, stream: Stream) -> None:
            stream.send(b"mine " + await stream.read_line(100))

    machine, commands = started(Decorated)
    assert commands == []
    assert machine.receive(FROM_CLIENT)[0] == SendData(Side.SERVER, b"mine x\n")


def test_whoever_goes_on_after_the_end_is_stopped() -> None:
    """No listener and no handshake after `close`."""

    class Handshaking(Echo):
        async def from_client(self, stream: Stream) -> None:
            self.flow.close()
            await self.flow.start_tls(Side.CLIENT)

    class Listening(Echo):
        async def from_client(self, stream: Stream) -> None:
            self.flow.close()
            await self.flow.expect(Side.CLIENT, TARGET)

    for plugin in (Handshaking, Listening):
        machine, commands = started(plugin)
        assert commands == [CloseConnection()]
        assert not machine.session.pending


def test_the_client_is_told_in_its_protocol() -> None:
    """Where that is still possible: not when the server's direction is spliced."""

    class Polite(Echo):
        def refusal(self, error: AlgError) -> bytes:
            return b"sorry: " + error.reason.encode("ascii")

    class PoliteButOpaque(Polite):
        async def from_server(self, stream: Stream) -> None:
            return

    lost = ConnectionLost(Side.SERVER, ConnectError("reset"))
    machine, _ = started(Polite)
    assert machine.receive(lost)[0] == SendData(Side.CLIENT, b"sorry: connect_failed")
    machine, _ = started(PoliteButOpaque)
    assert aborted(machine.receive(lost)).reason == "connect_failed"


def test_a_client_in_the_middle_of_something_is_cut_off() -> None:
    """It is told nothing, and its host is told that what it has got is not all."""

    class Amid(Echo):
        def refusal(self, error: AlgError) -> None:
            return None

    machine, _ = started(Amid)
    error = ConnectError("reset")
    assert machine.receive(ConnectionLost(Side.SERVER, error)) == [Abort(error, cut_off=True)]


def test_a_plugin_that_fails_at_refusing_says_nothing() -> None:
    """The error that ends the session is the first one."""

    class Clumsy(Echo):
        def refusal(self, error: AlgError) -> bytes:
            raise KeyError(error)

    machine, _ = started(Clumsy)
    assert len(commands := machine.receive(ConnectionLost(Side.SERVER, ConnectError("reset")))) == 1
    assert aborted(commands).reason == "connect_failed"


class Raising(Echo):
    """Raises anything."""

    async def from_client(self, stream: Stream) -> None:
        line = await stream.read_line(100)
        stream.send(line)
        raise ZeroDivisionError("oops")


class Refusing(Echo):
    """Lets an error of ours go."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await self.flow.expect(Side.SERVER, TARGET)


class Sleeping(Echo):
    """Awaits what belongs to another loop."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await asyncio.sleep(0)


class Stealing(Echo):
    """Reads the other side's stream."""

    other: Stream

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await self.other.read_line(100)

    async def from_server(self, stream: Stream) -> None:
        self.other = stream
        await stream.read_line(100)


class ReadingOn(Echo):
    """Reads what is opaque."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        self.flow.splice()
        await stream.read_line(100)


class SendingOn(Echo):
    """Sends into what is opaque."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        self.flow.splice()
        stream.send(b"more")


class Synchronous(Echo):
    """Lacks an `async`."""

    def from_client(self, stream: Stream) -> None:  # type: ignore[override]
        stream.send(b"")


class SynchronousAndRaising(Echo):
    """Lacks an `async`, and fails at once."""

    def from_client(self, stream: Stream) -> None:  # type: ignore[override]
        raise ZeroDivisionError("oops")


class Generating(Echo):
    """Is an asynchronous generator."""

    async def from_client(self, stream: Stream) -> AsyncIterator[bytes]:  # type: ignore[override]
        yield await stream.read_line(100)


class SendingText(Echo):
    """Sends what is no bytes."""

    async def from_client(self, stream: Stream) -> None:
        stream.send((await stream.read_line(100)).decode())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (SendingText, "send() and reply() take bytes, not str"),
        (Raising, "raised ZeroDivisionError at test_flow_failures.py:"),
        (Sleeping, "awaited something that is not of alg.plugin"),
        (Stealing, "awaited something that is not of alg.plugin"),
        (ReadingOn, "reads on after splice()"),
        (SendingOn, "sends to the server, where bytes pass unread"),
        (Synchronous, "is no `async def`"),
        (SynchronousAndRaising, "from_client raised ZeroDivisionError at test_flow_failures.py:"),
        (Generating, "is no `async def`"),
    ],
)
def test_a_plugin_that_misbehaves_ends_its_session(plugin: type[Echo], words: str) -> None:
    """Fail closed: the machine does not raise, and no byte passes afterwards."""
    machine, commands = started(plugin)
    commands += machine.receive(FROM_CLIENT)
    error = aborted(commands)
    assert isinstance(error, PluginError)
    assert str(error).startswith("plugin echo")
    assert words in str(error)
    assert machine.receive(FROM_CLIENT) == machine.receive(FROM_SERVER) == []


def test_an_error_of_ours_that_a_plugin_lets_go_ends_its_session() -> None:
    """With that error, not with a `PluginError`."""
    machine, _ = started(Refusing)
    assert isinstance(aborted(machine.receive(FROM_CLIENT)), PolicyError)


def test_a_discarded_machine_lets_go_of_its_plugin() -> None:
    """Without the collector: a busy host makes thousands of them a second."""
    machine, _ = started(Echo)
    plugin = weakref.ref(machine.plugin)
    machine.discard()
    assert plugin() is None
    assert machine.ended
    assert machine.receive(FROM_CLIENT) == []

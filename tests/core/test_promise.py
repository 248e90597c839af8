"""`Promise`: one coroutine waits for the other, however and whenever the promise is kept, and is dropped with its session."""

from __future__ import annotations

import pytest

from alg.core.commands import Abort, CloseConnection, OpenBinding, SendData, Splice
from alg.core.events import BindingOpened, ConnectionLost, DataReceived, RelatedEnded
from alg.plugin import ConnectError, Outcome, Promise, Side, Stream
from tests.machines import FROM_CLIENT, FROM_SERVER, OPENED, TARGET, Echo, aborted, started


class Waiting(Echo):
    """Each line of the client waits for the next one of the server, and goes on with it."""

    name = "waiting"
    promise: Promise[bytes] | None = None
    dropped = False

    async def from_client(self, stream: Stream) -> None:
        try:
            async for line in stream.lines(100):
                self.promise = Promise[bytes]()
                stream.send(line.strip() + await self.promise)
        finally:
            self.dropped = True

    async def from_server(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            if self.promise:
                self.promise.keep(line)
            stream.send(line)


def test_a_promise_that_is_kept_wakes_whoever_waits() -> None:
    """Once the keeper waits itself: what it said before it does comes first. Meanwhile the waiting side is not read."""
    machine, _ = started(Waiting)
    assert machine.receive(FROM_CLIENT) == []
    assert not machine.wants_data(Side.CLIENT)
    assert machine.wants_data(Side.SERVER)
    assert machine.receive(DataReceived(Side.SERVER, b"y\nz\n")) == [
        *(SendData(Side.CLIENT, b"y\n"), SendData(Side.CLIENT, b"z\n"), SendData(Side.SERVER, b"xy\n"))
    ]
    assert machine.wants_both


def test_data_and_other_answers_do_not_wake_whoever_waits_for_a_promise() -> None:
    """What arrives on its side is buffered."""
    machine, _ = started(Waiting)
    machine.receive(FROM_CLIENT)
    assert machine.receive(FROM_CLIENT) == machine.receive(BindingOpened(1, OPENED)) == []
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n"), SendData(Side.SERVER, b"xy\n")]


def test_a_promise_kept_before_is_not_waited_for() -> None:
    """Also by the same coroutine; a promise is kept once; it may be awaited again."""

    class AtOnce(Echo):
        async def from_client(self, stream: Stream) -> None:
            promise = Promise[bytes]()
            promise.keep(b"1")
            promise.keep(b"2")
            stream.send(await promise)
            stream.send(await promise)

    machine, commands = started(AtOnce)
    assert commands == [SendData(Side.SERVER, b"1"), SendData(Side.SERVER, b"1"), Splice(Side.CLIENT)]
    assert not machine.ended


def test_a_promise_kept_by_a_coroutine_that_returns() -> None:
    """Its direction becomes opaque first; None is a value too."""

    class Returning(Echo):
        def __init__(self, config: None) -> None:
            super().__init__(config)
            self.promise = Promise[None]()

        async def from_client(self, stream: Stream) -> None:
            await self.promise
            stream.send(b"kept")
            await stream.read_some()

        async def from_server(self, stream: Stream) -> None:
            self.promise.keep(None)

    machine, commands = started(Returning)
    assert commands == [Splice(Side.SERVER), SendData(Side.SERVER, b"kept")]
    assert machine.wants_data(Side.CLIENT)


def test_both_may_wait_for_one_promise() -> None:
    """`on_end` keeps it: both go on, the client's first, each once."""

    class Both(Echo):
        promise: Promise[int]

        async def from_client(self, stream: Stream) -> None:
            self.promise = Promise[int]()
            await self.flow.expect(Side.CLIENT, TARGET, on_end=lambda outcome: self.promise.keep(outcome.from_client))
            stream.send(b"%d" % await self.promise)
            await stream.read_some()

        async def from_server(self, stream: Stream) -> None:
            stream.send(b"%d" % await self.promise)
            await stream.read_some()

    machine, _ = started(Both)
    machine.receive(BindingOpened(1, OPENED))
    assert not machine.wants_data(Side.CLIENT)
    assert not machine.wants_data(Side.SERVER)
    ended = RelatedEnded(1, Outcome(7, 0, 1.0))
    assert machine.receive(ended) == [SendData(Side.SERVER, b"7"), SendData(Side.CLIENT, b"7")]
    assert machine.wants_both
    assert machine.receive(ended) == []


def test_whoever_is_woken_is_woken_once() -> None:
    """What it asks for next is not answered by the promise."""

    class Expecting(Waiting):
        async def from_client(self, stream: Stream) -> None:
            self.promise = Promise[bytes]()
            await self.promise
            binding = await self.flow.expect(Side.CLIENT, TARGET)
            stream.send(binding.endpoint.to_bytes(b" "))
            await stream.read_some()

    machine, _ = started(Expecting)
    send, ask = machine.receive(FROM_SERVER)
    assert (send, type(ask)) == (SendData(Side.CLIENT, b"y\n"), OpenBinding)
    assert machine.receive(BindingOpened(1, OPENED))[-1] == SendData(Side.SERVER, b"10.77.1.1 20001")


def test_a_promise_that_is_never_kept_drops_its_coroutine_with_the_session() -> None:
    """Its `finally` runs, nothing else of it; however the session ends."""
    machine, _ = started(Waiting)
    machine.receive(FROM_CLIENT)
    plugin = machine.plugin
    assert aborted(machine.receive(ConnectionLost(Side.CLIENT, ConnectError("reset")))).reason == "connect_failed"
    assert plugin.dropped  # type: ignore[attr-defined]


def test_a_promise_kept_by_whoever_then_ends_the_flow_is_kept_in_vain() -> None:
    """The end comes first: the one who waits never learns of it."""

    class Ending(Waiting):
        async def from_server(self, stream: Stream) -> None:
            line = await stream.read_line(100)
            assert self.promise
            self.promise.keep(line)
            self.flow.close()

    machine, _ = started(Ending)
    machine.receive(FROM_CLIENT)
    assert machine.receive(FROM_SERVER) == [CloseConnection()]
    assert machine.plugin.dropped  # type: ignore[attr-defined]


def test_a_spliced_flow_drops_whoever_waits() -> None:
    """Its direction is opaque now."""

    class Splicing(Waiting):
        async def from_server(self, stream: Stream) -> None:
            await stream.read_line(100)
            self.flow.splice()

    machine, _ = started(Splicing)
    machine.receive(FROM_CLIENT)
    assert machine.receive(FROM_SERVER) == [Splice(Side.CLIENT), Splice(Side.SERVER)]
    assert machine.plugin.dropped  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 20_000])
def test_two_who_wait_for_each_other_take_turns_without_nesting(count: int) -> None:
    """However many lines a peer sends ahead: no depth of calls grows with their number."""

    class Turns(Echo):
        def __init__(self, config: None) -> None:
            super().__init__(config)
            self.asked, self.answered = Promise[bytes](), Promise[bytes]()

        async def from_client(self, stream: Stream) -> None:
            async for line in stream.lines(100):
                self.asked.keep(line)
                stream.send(await self.answered)
                self.answered = Promise[bytes]()

        async def from_server(self, stream: Stream) -> None:
            while True:
                line = await self.asked
                self.asked = Promise[bytes]()
                self.answered.keep(line)

    machine, _ = started(Turns)
    commands = machine.receive(DataReceived(Side.CLIENT, b"x\n" * count))
    assert commands == [SendData(Side.SERVER, b"x\n")] * count
    assert not any(isinstance(command, Abort) for command in commands)

"""The flow machine, event by event: what it tells its host to do, and what it does with plugins that misbehave."""

from __future__ import annotations

from alg.core.commands import Abort, CloseConnection, Report, SendData, SendEof, Splice
from alg.core.events import BindingOpened, CommandFailed, ConnectionLost, DataReceived, EofReceived, TlsStarted
from alg.plugin import BindError, ConnectError, Side, Stream, StreamPlugin
from tests.machines import CLIENT, FROM_CLIENT, FROM_SERVER, OPENED, SERVER, TLS, Echo, make_machine, started


class Opaque(StreamPlugin[None]):
    """Looks at nothing."""

    name = "opaque"


def test_lines_pass_both_ways() -> None:
    """The simplest plugin: what comes from one side goes to the other."""
    machine, commands = started(Echo)
    assert commands == []
    assert machine.receive(FROM_CLIENT) == [SendData(Side.SERVER, b"x\n")]
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n")]
    assert machine.receive(DataReceived(Side.CLIENT, b"half")) == []


def test_a_side_that_is_not_overridden_is_opaque_from_the_start() -> None:
    """Both, or one of them."""

    class HalfOpaque(StreamPlugin[None]):
        name = "half"

        async def from_client(self, stream: Stream) -> None:
            await stream.read_line(100)

    machine, commands = started(Opaque)
    assert commands == [Splice(Side.CLIENT), Splice(Side.SERVER)]
    assert not machine.wants_data(Side.CLIENT)
    assert not machine.ended
    machine, commands = started(HalfOpaque)
    assert commands == [Splice(Side.SERVER)]
    assert machine.wants_data(Side.CLIENT)
    assert not machine.wants_data(Side.SERVER)


def test_what_arrives_before_the_start_is_not_lost() -> None:
    """It waits in the stream."""
    machine = make_machine(Echo)
    assert machine.receive(FROM_CLIENT) == []
    assert machine.start() == [SendData(Side.SERVER, b"x\n")]


def test_the_end_of_one_side_is_passed_on_and_the_other_goes_on() -> None:
    """Half-close: the server still answers; when both have ended, the flow has."""
    machine, _ = started(Echo)
    assert machine.receive(EofReceived(Side.CLIENT)) == [SendEof(Side.SERVER)]
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n")]
    assert machine.receive(EofReceived(Side.SERVER)) == [SendEof(Side.CLIENT), CloseConnection()]
    assert machine.ended


def test_after_the_end_events_are_ignored() -> None:
    """Late data, late answers: nothing comes of them."""
    machine, _ = started(Echo)
    machine.receive(ConnectionLost(Side.SERVER, ConnectError("reset")))
    assert machine.ended
    late = (FROM_CLIENT, EofReceived(Side.CLIENT), BindingOpened(1, OPENED), TlsStarted(Side.CLIENT, TLS))
    for event in (*late, CommandFailed(1, BindError("no")), ConnectionLost(Side.CLIENT, ConnectError("reset"))):
        assert machine.receive(event) == []
    assert not machine.wants_data(Side.CLIENT)


def test_the_time_is_that_of_the_last_event() -> None:
    """Plugins have no other clock."""
    machine = make_machine(Echo)
    machine.start(1.5)
    assert machine.plugin.flow.now == 1.5
    machine.receive(FROM_CLIENT, 2.5)
    assert machine.plugin.flow.now == 2.5


def test_a_flow_knows_its_legs() -> None:
    """By name and by side."""
    flow = make_machine(Echo).plugin.flow
    assert flow.client is flow.leg(Side.CLIENT) is CLIENT
    assert flow.server is flow.leg(Side.SERVER) is SERVER


def test_splice_makes_both_directions_opaque_and_keeps_every_byte() -> None:
    """Half a line that was received goes on first; a side that has ended is ended, not spliced."""

    class Splicing(Echo):
        async def from_client(self, stream: Stream) -> None:
            await stream.read_line(100)
            self.flow.splice()

    machine, _ = started(Splicing)
    machine.receive(DataReceived(Side.SERVER, b"half"))
    assert machine.receive(DataReceived(Side.CLIENT, b"go\nrest")) == [
        *(SendData(Side.SERVER, b"rest"), Splice(Side.CLIENT), SendData(Side.CLIENT, b"half"), Splice(Side.SERVER))
    ]
    machine, _ = started(Splicing)
    machine.receive(EofReceived(Side.SERVER))
    assert machine.receive(DataReceived(Side.CLIENT, b"go\n")) == [Splice(Side.CLIENT)]


def test_splice_while_the_flow_begins() -> None:
    """The coroutine that has not begun yet never does."""

    class AtOnce(Echo):
        async def from_client(self, stream: Stream) -> None:
            self.flow.splice()

        async def from_server(self, stream: Stream) -> None:
            raise AssertionError("not reached")

    machine, commands = started(AtOnce)
    assert commands == [Splice(Side.CLIENT), Splice(Side.SERVER)]
    assert not machine.ended


def test_splice_after_both_have_ended_closes() -> None:
    """Nothing is left to carry."""

    class Late(StreamPlugin[None]):
        name = "late"

        async def from_client(self, stream: Stream) -> None:
            await self.flow.start_tls(Side.CLIENT)
            self.flow.splice()

        async def from_server(self, stream: Stream) -> None:
            await stream.read_some()

    machine, _ = started(Late)
    machine.receive(EofReceived(Side.SERVER))
    machine.receive(EofReceived(Side.CLIENT))
    assert machine.receive(TlsStarted(Side.CLIENT, TLS)) == [SendEof(Side.SERVER), CloseConnection()]


def test_a_leg_that_is_lost_ends_the_flow() -> None:
    """With the error that the host gives."""
    machine, _ = started(Echo)
    error = ConnectError("reset by peer")
    assert machine.receive(ConnectionLost(Side.CLIENT, error)) == [Abort(error)]


def test_a_record_is_a_command() -> None:
    """In its place among the others."""

    class Logging(Echo):
        async def from_client(self, stream: Stream) -> None:
            stream.send(b"1")
            self.flow.log("odd", "something odd", {"count": 1})
            self.flow.log("odd", "again")
            stream.send(b"2")
            await stream.read_some()

    assert started(Logging)[1] == [
        SendData(Side.SERVER, b"1"),
        Report("odd", "something odd", {"count": 1}),
        Report("odd", "again", {}),
        SendData(Side.SERVER, b"2"),
    ]


def test_a_machine_that_is_never_started_leaves_nothing_behind() -> None:
    """No coroutine that nobody awaits."""
    machine = make_machine(Echo)
    del machine

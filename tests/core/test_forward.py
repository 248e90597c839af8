"""Bytes that pass unread by count: all of them and no more, and nobody in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.commands import Abort, CloseConnection, Forward, SendData, SendEof, Splice
from alg.core.errors import AlgError, ConnectError, ProtocolError
from alg.core.events import ConnectionLost, DataReceived, DeadlinePassed, EofReceived, Forwarded
from alg.core.flow import FlowMachine
from alg.plugin import Side, Stream, StreamPlugin
from alg.testing import Playbook
from tests.machines import FROM_CLIENT, FROM_SERVER, Echo, aborted, started


class Counting(Echo):
    """`COUNT` and so many bytes that pass unread, both ways; what ends a session is told to the client."""

    name = "counting"

    async def from_client(self, stream: Stream) -> None:
        await self.treat(stream)

    async def from_server(self, stream: Stream) -> None:
        await self.treat(stream)

    async def treat(self, stream: Stream) -> None:
        async for line in stream.lines(20):
            stream.send(line)
            await stream.forward(int(line))

    def refusal(self, error: AlgError) -> bytes:
        return b"sorry\n"


SIDES = pytest.mark.parametrize("side", Side)


@SIDES
def test_what_was_received_is_sent_and_the_rest_is_the_hosts(side: Side) -> None:
    """The host is asked for what is missing only; until it has answered nothing of that side is wanted."""
    machine, _ = started(Counting)
    commands = machine.receive(DataReceived(side, b"5\nab"))
    assert commands == [SendData(side.other, b"5\n"), SendData(side.other, b"ab"), Forward(side, 3)]
    assert not machine.wants_data(side)
    assert machine.wants_data(side.other)
    assert machine.buffered(side) == 0
    assert machine.receive(Forwarded(side)) == []
    assert machine.wants_data(side)


@SIDES
def test_what_came_behind_is_read(side: Side) -> None:
    """A host may have read more than was to pass: that is the plugin's again."""
    machine, _ = started(Counting)
    machine.receive(DataReceived(side, b"5\n"))
    assert machine.receive(Forwarded(side, b"0\n1\n")) == [
        *(SendData(side.other, b"0\n"), SendData(side.other, b"1\n"), Forward(side, 1))
    ]


@SIDES
def test_what_is_all_there_needs_no_host(side: Side) -> None:
    """Just so many bytes, and more than are there; none at all is nothing to wait for."""
    machine, _ = started(Counting)
    assert machine.receive(DataReceived(side, b"2\nab0\n3\nabcde")) == [
        SendData(side.other, piece) for piece in (b"2\n", b"ab", b"0\n", b"3\n", b"abc")
    ]
    assert machine.wants_data(side)
    assert machine.buffered(side) == 2


@given(st.lists(st.integers(0, 40), max_size=6), st.data())
def test_however_it_is_cut_the_same_passes(counts: list[int], data: st.DataObject) -> None:
    """Whole, byte by byte, and at random splits."""
    message = b"".join(b"%d\n" % count + bytes(range(count)) for count in counts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=len(message))))
    for side in Side:
        talk = Playbook(Counting)
        for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
            talk.say(side, message[start:end])
        assert talk.received(side.other) == message
        assert not talk.closed


@SIDES
def test_an_end_before_all_has_passed(side: Side) -> None:
    """It is a protocol error, and the client hears of it unless it is in the middle of what the server says."""
    machine, _ = started(Counting)
    machine.receive(DataReceived(side, b"5\nab"))
    *words, last = machine.receive(EofReceived(side))
    assert isinstance(last, Abort)
    assert last.error.reason == "truncated"
    assert str(last.error) == f"the {side.value} ended before 5 bytes had passed"
    assert words == ([SendData(Side.CLIENT, b"sorry\n")] if side is Side.CLIENT else [])


def test_an_end_that_has_come_already() -> None:
    """Nothing is asked of the host: it would wait for ever."""

    class Late(Echo):
        async def from_client(self, stream: Stream) -> None:
            await stream.read_exactly(1)
            while await stream.read_some():
                pass
            await stream.forward(1)

    machine, _ = started(Late)
    machine.receive(DataReceived(Side.CLIENT, b"x"))
    assert aborted(machine.receive(EofReceived(Side.CLIENT))).reason == "truncated"


def test_a_plugin_may_live_with_a_broken_off_message() -> None:
    """It catches the error, and its side's end goes on."""

    class Content(Counting):
        async def from_client(self, stream: Stream) -> None:
            try:
                await stream.forward(5)
            except ProtocolError:
                stream.reply(b"a pity\n")

    machine, _ = started(Content)
    assert machine.receive(EofReceived(Side.CLIENT)) == [SendData(Side.CLIENT, b"a pity\n"), SendEof(Side.SERVER)]


@SIDES
def test_nobody_sends_in_the_middle(side: Side) -> None:
    """Neither the other coroutine by a reply; to the side that speaks it may, in its direction."""

    class Meddling(Counting):
        async def treat(self, stream: Stream) -> None:
            if stream.side is side:
                await super().treat(stream)
            else:
                await stream.read_line(20)
                stream.send(b"onward\n")
                await stream.read_line(20)
                stream.reply(b"back\n")

    machine, _ = started(Meddling)
    machine.receive(DataReceived(side, b"5\nab"))
    assert machine.receive(DataReceived(side.other, b"x\n")) == [SendData(side, b"onward\n")]
    error = aborted(machine.receive(DataReceived(side.other, b"x\n")))
    assert str(error) == f"plugin counting sends to the {side.other.value} in the middle of what passes unread"


class Other(Counting):
    """The client's bytes pass; each line of the server has it do something in the meantime."""

    async def from_server(self, stream: Stream) -> None:
        async for line in stream.lines(20):
            if line == b"splice\n":
                self.flow.splice()
            elif line == b"close\n":
                self.flow.close()
            else:
                await self.flow.start_tls(Side(line.strip().decode()))


def in_the_middle(line: bytes) -> FlowMachine:
    """A machine where bytes of the client pass, with the server about to have it do something."""
    machine, _ = started(Other)
    machine.receive(DataReceived(Side.CLIENT, b"5\nab"))
    machine.receive(DataReceived(Side.SERVER, line[:-1]))
    return machine


def test_nobody_splices_in_the_middle() -> None:
    """Two would carry the same bytes."""
    error = aborted(in_the_middle(b"splice\n").receive(DataReceived(Side.SERVER, b"\n")))
    assert str(error) == "plugin counting splices in the middle of what passes unread"


@SIDES
def test_nobody_starts_tls_in_the_middle(side: Side) -> None:
    """On either leg: what passes would be cut in two."""
    error = aborted(in_the_middle(b"%s\n" % side.value.encode()).receive(DataReceived(Side.SERVER, b"\n")))
    assert str(error).endswith(f"starts TLS on the {side.value}'s leg, where bytes pass unread")


def test_the_flow_may_be_closed_in_the_middle() -> None:
    """That is all; what the host has carried by then is ignored."""
    machine = in_the_middle(b"close\n")
    assert machine.receive(DataReceived(Side.SERVER, b"\n")) == [CloseConnection()]
    assert machine.receive(Forwarded(Side.CLIENT, b"5\n")) == []


def test_after_the_end_nothing_passes() -> None:
    """Who has closed the flow and goes on is not heard."""

    class Closing(Echo):
        async def from_client(self, stream: Stream) -> None:
            self.flow.close()
            await stream.forward(5)

    _, commands = started(Closing)
    assert commands == [CloseConnection()]


def test_behind_the_middle_all_may_be_done_again() -> None:
    """Both sides, and the end of opaque bytes."""

    class Leaving(Counting):
        async def treat(self, stream: Stream) -> None:
            await stream.forward(3)
            stream.send(b"!")

    machine, commands = started(Leaving)
    assert commands == [Forward(Side.CLIENT, 3), Forward(Side.SERVER, 3)]
    assert machine.receive(Forwarded(Side.CLIENT, b"x")) == [
        *(SendData(Side.SERVER, b"!"), SendData(Side.SERVER, b"x"), Splice(Side.CLIENT))
    ]
    assert machine.receive(Forwarded(Side.SERVER)) == [SendData(Side.CLIENT, b"!"), Splice(Side.SERVER)]


@SIDES
@pytest.mark.parametrize("event", [ConnectionLost(Side.SERVER, ConnectError("gone")), DeadlinePassed()])
def test_no_last_word_in_the_middle_of_what_the_server_says(side: Side, event: ConnectionLost | DeadlinePassed) -> None:
    """It would be taken for a part of that; behind it, and while the client speaks, it is said."""

    class Timed(Counting):
        async def treat(self, stream: Stream) -> None:
            self.flow.deadline(5)
            await super().treat(stream)

    machine, _ = started(Timed)
    machine.receive(DataReceived(side, b"5\nab"))
    words = [type(command) for command in machine.receive(event)]
    assert words == ([SendData, Abort] if side is Side.CLIENT else [Abort])
    machine, _ = started(Timed)
    machine.receive(DataReceived(side, b"5\nab"))
    machine.receive(Forwarded(side))
    assert [type(command) for command in machine.receive(event)] == [SendData, Abort]


class Crossed(Counting):
    """One coroutine has the other's bytes pass."""

    async def from_client(self, stream: Stream) -> None:
        self.client = stream
        await stream.read_line(20)

    async def from_server(self, stream: Stream) -> None:
        await stream.read_line(20)
        await self.client.forward(5)


class Spliced(Counting):
    """It goes on after `splice`."""

    async def from_server(self, stream: Stream) -> None:
        await stream.read_line(20)
        self.flow.splice()
        await stream.forward(5)


class Below(Counting):
    """A count that is none."""

    async def from_server(self, stream: Stream) -> None:
        await stream.read_line(20)
        await stream.forward(-1)


class Shaking(Counting):
    """In the middle of a handshake."""

    async def from_client(self, stream: Stream) -> None:
        await self.flow.start_tls(Side.SERVER)

    async def from_server(self, stream: Stream) -> None:
        await stream.read_line(20)
        await stream.forward(5)


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Crossed, "has pass what the other side says: its own coroutine may"),
        (Spliced, "reads on after splice()"),
        (Below, "-1 bytes cannot pass"),
        (Shaking, "has bytes pass in the middle of a TLS handshake"),
    ],
)
def test_what_is_a_mistake(plugin: type[StreamPlugin[None]], words: str) -> None:
    """It ends the session, and the host is asked for nothing."""
    machine, _ = started(plugin)
    commands = machine.receive(FROM_SERVER)
    assert words in str(aborted(commands))
    assert Forward(Side.SERVER, 5) not in commands


def test_without_a_server_nothing_passes() -> None:
    """There is nobody yet to whom it could."""

    class Choosing(StreamPlugin[None]):
        name = "choosing"

        async def from_client(self, stream: Stream) -> None:
            await stream.forward(5)

        async def from_server(self, stream: Stream) -> None:
            await stream.read_some()

    talk = Playbook(Choosing, server=None)
    assert str(talk.error) == "plugin choosing has no server yet: `connect` comes first"


def test_an_answer_that_nobody_waits_for_is_data() -> None:
    """No host gives it; it cannot do harm."""
    machine, _ = started(Echo)
    assert machine.receive(Forwarded(Side.CLIENT, b"1\n")) == []
    assert machine.receive(FROM_CLIENT) == [SendData(Side.SERVER, b"1\n"), SendData(Side.SERVER, b"x\n")]

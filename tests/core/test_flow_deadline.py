"""Deadlines: one at a time, and the flow that is late ends."""

from __future__ import annotations

from alg.core.commands import CloseConnection, SendData, SetDeadline
from alg.core.events import DataReceived, DeadlinePassed
from alg.plugin import AlgError, Side, Stream
from alg.testing import Playbook
from tests.machines import FROM_CLIENT, Echo, aborted, started


class Timed(Echo):
    """The client's `SECONDS [WHAT]` sets a deadline, `never` clears it, `close` ends the flow and sets one."""

    name = "timed"

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            first, *rest = line.decode().split()
            if first == "never":
                self.flow.deadline(None)
            elif first == "close":
                self.flow.close()
                self.flow.deadline(1)
            elif first == "x":
                stream.send(line)
            else:
                self.flow.deadline(float(first), *rest)

    def refusal(self, error: AlgError) -> bytes:
        return b"sorry\n"


def test_who_is_late_ends_the_flow() -> None:
    """The client is told in its protocol, the record says who and how long."""
    machine, _ = started(Timed)
    assert machine.receive(DataReceived(Side.CLIENT, b"2.5\n")) == [SetDeadline(2.5)]
    commands = machine.receive(DeadlinePassed())
    assert commands[0] == SendData(Side.CLIENT, b"sorry\n")
    error = aborted(commands)
    assert (error.reason, str(error)) == ("too_slow", "the client took more than 2.5 s")
    assert machine.ended


def test_a_deadline_takes_the_place_of_the_one_before() -> None:
    """Words and all."""
    machine, _ = started(Timed)
    commands = machine.receive(DataReceived(Side.CLIENT, b"2\n5 login\n"))
    assert commands == [SetDeadline(2.0), SetDeadline(5.0)]
    assert str(aborted(machine.receive(DeadlinePassed()))) == "login took more than 5 s"


def test_a_deadline_can_be_cleared() -> None:
    """Once; one that passes all the same, since it was on its way, ends nothing."""
    machine, _ = started(Timed)
    assert machine.receive(DataReceived(Side.CLIENT, b"never\n")) == []
    assert machine.receive(DataReceived(Side.CLIENT, b"2\nnever\nnever\n")) == [SetDeadline(2.0), SetDeadline(None)]
    assert machine.receive(DeadlinePassed()) == []
    assert machine.receive(FROM_CLIENT) == [SendData(Side.SERVER, b"x\n")]


def test_after_the_end_there_is_no_deadline() -> None:
    """It is neither set nor does it pass."""
    machine, _ = started(Timed)
    assert machine.receive(DataReceived(Side.CLIENT, b"2\nclose\n")) == [SetDeadline(2.0), CloseConnection()]
    assert machine.receive(DeadlinePassed()) == []


def test_data_does_not_move_it() -> None:
    """However much comes until then: a peer that trickles is late too."""
    talk = Playbook(Timed)
    talk.client(b"2\n")
    for _ in range(3):
        talk.wait(0.5)
        talk.client(b"x\n")
    assert not talk.closed
    talk.wait(0.5)
    assert talk.reasons == ["too_slow"]

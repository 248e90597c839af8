"""TLS on a leg and off again: what the machine asks of its host, what the plugin sees, and what is a mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alg.core.commands import SendData, Splice, StartTls, StopTls
from alg.core.events import CommandFailed, DataReceived, TlsStarted, TlsStopped
from alg.plugin import PluginError, Side, Stream, StreamPlugin, TlsError
from alg.testing import Playbook
from tests.machines import FROM_CLIENT, TLS, Echo, aborted, make_machine, started

both_sides = pytest.mark.parametrize("side", Side)


class Changing(Echo):
    """`on SIDE` and `off SIDE` of the client change a leg; `raw` makes the flow opaque first."""

    name = "changing"

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            word, _, name = line.decode().strip().partition(" ")
            if word == "raw":
                self.flow.splice()
                await self.flow.start_tls(Side.CLIENT)
            elif word == "on":
                await self.flow.start_tls(Side(name))
            elif word == "off":
                await self.flow.stop_tls(Side(name))
            stream.send(b"%s\n" % word.encode())


def said(text: str) -> DataReceived:
    """A line of the client."""
    return DataReceived(Side.CLIENT, text.encode() + b"\n")


@both_sides
def test_tls_on_and_off_and_on_again(side: Side) -> None:
    """The leg is as its last answer says; it is not read from the request on, the other one is."""
    machine, _ = started(Changing)
    flow = machine.plugin.flow
    for _ in range(2):
        assert machine.receive(said(f"on {side.value}")) == [StartTls(side)]
        assert not machine.wants_data(side)
        assert not flow.leg(side).secure
        assert machine.receive(TlsStarted(side, TLS)) == [SendData(Side.SERVER, b"on\n")]
        assert flow.leg(side).tls is TLS
        assert flow.leg(side).secure
        assert not flow.leg(side.other).secure
        assert machine.wants_both
        assert machine.receive(said(f"off {side.value}")) == [StopTls(side)]
        assert not machine.wants_data(side)
        assert machine.wants_data(Side.SERVER) is (side is Side.CLIENT)
        assert flow.leg(side).secure
        assert machine.receive(TlsStopped(side)) == [SendData(Side.SERVER, b"off\n")]
        assert flow.leg(side).tls is None
        assert machine.wants_both


def test_a_leg_that_is_tls_from_the_start() -> None:
    """It is secure before the first event, and can be taken off."""
    machine = make_machine(Changing)
    machine.legs[Side.CLIENT] = replace(machine.legs[Side.CLIENT], tls=TLS)
    machine.start()
    assert machine.plugin.flow.client.secure
    assert machine.receive(said("off client")) == [StopTls(Side.CLIENT)]


def test_tls_that_cannot_be_stopped_raises_where_it_was_asked_for() -> None:
    """The leg is still secure, and is read again if the plugin caught it."""

    class Trying(Echo):
        async def from_client(self, stream: Stream) -> None:
            await self.flow.start_tls(Side.CLIENT)
            try:
                await self.flow.stop_tls(Side.CLIENT)
            except TlsError as error:
                stream.send(error.reason.encode())
            await stream.read_some()

    machine, _ = started(Trying)
    assert machine.receive(TlsStarted(Side.CLIENT, TLS)) == [StopTls(Side.CLIENT)]
    error = TlsError("no close_notify in time", reason="no_close_notify")
    assert machine.receive(CommandFailed(Side.CLIENT, error)) == [SendData(Side.SERVER, b"no_close_notify")]
    assert machine.plugin.flow.client.secure
    assert machine.wants_data(Side.CLIENT)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        *((["on client", "on client"], "starts TLS on the client's leg, where there is some"),),
        *((["on server", "on server"], "starts TLS on the server's leg, where there is some"),),
        *((["off client"], "stops TLS on the client's leg, where there is none"),),
        *((["off server"], "stops TLS on the server's leg, where there is none"),),
        *((["raw"], "starts TLS on the client's leg, where bytes pass unread"),),
    ],
)
def test_what_no_host_could_carry_out_is_a_mistake(texts: list[str], words: str) -> None:
    """It ends the session, and never reaches the host."""
    talk = Playbook(Changing)
    for text in texts:
        talk.client(text.encode() + b"\n")
    assert isinstance(talk.error, PluginError)
    assert words in str(talk.error)
    assert len(talk.tls_changes) == len(texts) - 1


def test_tls_on_a_side_that_was_never_read() -> None:
    """It is opaque from the start: the kernel may be carrying its bytes."""

    class Half(StreamPlugin[None]):
        name = "half"

        async def from_client(self, stream: Stream) -> None:
            await self.flow.start_tls(Side.SERVER)

    assert "bytes pass unread" in str(aborted(started(Half)[1]))


@both_sides
def test_one_change_of_a_leg_at_a_time(side: Side) -> None:
    """Both coroutines ask for TLS on one leg: the second is a mistake. On two legs they may."""

    class Twice(Echo):
        second: Side

        async def from_client(self, stream: Stream) -> None:
            await self.flow.start_tls(side)

        async def from_server(self, stream: Stream) -> None:
            await self.flow.start_tls(self.second)

    Twice.second = side
    assert "where that is under way" in str(aborted(started(Twice)[1]))
    Twice.second = side.other
    machine, commands = started(Twice)
    assert commands == [StartTls(side), StartTls(side.other)]
    assert not machine.wants_data(side)
    assert machine.receive(TlsStarted(side.other, TLS)) == [Splice(Side.SERVER)]
    assert machine.receive(TlsStarted(side, TLS)) == [Splice(Side.CLIENT)]


def test_stop_tls_after_the_end_is_a_mistake() -> None:
    """As is whatever else a plugin asks for then: nothing reaches the host."""

    class Late(Echo):
        async def from_client(self, stream: Stream) -> None:
            await stream.read_line(100)
            self.flow.close()
            await self.flow.stop_tls(Side.CLIENT)

    machine, _ = started(Late)
    assert len(machine.receive(FROM_CLIENT)) == 1

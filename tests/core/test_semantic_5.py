"""The fifth of the semantics that hold in every host: upgrades are barriers. The numbers are those of the design's section 4."""

from __future__ import annotations

import pytest

from alg.core.commands import Abort, SendData, StartTls, StopTls
from alg.core.errors import ProtocolError, TlsError
from alg.core.events import CommandFailed, DataReceived, TlsStarted, TlsStopped
from alg.core.flow import FlowMachine
from alg.plugin import Side, Stream
from tests.core.test_semantics import kinds
from tests.machines import TLS, Echo, aborted, started


class Upgrading(Echo):
    """`tls` of either side starts TLS on its leg, `other` on the other one, `clear` ends it on its leg."""

    async def from_client(self, stream: Stream) -> None:
        await self._treat(stream)

    async def from_server(self, stream: Stream) -> None:
        await self._treat(stream)

    async def _treat(self, stream: Stream) -> None:
        async for line in stream.lines(20):
            if line == b"tls\n":
                stream.reply(b"go on\n")
                await self.flow.start_tls(stream.side)
            elif line == b"other\n":
                await self.flow.start_tls(stream.side.other)
            elif line == b"clear\n":
                await self.flow.stop_tls(stream.side)
            else:
                stream.send(line)


both_sides = pytest.mark.parametrize("side", Side)


@both_sides
def test_5_tls_is_refused_while_plaintext_is_buffered_on_its_own_side(side: Side) -> None:
    """T20: what was pipelined behind the request never counts as sent within TLS."""
    machine, _ = started(Upgrading)
    commands = machine.receive(DataReceived(side, b"tls\ninjected\n"))
    assert kinds(commands) == [SendData, Abort]
    assert aborted(commands).reason == "bytes_before_tls"
    assert str(aborted(commands)).startswith(f"the {side.value} sent 9 bytes before")


@both_sides
@pytest.mark.parametrize("word", [b"tls\n", b"other\n"])
def test_5_tls_is_refused_while_plaintext_is_buffered_on_the_other_side(side: Side, word: bytes) -> None:
    """T21: half a reply must not be completed within TLS, whichever leg is to have it."""
    machine, _ = started(Upgrading)
    machine.receive(DataReceived(side.other, b"half a reply"))
    error = aborted(machine.receive(DataReceived(side, word)))
    assert error.reason == "bytes_before_tls"
    assert str(error).startswith(f"the {side.other.value} sent 12 bytes before")


@both_sides
def test_5_tls_starts_when_both_buffers_are_empty(side: Side) -> None:
    """The barrier opens only for that; without TLS at the host the session ends."""
    machine, _ = started(Upgrading)
    assert kinds(machine.receive(DataReceived(side, b"a\ntls\n"))) == [SendData, SendData, StartTls]
    assert not machine.wants_data(side)
    assert machine.wants_data(side.other)
    error = TlsError("no TLS here")
    assert machine.receive(CommandFailed(side, error)) == [Abort(error)]


def under_tls(side: Side) -> FlowMachine:
    """A machine with TLS on that leg."""
    machine, _ = started(Upgrading)
    machine.receive(DataReceived(side, b"tls\n"))
    machine.receive(TlsStarted(side, TLS))
    return machine


@both_sides
def test_5_the_end_of_tls_is_refused_while_its_own_side_has_more_to_read(side: Side) -> None:
    """What was sent within TLS must not be treated as said in the clear, nor the other way round."""
    error = aborted(under_tls(side).receive(DataReceived(side, b"clear\nsecret\n")))
    assert isinstance(error, ProtocolError)
    assert error.reason == "bytes_before_clear"
    assert str(error).startswith(f"the {side.value} sent 7 bytes more")


@both_sides
def test_5_the_end_of_tls_leaves_the_other_side_alone(side: Side) -> None:
    """Nothing changes for what it says; meanwhile the side itself is not read."""
    machine = under_tls(side)
    machine.receive(DataReceived(side.other, b"half"))
    assert machine.receive(DataReceived(side, b"clear\n")) == [StopTls(side)]
    assert not machine.wants_data(side)
    assert machine.wants_data(side.other)
    assert machine.receive(DataReceived(side.other, b" a line\n")) == [SendData(side, b"half a line\n")]
    assert machine.receive(TlsStopped(side)) == []
    assert machine.wants_both

"""The eight semantics that hold in every host, each by name. The numbers are those of the design's section 4.

The fifth stands in `test_semantic_5.py`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.commands import (
    Abort,
    CloseConnection,
    Command,
    OpenBinding,
    Report,
    ReportRewrite,
    SendData,
    Splice,
)
from alg.core.errors import AlgError, BindError, ConnectError, ProtocolError, TlsError
from alg.core.events import (
    BindingOpened,
    CommandFailed,
    ConnectionLost,
    DataReceived,
    DeadlinePassed,
    EofReceived,
    Event,
    Forwarded,
    RelatedEnded,
    TlsStarted,
    TlsStopped,
)
from alg.plugin import Endpoint, Outcome, Pipeline, PolicyError, Promise, Side, Stream, StreamPlugin
from alg.testing import Playbook
from tests.core.test_flow_failures import Raising
from tests.machines import FROM_CLIENT, FROM_SERVER, OPENED, TARGET, TLS, Echo, aborted, make_machine, started


class Announcing(Echo):
    """`ask` of the client asks for a listener and goes on rewritten; other lines pass."""

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(20):
            if line == b"ask\n":
                binding = await self.flow.expect(Side.CLIENT, TARGET)
                stream.send(b"%s\n" % binding.endpoint.to_bytes(b" "))
            else:
                stream.send(line)


def kinds(commands: list[Command]) -> list[type[object]]:
    """The commands without their contents."""
    return [type(command) for command in commands]


def test_1_the_port_exists_before_the_bytes() -> None:
    """While the binding is asked for, no byte of the rewritten line exists; `expect` suspends only its caller."""
    machine, _ = started(Announcing)
    commands = machine.receive(DataReceived(Side.CLIENT, b"before\nask\nafter\n"))
    assert kinds(commands) == [SendData, OpenBinding]
    assert not machine.wants_data(Side.CLIENT)
    assert machine.wants_data(Side.SERVER)
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n")]
    assert machine.receive(FROM_CLIENT) == []
    report, *sent = machine.receive(BindingOpened(1, OPENED))
    assert isinstance(report, ReportRewrite)
    assert sent == [SendData(Side.SERVER, each) for each in (b"10.77.1.1 20001\n", b"after\n", b"x\n")]


@given(st.lists(st.sampled_from([b"ask\n", b"line\n", b"as", b"k\n", b"\n"]), max_size=12))
def test_1_commands_keep_one_order(pieces: list[bytes]) -> None:
    """However the input is cut and however late the answers come: the lines leave in the order of arrival."""
    eager, patient = Playbook(Announcing), Playbook(Announcing, hold=True)
    for piece in pieces:
        eager.client(piece)
    patient.client(b"".join(pieces))
    for _ in eager.expectations:
        patient.answer()
    assert patient.to_server == eager.to_server


class Asking(StreamPlugin[None]):
    """`where` asks the server, whose answer `at PORT` is masqueraded; `ping` is answered here; the rest passes."""

    name = "asking"
    pipeline: Pipeline[bytes]

    async def from_client(self, stream: Stream) -> None:
        self.pipeline = Pipeline(stream.reply, limit=10)
        async for line in stream.lines(20):
            if line == b"ping\n":
                self.pipeline.answered_here(line, b"pong\n")
            else:
                self.pipeline.forwarded(line)
                stream.send(line)

    async def from_server(self, stream: Stream) -> None:
        async for line in stream.lines(20):
            word, _, port = line.strip().partition(b" ")
            if self.pipeline.awaited == b"where\n" and word == b"at":
                binding = await self.flow.expect(Side.CLIENT, Endpoint(self.flow.server.peer.address, int(port)))
                stream.send(b"at %d\n" % binding.endpoint.port)
            else:
                stream.send(line)
            self.pipeline.answered()


def test_3_state_before_match() -> None:
    """An address counts only in the reply to the command that asks for one; anywhere else it is text."""
    talk = Playbook(Asking)
    talk.client(b"name\nwhere\n")
    talk.server(b"at 5000\n")
    assert not talk.expectations
    talk.server(b"at 5000\n")
    assert talk.to_client == b"at 5000\nat 20001\n"
    assert [each.targets for each in talk.expectations] == [(TARGET,)]


def test_4_local_replies_do_not_overtake() -> None:
    """They wait for the server's replies to what was pipelined before, also while a port is opened."""
    talk = Playbook(Asking, hold=True)
    talk.client(b"ping\nwhere\nping\nname\nping\n")
    assert talk.to_client == b"pong\n"
    talk.server(b"at 5000\nann\n")
    assert talk.to_client == b"pong\n"
    talk.answer()
    assert talk.to_client == b"pong\nat 20001\npong\nann\npong\n"


@pytest.mark.parametrize("size", [19, 20])
def test_2_every_read_has_a_limit_and_consumes_only_when_complete(size: int) -> None:
    """Up to the limit a line passes, past it the session ends; nothing is resynchronised."""
    machine, _ = started(Announcing)
    assert machine.receive(DataReceived(Side.CLIENT, b"x" * (size - 1))) == []
    assert kinds(machine.receive(DataReceived(Side.CLIENT, b"\n"))) == [SendData]
    assert aborted(machine.receive(DataReceived(Side.CLIENT, b"x" * 20 + b"\nask\n"))).reason == "line_too_long"
    assert machine.receive(DataReceived(Side.CLIENT, b"ask\n")) == []


def test_6_opaque_means_gone() -> None:
    """After `Splice(side)` no data of that side is emitted, whatever the host still delivers."""

    class Leaving(Echo):
        async def from_client(self, stream: Stream) -> None:
            stream.send(await stream.read_line(20))

    machine, _ = started(Leaving)
    rest = SendData(Side.SERVER, b"half")
    assert machine.receive(DataReceived(Side.CLIENT, b"x\nhalf")) == [
        *(SendData(Side.SERVER, b"x\n"), rest, Splice(Side.CLIENT))
    ]
    assert not machine.wants_data(Side.CLIENT)
    assert machine.receive(FROM_CLIENT) == []
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n")]


def test_6_nobody_sends_into_what_is_opaque() -> None:
    """Not the other coroutine either: the kernel may be carrying bytes there."""

    class Answering(StreamPlugin[None]):
        name = "answering"

        async def from_server(self, stream: Stream) -> None:
            await stream.read_line(20)
            stream.reply(b"pong\n")

    machine, commands = started(Answering)
    assert commands == [Splice(Side.CLIENT)]
    assert aborted(machine.receive(FROM_SERVER)).reason == "plugin_failed"


def test_7_an_error_in_a_plugin_ends_its_session() -> None:
    """Fail closed: what was sent before stays sent, nothing passes raw afterwards."""
    machine, _ = started(Raising)
    commands = machine.receive(DataReceived(Side.CLIENT, b"x\nsecret\n"))
    assert commands[0] == SendData(Side.SERVER, b"x\n")
    assert kinds(commands) == [SendData, Abort]
    assert machine.receive(FROM_CLIENT) == []


class Mixed(StreamPlugin[None]):
    """Does everything, as the bytes tell it."""

    name = "mixed"

    def __init__(self, config: None) -> None:
        super().__init__(config)
        self.promise = Promise[None]()

    async def from_client(self, stream: Stream) -> None:
        await self._treat(stream)

    async def from_server(self, stream: Stream) -> None:
        await self._treat(stream)

    async def _treat(self, stream: Stream) -> None:
        async for line in stream.lines(12):
            if line == b"ask\n":
                try:
                    target = self.flow.leg(stream.side.other).peer
                    binding = await self.flow.expect(stream.side, target, on_end=self._ended)
                except (PolicyError, BindError):
                    continue
                binding.release()
            elif line == b"pass\n":
                await stream.forward(3)
            elif line == b"late\n":
                self.flow.deadline(1)
            elif line in (b"tls\n", b"clear\n"):
                change = self.flow.start_tls if line == b"tls\n" else self.flow.stop_tls
                await change(stream.side)
            elif line == b"keep\n":
                self.promise.keep(None)
            elif line == b"wait\n":
                await self.promise
                self.promise = Promise[None]()
            elif line == b"splice\n":
                self.flow.splice()
                return
            elif line == b"raise\n":
                raise ProtocolError("as told")
            elif line == b"close\n":
                self.flow.close()
            else:
                stream.send(line)

    def _ended(self, outcome: Outcome) -> None:
        self.promise.keep(None)
        if outcome.error:
            raise outcome.error


sides = st.sampled_from(Side)
outcomes = st.sampled_from([None, Outcome(1, 2, 3.0), Outcome(1, 2, 3.0, error=ConnectError("reset"))])
words = st.sampled_from(
    [
        b"keep\n",
        b"wait\n",
        b"clear\n",
        b"ask\n",
        b"tls\n",
        b"splice\n",
        b"raise\n",
        b"close\n",
        b"pass\n",
        b"late\n",
        b"line\n",
        b"half",
        b"\n",
        b"x" * 13,
    ]
)
errors = st.sampled_from([BindError("no"), TlsError("no"), ConnectError("no")])
events = st.one_of(
    st.builds(DataReceived, sides, words),
    st.builds(EofReceived, sides),
    st.builds(Forwarded, sides, words),
    st.builds(DeadlinePassed),
    st.builds(BindingOpened, st.integers(1, 3), st.just(OPENED)),
    st.builds(TlsStarted, sides, st.just(TLS)),
    st.builds(TlsStopped, sides),
    st.builds(RelatedEnded, st.integers(1, 3), outcomes),
    st.builds(CommandFailed, st.integers(1, 3) | sides, errors),
    st.builds(ConnectionLost, sides, errors),
)


@given(st.lists(events, max_size=25), st.booleans())
def test_8_no_event_makes_the_machine_raise(given_events: list[Event], unusual_peer: bool) -> None:
    """Nor does any order of events, even one that no host would send; and the last word is the last."""
    machine = make_machine(Mixed)
    if unusual_peer:
        machine.legs[Side.SERVER] = machine.legs[Side.CLIENT]
    commands = machine.start()
    spliced: set[Side] = set()
    ended = False
    for event in given_events:
        commands += machine.receive(event)
    for command in commands:
        assert not ended or isinstance(command, Report)
        if isinstance(command, SendData):
            assert command.side.other not in spliced
        elif isinstance(command, Splice):
            spliced.add(command.side)
        elif isinstance(command, CloseConnection | Abort):
            ended = True
    assert ended == machine.ended
    if ended:
        assert not any(machine.wants_data(side) for side in Side)


def test_8_only_errors_that_can_be_shown_end_a_session() -> None:
    """Whatever ends it is an `AlgError` with a reason."""
    machine, _ = started(Raising)
    error = aborted(machine.receive(FROM_CLIENT))
    assert isinstance(error, AlgError)
    assert error.reason == "plugin_failed"

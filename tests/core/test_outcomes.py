"""`on_end`: a plugin is told what came of each related flow, once, also after its own end; nothing is kept for longer."""

from __future__ import annotations

import pytest

from alg.core.commands import Abort, CloseConnection, Report, SendData
from alg.core.events import BindingOpened, CommandFailed, ConnectionLost, DataReceived, RelatedEnded
from alg.core.flow import FlowMachine
from alg.core.model import Expectation
from alg.core.outcomes import Outcomes
from alg.core.session import Lease
from alg.plugin import (
    BindError,
    Binding,
    ConnectError,
    Endpoint,
    Outcome,
    PluginError,
    Side,
    Stream,
    StreamPlugin,
)
from alg.testing import Playbook
from tests.machines import CLIENT, FROM_CLIENT, OPENED, TARGET, Echo, aborted, make_machine, started

OUTCOME = Outcome(7, 8, 1.5)
LOST = Outcome(1, 2, 0.5, error=ConnectError("reset"))


class Watching(Echo):
    """`ask` asks for a listener; what comes of its flows is collected, and told to the server."""

    name = "watching"
    limit: int | None = 1
    binding: Binding

    def __init__(self, config: None) -> None:
        super().__init__(config)
        self.outcomes: list[Outcome] = []

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            if line == b"release\n":
                self.binding.release()
                continue
            try:
                self.binding = await self.flow.expect(Side.CLIENT, TARGET, limit=self.limit, on_end=self.ended)
            except BindError:
                stream.reply(b"none\n")

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.flow.log("over", f"{outcome.from_client} bytes")


class Many(Watching):
    """Any number may come."""

    limit = None


def asked(plugin: type[Watching] = Watching) -> tuple[FlowMachine, Lease]:
    """A machine whose first binding is open, and its lease."""
    machine, _ = started(plugin)
    machine.receive(FROM_CLIENT)
    machine.receive(BindingOpened(1, OPENED))
    return machine, machine.session.pending[-1]


def outcomes(machine: FlowMachine) -> list[Outcome]:
    """What the plugin was told."""
    plugin = machine.plugin
    assert isinstance(plugin, Watching)
    return plugin.outcomes


def test_the_outcome_is_told() -> None:
    """Once, and to the one who asked for that binding."""
    machine, lease = asked()
    lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
    machine.session.release(1)
    assert machine.receive(RelatedEnded(2, LOST)) == []
    assert machine.receive(RelatedEnded(1, OUTCOME), 9.0) == [Report("over", "7 bytes", {})]
    assert machine.now == 9.0
    assert machine.receive(RelatedEnded(1, OUTCOME)) == []
    assert outcomes(machine) == [OUTCOME]


@pytest.mark.parametrize("released", [False, True])
def test_each_of_several_flows_is_told(released: bool) -> None:
    """Also those that are still under way when the lease is gone."""
    machine, lease = asked(Many)
    for _ in range(3):
        lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
    if released:
        machine.session.release(1)
    for outcome in (OUTCOME, LOST, OUTCOME):
        machine.receive(RelatedEnded(1, outcome))
    assert outcomes(machine) == [OUTCOME, LOST, OUTCOME]
    machine.receive(RelatedEnded(1, OUTCOME))
    assert len(outcomes(machine)) == (3 if released else 4)


def test_after_the_end_of_its_flow_a_plugin_may_only_report() -> None:
    """A transfer outlives its control connection; nothing can be sent there any more, nor asked for."""

    class Late(Watching):
        def ended(self, outcome: Outcome) -> None:
            super().ended(outcome)
            self.binding.release()
            self.flow.splice()
            self.flow.close()

    for plugin in (Watching, Late):
        machine, lease = asked(plugin)
        lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
        machine.receive(ConnectionLost(Side.SERVER, ConnectError("reset")))
        assert machine.receive(RelatedEnded(1, OUTCOME)) == [Report("over", "7 bytes", {})]
        machine.discard()
        assert machine.receive(RelatedEnded(1, OUTCOME)) == []


class Failing(Watching):
    """Fails when it is told."""

    def ended(self, outcome: Outcome) -> None:
        raise ZeroDivisionError("oops")


def test_on_end_that_raises_ends_the_session() -> None:
    """As anything else that a plugin raises."""
    machine, _ = asked(Failing)
    error = aborted(machine.receive(RelatedEnded(1, OUTCOME)))
    assert isinstance(error, PluginError)
    assert "plugin watching raised ZeroDivisionError at test_outcomes.py:" in str(error)


def test_on_end_that_raises_after_the_end_is_recorded() -> None:
    """There is nothing left to end."""
    machine, _ = asked(Failing)
    machine.receive(ConnectionLost(Side.SERVER, ConnectError("reset")))
    (report,) = machine.receive(RelatedEnded(1, OUTCOME))
    assert isinstance(report, Report)
    assert report.reason == "plugin_failed"
    assert "ZeroDivisionError" in report.message


def test_on_end_may_send_and_close() -> None:
    """Its flow goes on, or ends as it would otherwise: coroutines are dropped at once."""

    class Closing(Watching):
        stream: Stream
        dropped = False

        async def from_server(self, stream: Stream) -> None:
            self.stream = stream
            try:
                await stream.read_some()
            finally:
                self.dropped = True

        def ended(self, outcome: Outcome) -> None:
            self.stream.send(b"done\n")
            if outcome.error:
                self.flow.close()

    machine, _ = asked(Closing)
    assert machine.receive(RelatedEnded(1, OUTCOME)) == [SendData(Side.CLIENT, b"done\n")]
    assert not machine.plugin.dropped  # type: ignore[attr-defined]
    assert machine.receive(RelatedEnded(1, LOST)) == [SendData(Side.CLIENT, b"done\n"), CloseConnection()]
    assert machine.plugin.dropped  # type: ignore[attr-defined]


def test_a_flow_that_never_had_both_legs_is_not_told() -> None:
    """It is over all the same, and nothing is kept of it."""
    machine, lease = asked(Many)
    lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
    lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
    machine.session.release(1)
    assert machine.receive(RelatedEnded(1, None)) == []
    machine.receive(RelatedEnded(1, OUTCOME))
    machine.receive(RelatedEnded(1, OUTCOME))
    assert outcomes(machine) == [OUTCOME]


def test_a_binding_that_failed_has_no_outcome() -> None:
    """Not even if a host says so."""
    machine, _ = started(Watching)
    machine.receive(FROM_CLIENT)
    assert machine.receive(CommandFailed(1, BindError("no port")))[-1] == SendData(Side.CLIENT, b"none\n")
    assert machine.receive(RelatedEnded(1, OUTCOME)) == []


def test_without_on_end_nobody_is_told() -> None:
    """And nothing is kept."""

    class Asking(Echo):
        async def from_client(self, stream: Stream) -> None:
            await self.flow.expect(Side.CLIENT, TARGET)
            await stream.read_some()

    machine, _ = started(Asking)
    machine.receive(BindingOpened(1, OPENED))
    assert machine.receive(RelatedEnded(1, OUTCOME)) == []


def watch(kept: Outcomes, machine: FlowMachine) -> Lease:
    """Take a lease, and watch it."""
    lease = machine.session.lease(Expectation.usual(Side.CLIENT, TARGET), machine.legs)
    kept.watch(lease, lambda outcome: None)
    return lease


def test_nothing_piles_up() -> None:
    """Bindings that expired unused are forgotten with the next one, the others with their flow."""
    machine = make_machine(Echo)
    kept = Outcomes(machine.session)
    for _ in range(1000):  # nobody came
        machine.session.release(watch(kept, machine).number)
        assert len(kept) == 1
    lease = watch(kept, machine)
    for _ in range(1000):  # somebody came, each time
        lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
        machine.session.release(lease.number)
        assert len(kept) == 1
        assert kept.count(lease.number) is not None
        assert len(kept) == 0
        lease = watch(kept, machine)


def test_what_is_under_way_is_not_forgotten() -> None:
    """A pending lease, and a flow that came through one that is used up, stay however many others come."""
    machine, lease = asked()
    lease.admit(Side.CLIENT, CLIENT.peer.address, 0.0)
    machine.session.release(1)
    for number in range(2, 12):
        machine.receive(DataReceived(Side.CLIENT, b"ask\n"))
        machine.receive(BindingOpened(number, OPENED))
        machine.receive(DataReceived(Side.CLIENT, b"release\n"))
        machine.session.release(number)
    machine.receive(RelatedEnded(1, OUTCOME))
    assert outcomes(machine) == [OUTCOME]


def test_an_end_that_is_told_while_the_flow_waits() -> None:
    """The other coroutines are left as they are."""
    machine, _ = asked()
    machine.receive(FROM_CLIENT)
    assert machine.receive(RelatedEnded(1, OUTCOME)) == [Report("over", "7 bytes", {})]
    assert not machine.wants_data(Side.CLIENT)
    assert not any(isinstance(command, Abort) for command in machine.receive(BindingOpened(2, OPENED)))


def test_naming_a_binding_after_the_end_goes_nowhere() -> None:
    """As all else that is asked for then."""

    class NamingPlugin(StreamPlugin[None]):
        name = "naming"

        async def from_client(self, stream: Stream) -> None:
            binding = await self.flow.expect(Side.CLIENT, Endpoint.parse("10.77.2.2", 5000))
            binding.name("before")
            self.flow.close()
            binding.name("after")

        async def from_server(self, stream: Stream) -> None:
            await stream.read_exactly(1)

    assert Playbook(NamingPlugin).names == {1: "before"}

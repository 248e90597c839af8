"""Related flows whose legs are accepted or dialled in any pair: what the host is asked for, what is advertised and said."""

from __future__ import annotations

import pytest

from alg.core.commands import CloseBinding, DialBinding, OpenBinding, ReportRewrite
from alg.core.events import BindingOpened, DataReceived
from alg.core.flow import FlowMachine
from alg.core.model import Expectation
from alg.plugin import Accept, Binding, Connect, LegPlan, PluginError, PolicyError, Side, Stream
from alg.testing import Playbook, endpoint
from tests.machines import CLIENT, LISTENER, OPENED, SERVER, TARGET, Echo, aborted, started

AT_CLIENT = endpoint("10.77.1.2:6000")
LISTENERS = {Side.CLIENT: LISTENER, Side.SERVER: endpoint("10.77.2.1:20002")}


class Planning(Echo):
    """The first line of the client asks for the pair of the class; `dial`, `release`, `endpoint` use it."""

    name = "planning"
    plans: tuple[LegPlan, LegPlan] = (Connect(AT_CLIENT), Connect(TARGET))
    binding: Binding

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            if line == b"ask\n":
                self.binding = await self.flow.expect_legs(*self.plans, announced_by="PORT+227", lifetime=30)
            elif line == b"dial\n":
                self.binding.dial()
            elif line == b"release\n":
                self.binding.release()
            else:
                stream.reply(b"%s\n" % self.binding.endpoint.to_bytes(b" "))


class Accepting(Planning):
    """Both come to us."""

    plans = (Accept(), Accept(tls=True))


class Usual(Planning):
    """One comes to us."""

    plans = (Accept(), Connect(TARGET))


def asked(plugin: type[Planning], opened: dict[Side, object]) -> tuple[FlowMachine, ReportRewrite]:
    """A machine whose binding is open, and the record of it."""
    machine, _ = started(plugin)
    (command,) = machine.receive(DataReceived(Side.CLIENT, b"ask\n"))
    assert command == OpenBinding(1, Expectation(*plugin.plans, lifetime=30))
    (report,) = machine.receive(BindingOpened(1, opened))  # type: ignore[arg-type]
    assert isinstance(report, ReportRewrite)
    return machine, report


def say(machine: FlowMachine, word: bytes) -> list[object]:
    """What comes of a line of the client."""
    return list(machine.receive(DataReceived(Side.CLIENT, word + b"\n")))


def test_two_listeners() -> None:
    """Each has its endpoint and its sources; there is no single one to advertise."""
    machine, report = asked(Accepting, dict(LISTENERS))
    assert report.message == (
        "PORT+227 client 10.77.1.1:20001 <-> server 10.77.2.1:20002 tls for 10.77.1.2, 10.77.2.2, once, 30 s"
    )
    assert report.fields == {
        "announced_by": "PORT+227",
        "origin": "client+server",
        "target": "",
        "endpoint": "10.77.1.1:20001, 10.77.2.1:20002",
        "sources": "10.77.1.2, 10.77.2.2",
        "lifetime": "30",
        "lease": 1,
    }
    assert machine.plugin.binding.endpoints == LISTENERS  # type: ignore[attr-defined]
    error = aborted(machine.receive(DataReceived(Side.CLIENT, b"endpoint\n")))
    assert isinstance(error, PluginError)
    assert "a binding with 2 endpoints" in str(error)


def test_two_dialled_legs() -> None:
    """They are dialled when the plugin says so, once."""
    machine, report = asked(Planning, {})
    assert report.message == "PORT+227 client 10.77.1.2:6000 <-> server 10.77.2.2:5000 for nobody, once, 30 s"
    assert report.fields["target"] == "10.77.1.2:6000, 10.77.2.2:5000"
    assert (report.fields["origin"], report.fields["endpoint"]) == ("", "")
    assert say(machine, b"dial") == [DialBinding(1)]
    assert say(machine, b"dial") == []
    assert "a binding with 0 endpoints" in str(aborted(machine.receive(DataReceived(Side.CLIENT, b"endpoint\n"))))


def test_the_usual_pair_by_its_plans() -> None:
    """It is the same as `expect`, and has an endpoint."""
    machine, report = asked(Usual, dict(OPENED))
    assert report.message == "PORT+227 10.77.2.2:5000 -> 10.77.1.1:20001 for 10.77.1.2, once, 30 s"
    assert Expectation(*Usual.plans) == Expectation.usual(Side.CLIENT, TARGET)
    assert say(machine, b"release") == [CloseBinding(1)]


@pytest.mark.parametrize(("plugin", "opened"), [(Usual, OPENED), (Accepting, LISTENERS)])
def test_what_listens_is_not_dialled(plugin: type[Planning], opened: dict[Side, object]) -> None:
    """It is a mistake of the plugin."""
    machine, _ = asked(plugin, opened)
    error = aborted(machine.receive(DataReceived(Side.CLIENT, b"dial\n")))
    assert isinstance(error, PluginError)
    assert "a binding that listens is not dialled" in str(error)


def test_what_is_gone_is_not_dialled() -> None:
    """The lease was given back or expired, or the flow has ended: nobody is counted any more."""
    machine, _ = asked(Planning, {})
    machine.session.release(1)
    assert say(machine, b"dial") == []
    machine, _ = asked(Planning, {})
    binding: Binding = machine.plugin.binding  # type: ignore[attr-defined]
    machine.plugin.flow.close()
    binding.dial()
    binding.release()
    assert [type(command).__name__ for command in machine.receive(DataReceived(Side.CLIENT, b""))] == [
        "CloseConnection"
    ]


def test_a_dialled_lease_is_counted() -> None:
    """From the expectation on, as one that listens; and as a flow once it is dialled."""
    machine, _ = asked(Planning, {})
    (lease,) = machine.session.pending
    assert (lease.flows, lease.dialled) == (0, False)
    say(machine, b"dial")
    assert (lease.flows, lease.dialled) == (1, True)


@pytest.mark.parametrize(
    "plans",
    [
        *((Connect(TARGET), Connect(TARGET)), (Connect(AT_CLIENT), Connect(AT_CLIENT))),
        *((Accept(), Connect(AT_CLIENT)), (Connect(TARGET), Accept())),
    ],
)
def test_targets_are_judged_on_their_own_side(plans: tuple[LegPlan, LegPlan]) -> None:
    """Whatever the pair."""

    class Refused(Planning):
        async def from_client(self, stream: Stream) -> None:
            try:
                await self.flow.expect_legs(*plans)
            except PolicyError as error:
                stream.reply(error.reason.encode())
            await stream.read_some()

    talk = Playbook(Refused)
    assert talk.to_client == b"third_party_address"
    assert talk.reasons == ["third_party_address"]
    assert not talk.leases


def test_legs_are_described_with_their_tls() -> None:
    """The origin leads; where nobody does, both are named."""
    usual = Expectation.usual(Side.SERVER, AT_CLIENT, tls=(Side.CLIENT,))
    assert usual.describe({Side.SERVER: LISTENERS[Side.SERVER]}) == "server 10.77.2.1:20002 -> 10.77.1.2:6000 tls"
    assert usual.plan(Side.CLIENT) == Connect(AT_CLIENT, tls=True)
    assert usual.plan(Side.SERVER) == Accept(tls=False)
    both = Expectation.usual(Side.CLIENT, TARGET, tls=tuple(Side))
    assert both.describe(OPENED) == "client 10.77.1.1:20001 tls -> 10.77.2.2:5000 tls"
    assert CLIENT.secure is SERVER.secure is False

"""Listeners that sessions share: judged as any other, one for each way in and target, for who was told, as long as told."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from alg.core.commands import OpenBinding, ReportRewrite
from alg.core.errors import AlgError, BindError, PolicyError
from alg.core.events import BindingOpened
from alg.core.model import Accept, Connect, Endpoint, Expectation, Outcome, Side
from alg.core.policy import Gate, LeaseLimits, TargetRules
from alg.core.session import Session
from alg.core.shared import CLIENTS, SharedLease, SharedLeases
from alg.plugin import Stream
from alg.testing import Playbook, endpoint
from tests.machines import CLIENT, FROM_CLIENT, LISTENER, OPENED, SERVER, TARGET, Echo, aborted, started

LEGS = {Side.CLIENT: CLIENT, Side.SERVER: SERVER}
SHARED = Expectation.usual(Side.CLIENT, TARGET, limit=None, lifetime=60, plugin="echo", shared=True)
OTHERS_LEG = replace(CLIENT, peer=endpoint("10.77.1.3:40000"))
STRANGER = ip_address("10.77.1.9")


class Ports:
    """Opens listeners, and knows the leases."""

    def __init__(self, limit: int = 16) -> None:
        self.leases = SharedLeases(limit)
        self.opened: list[SharedLease] = []

    def obtain(self, expectation: Expectation = SHARED, leg: object = CLIENT, now: float = 0.0) -> Endpoint:
        """What is advertised."""
        return self.leases.obtain(expectation, leg, now, self._listen)  # type: ignore[arg-type]

    def _listen(self, lease: SharedLease) -> Endpoint:
        self.opened.append(lease)
        return Endpoint(LISTENER.address, 20000 + len(self.opened))


def refused(lease: SharedLease, peer: object, now: float) -> str:
    """The reason for which somebody is not let through, or nothing."""
    try:
        lease.admit(ip_address(str(peer)), now)
    except PolicyError as refusal:
        return refusal.reason
    return ""


def session(limits: LeaseLimits | None = None, *, shares: bool = True, targets: TargetRules | None = None) -> Session:
    """A session, of a route with shared listeners or without."""
    rules = {Side.SERVER: targets or TargetRules()}
    gate = Gate(limits or LeaseLimits())
    return Session(1, CLIENT.peer.address, gate, rules, SharedLeases(16) if shares else None)


# What a session may ask for.


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("10.77.2.9:5000", "third_party_address"),
        ("127.0.0.1:5000", "self_target"),
        ("10.77.2.2:80", "low_port"),
        ("224.0.0.1:5000", "bad_address"),
    ],
)
def test_its_target_is_judged_as_any_other(target: str, reason: str) -> None:
    """By the same rules, for the same announcer."""
    shared = Expectation.usual(Side.CLIENT, endpoint(target), shared=True, name="a.example")
    with pytest.raises(PolicyError) as refusal:
        session().lease(shared, LEGS)
    assert refusal.value.reason == reason
    wide = TargetRules((ip_network("10.77.2.0/24"), ip_network("127.0.0.1"), ip_network("224.0.0.0/4")), min_port=80)
    if reason != "bad_address":
        assert session(targets=wide).lease(shared, LEGS).expectation == shared


def test_a_host_without_any_refuses() -> None:
    """And it refuses what it is, not where it leads."""
    with pytest.raises(BindError) as refusal:
        session(shares=False).lease(SHARED, LEGS)
    assert refusal.value.reason == "no_listener"
    assert session(shares=False).lease(replace(SHARED, shared=False), LEGS).number == 1


def test_it_is_none_of_the_sessions_leases() -> None:
    """It outlives the session, and takes none of its places; each request has a number of its own."""
    asking = session(LeaseLimits(per_session=0, in_all=0))
    assert [asking.lease(SHARED, LEGS).number for _ in range(3)] == [1, 2, 3]
    assert not asking.pending
    assert asking.find(1) is None


def test_the_operators_lifetime_is_the_longest() -> None:
    """As for other leases."""
    assert session(LeaseLimits(lifetime=5)).lease(SHARED, LEGS).expectation.lifetime == 5


# One listener for all.


def test_who_expects_the_same_gets_the_same() -> None:
    """Whoever asks; one listener is opened."""
    ports = Ports()
    first = ports.obtain()
    assert ports.obtain() == ports.obtain(leg=OTHERS_LEG, now=30.0) == first
    assert len(ports.opened) == len(ports.leases) == 1
    assert ports.leases.target_of(first) == Connect(TARGET)
    assert ports.leases.target_of(TARGET) is None
    assert [lease.endpoint for lease in ports.leases] == [first]
    assert [lease.description for lease in ports.leases] == [f"client {first} -> {TARGET} shared"]


@pytest.mark.parametrize(
    "other",
    [
        replace(SHARED, server=Connect(endpoint("10.77.2.2:5001"))),
        replace(SHARED, server=Connect(TARGET, tls=True)),
        replace(SHARED, server=Connect(TARGET, name="a.example")),
        replace(SHARED, client=Accept(tls=True)),
        replace(SHARED, plugin=None),
    ],
    ids=["target", "tls", "name", "client-tls", "plugin"],
)
def test_another_target_or_way_in_is_another_listener(other: Expectation) -> None:
    """None leads where somebody else's does."""
    ports = Ports()
    assert ports.obtain() != ports.obtain(other)
    assert ports.leases.target_of(ports.obtain(other)) == other.server


def test_another_address_of_ours_is_another_listener() -> None:
    """A client is told one that it can reach."""
    ports = Ports()
    assert ports.obtain() != ports.obtain(leg=replace(CLIENT, local=endpoint("10.78.1.1:2121")))


def test_two_addresses_of_ours_may_be_advertised_as_one() -> None:
    """Behind a NAT, and at the same port by chance: each is closed for itself, and the other stays known."""
    leases = SharedLeases(16)
    for leg in (CLIENT, replace(CLIENT, local=endpoint("10.77.1.7:2121"))):
        assert leases.obtain(SHARED, leg, 0.0, lambda _: LISTENER) == LISTENER
    first, second = leases
    leases.close(first)
    assert (len(leases), leases.target_of(LISTENER)) == (1, Connect(TARGET))
    leases.close(second)
    assert (len(leases), leases.target_of(LISTENER)) == (0, None)


def test_what_differs_else_is_the_same() -> None:
    """For how long, and who may come."""
    ports = Ports()
    others = replace(SHARED, client=Accept((STRANGER,)), lifetime=5.0)
    assert ports.obtain() == ports.obtain(others)


def test_a_route_has_a_limit_of_them() -> None:
    """At the limit the next is refused, who asks for one that there is is not; one that is closed makes room."""
    ports = Ports(limit=1)
    first = ports.obtain()
    other = replace(SHARED, server=Connect(endpoint("10.77.2.2:5001")))
    with pytest.raises(BindError, match="1 shared leases are open") as refusal:
        ports.obtain(other)
    assert refusal.value.reason == "too_many_leases"
    assert ports.obtain() == first
    ports.leases.close(ports.opened[0])
    ports.leases.close(ports.opened[0])
    assert ports.leases.target_of(first) is None
    assert ports.obtain(other) != first


def test_one_client_leaves_some_for_others() -> None:
    """A quarter of all, or sixteen; what has expired counts no more, and what there is already may be told again."""
    ports = Ports(limit=80)
    many = [replace(SHARED, server=Connect(endpoint(f"10.77.2.2:{port}"))) for port in range(5000, 5021)]
    for expectation in many[:20]:
        ports.obtain(expectation)
    with pytest.raises(BindError, match=r"10\.77\.1\.2 was told of 20 shared leases"):
        ports.obtain(many[20])
    ports.obtain(many[0])
    ports.obtain(many[20], leg=OTHERS_LEG)
    ports.obtain(many[20])  # it is there
    ports.obtain(replace(SHARED, server=Connect(endpoint("10.77.2.2:6000"))), now=61.0)


def test_a_listener_that_cannot_be_opened_is_none() -> None:
    """The next who asks may have more luck."""
    ports = Ports()

    def fail(_: SharedLease) -> Endpoint:
        raise BindError("no port")

    with pytest.raises(BindError):
        ports.leases.obtain(SHARED, CLIENT, 0.0, fail)
    assert len(ports.leases) == 0
    assert ports.obtain().port == 20001


# Who may come, and how long.


def test_who_was_told_may_come_and_nobody_else() -> None:
    """As often as it likes, in whatever spelling of its address."""
    ports = Ports()
    ports.obtain()
    (lease,) = ports.opened
    assert [refused(lease, CLIENT.peer.address, 1.0) for _ in range(3)] == ["", "", ""]
    assert refused(lease, f"::ffff:{CLIENT.peer.address}", 1.0) == ""
    assert refused(lease, OTHERS_LEG.peer.address, 1.0) == "wrong_peer"
    ports.obtain(leg=OTHERS_LEG, now=1.0)
    assert refused(lease, OTHERS_LEG.peer.address, 1.0) == ""


def test_sources_come_instead_of_who_is_told() -> None:
    """As for any expectation."""
    ports = Ports()
    ports.obtain(replace(SHARED, client=Accept((STRANGER,))))
    (lease,) = ports.opened
    assert refused(lease, CLIENT.peer.address, 1.0) == "wrong_peer"
    assert refused(lease, STRANGER, 1.0) == ""


def test_the_lifetime_begins_anew_with_each_who_is_told_or_comes() -> None:
    """Each client has a time of its own; the lease ends with the last of them."""
    ports = Ports()
    ports.obtain(now=0.0)
    (lease,) = ports.opened
    assert refused(lease, CLIENT.peer.address, 59.9) == ""
    ports.obtain(leg=OTHERS_LEG, now=100.0)
    assert refused(lease, CLIENT.peer.address, 119.8) == ""
    assert lease.deadline == pytest.approx(179.8)
    assert refused(lease, OTHERS_LEG.peer.address, 160.0) == "lease_expired"
    assert lease.deadline == pytest.approx(179.8)
    assert refused(lease, CLIENT.peer.address, 179.8) == "lease_expired"
    assert refused(lease, STRANGER, 0.0) == "wrong_peer"


def test_those_expire_to_which_nobody_may_come() -> None:
    """And no other."""
    ports = Ports()
    first = ports.obtain(now=0.0)
    second = ports.obtain(replace(SHARED, plugin=None), now=1.0)
    ports.leases.expire(59.9)
    assert len(ports.leases) == 2
    ports.leases.expire(60.0)
    assert ports.leases.target_of(first) is None
    assert ports.leases.target_of(second) == Connect(TARGET)
    ports.leases.expire(61.0)
    assert len(ports.leases) == 0


def test_a_listener_has_a_limit_of_clients() -> None:
    """At the limit a further one is refused, until the time of others is over."""
    lease = SharedLease(None, SHARED)  # type: ignore[arg-type]
    first = int(ip_address("10.1.0.0"))
    for number in range(CLIENTS):
        lease.tell(ip_address(first + number), 0.0)
    lease.tell(ip_address(first), 30.0)
    with pytest.raises(BindError) as refusal:
        lease.tell(STRANGER, 59.0)
    assert refusal.value.reason == "too_many_leases"
    lease.tell(STRANGER, 60.0)
    assert refused(lease, STRANGER, 60.0) == ""
    assert refused(lease, ip_address(first), 60.0) == ""
    assert refused(lease, ip_address(first + 1), 60.0) == "wrong_peer"


# What a plugin says and hears.


class Sharing(Echo):
    """The client's line asks for a shared listener, and is answered with it and where it leads."""

    name = "sharing"

    async def from_client(self, stream: Stream) -> None:
        async for _ in stream.lines(100):
            shared = await self.flow.expect(
                Side.CLIENT, TARGET, limit=3, sources=(STRANGER,), tls=[Side.SERVER], shared=True, name="a.example"
            )
            target = self.flow.shared_target(shared.endpoint)
            stream.reply(f"{shared.endpoint} {target.name if target else ''}\n".encode())
            shared.release()


def test_a_shared_expectation_becomes_a_binding() -> None:
    """Of any number of flows; the record names who may come, though the session has no lease of it; nothing closes it."""
    machine, _ = started(Sharing)
    machine.session.shared = SharedLeases(1)
    (command,) = machine.receive(FROM_CLIENT)
    assert isinstance(command, OpenBinding)
    expectation = command.expectation
    assert expectation.server == Connect(TARGET, tls=True, name="a.example")
    assert (expectation.shared, expectation.limit) == (True, None)
    described = f"client {LISTENER} -> {TARGET} tls a.example shared"
    assert expectation.describe(OPENED) == described
    report, *answer = machine.receive(BindingOpened(command.number, OPENED))
    assert isinstance(report, ReportRewrite)
    assert report.message == f"{TARGET} -> {LISTENER} for {STRANGER}, any number, 60 s"
    assert [type(each).__name__ for each in answer] == ["SendData"]


def test_a_plugin_can_ask_where_it_leads() -> None:
    """By what is advertised; where there is none in this host, nowhere."""
    talk = Playbook(Sharing)
    talk.client(b"x\n")
    assert talk.to_client == b"10.77.1.1:20001 a.example\n"
    machine, _ = started(Sharing)
    assert machine.plugin.flow.shared_target(LISTENER) is None


class FromServer(Echo):
    """The server is to come."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await self.flow.expect(Side.SERVER, CLIENT.peer, shared=True)


class WithOutcome(Echo):
    """It wants to hear what comes of it."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await self.flow.expect(Side.CLIENT, TARGET, shared=True, on_end=self.ended)

    def ended(self, outcome: Outcome) -> None:
        raise AssertionError


class NamedOnly(Echo):
    """A name for what is not shared."""

    async def from_client(self, stream: Stream) -> None:
        await stream.read_line(100)
        await self.flow.expect(Side.CLIENT, TARGET, name="a.example")


@pytest.mark.parametrize("plugin", [FromServer, WithOutcome, NamedOnly])
def test_what_cannot_be_shared(plugin: type[Echo]) -> None:
    """It is a mistake of the plugin."""
    machine, _ = started(plugin)
    error: AlgError = aborted(machine.receive(FROM_CLIENT))
    assert error.reason == "plugin_failed"
    assert "only clients come to what is shared" in str(error)

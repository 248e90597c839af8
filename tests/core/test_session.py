"""Leases: owner, allowed peer, count, deadline, caps; a wrong peer does not use one up; they die with their session."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from alg.core.errors import BindError, PolicyError
from alg.core.model import Accept, Connect, Expectation, Side
from alg.core.policy import Gate, LeaseLimits, TargetRules
from alg.core.session import Lease, Session
from alg.testing import endpoint
from tests.machines import CLIENT, SERVER

LEGS = {Side.CLIENT: CLIENT, Side.SERVER: SERVER}
PASSIVE = Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000"))
ACTIVE = Expectation.usual(Side.SERVER, endpoint("10.77.1.2:5000"))
CLIENT_ADDRESS, SERVER_ADDRESS = CLIENT.peer.address, SERVER.peer.address
STRANGER = ip_address("10.77.1.3")


def make_session(limits: LeaseLimits | None = None) -> tuple[Session, Gate]:
    """A session of the usual client, and its gate."""
    gate = Gate(limits or LeaseLimits())
    return Session(1, CLIENT_ADDRESS, gate), gate


def refused(lease: Lease, peer: object, now: float = 0.0, *, side: Side = Side.CLIENT) -> str:
    """The reason for which a lease does not admit a peer on that side, or nothing."""
    try:
        lease.admit(side, ip_address(str(peer)), now)
    except PolicyError as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(
    ("expectation", "side", "source"),
    [(PASSIVE, Side.CLIENT, CLIENT.peer.address), (ACTIVE, Side.SERVER, SERVER.peer.address)],
    ids=["passive", "active"],
)
def test_the_origins_peer_may_come_and_nobody_else(expectation: Expectation, side: Side, source: object) -> None:
    """T16 to T18: a lease always knows who may use it; by default the one who speaks on that side."""
    session, _ = make_session()
    lease = session.lease(expectation, LEGS)
    assert lease.sources == {side: (source,)}
    assert refused(lease, STRANGER, side=side) == "wrong_peer"
    assert refused(lease, source, side=side) == ""


def test_a_wrong_peer_does_not_use_the_lease_up() -> None:
    """T16: the thief is dropped, as often as he comes; the right one still gets through, once."""
    session, _ = make_session()
    lease = session.lease(PASSIVE, LEGS)
    assert {refused(lease, STRANGER) for _ in range(100)} == {"wrong_peer"}
    assert not lease.used_up(Side.CLIENT)
    assert refused(lease, CLIENT_ADDRESS) == ""
    assert lease.used_up(Side.CLIENT)
    assert refused(lease, CLIENT_ADDRESS) == "lease_used"


def test_a_peer_is_known_in_its_mapped_spelling() -> None:
    """On a dual-stack listener an IPv4 peer shows up as an IPv6 address."""
    session, _ = make_session()
    assert refused(session.lease(PASSIVE, LEGS), f"::ffff:{CLIENT_ADDRESS}") == ""


def test_named_sources_replace_the_peer() -> None:
    """A plugin may expect somebody else; those are canonical too."""
    session, _ = make_session()
    sources = (ip_address(f"::ffff:{STRANGER}"),)
    lease = session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000"), sources=sources), LEGS)
    assert refused(lease, CLIENT_ADDRESS) == "wrong_peer"
    assert refused(lease, STRANGER) == ""


def test_a_lease_ends_at_its_deadline() -> None:
    """Just before it is open, at it no more; the time runs from when the listener opened."""
    session, _ = make_session()
    lease = session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000"), limit=None, lifetime=60), LEGS)
    assert refused(lease, CLIENT_ADDRESS, 1e9) == ""
    lease.start(100.0)
    assert refused(lease, CLIENT_ADDRESS, 159.9) == ""
    assert refused(lease, CLIENT_ADDRESS, 160.0) == "lease_expired"
    assert not lease.used_up(Side.CLIENT)


def test_a_lease_admits_as_many_as_it_says() -> None:
    """Two, then no third."""
    session, _ = make_session()
    lease = session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000"), limit=2), LEGS)
    assert [refused(lease, CLIENT_ADDRESS) for _ in range(3)] == ["", "", "lease_used"]


def test_a_target_is_judged_against_the_side_on_which_it_lies() -> None:
    """Each side may name itself only, also where rules for the other side are wide."""
    session, gate = make_session()
    with pytest.raises(PolicyError, match="third party"):
        session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.1.2:5000")), LEGS)
    with pytest.raises(PolicyError, match="third party"):
        session.lease(Expectation.usual(Side.SERVER, endpoint("10.77.2.2:5000")), LEGS)
    assert gate.pending_leases == 0
    wide = TargetRules((ip_network("10.0.0.0/8"),))
    session = Session(1, CLIENT_ADDRESS, gate, {Side.SERVER: wide})
    session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.2.9:5000")), LEGS)
    with pytest.raises(PolicyError, match="third party"):
        session.lease(Expectation.usual(Side.SERVER, endpoint("10.77.1.9:5000")), LEGS)


def test_both_targets_of_a_dialled_pair_are_judged() -> None:
    """Where we connect on both sides, each target has to be its own side's peer."""
    session, _ = make_session()
    good, bad = Connect(endpoint("10.77.1.2:5000")), Connect(endpoint("10.77.2.9:5000"))
    with pytest.raises(PolicyError, match="third party"):
        session.lease(Expectation(good, bad), LEGS)
    session.lease(Expectation(good, Connect(endpoint("10.77.2.2:5000"))), LEGS)


def test_where_both_legs_are_accepted_each_side_has_its_own_peer_and_count() -> None:
    """T16, T17: neither peer may come on the other's side, and who came on one side takes nothing from the other."""
    session, _ = make_session()
    lease = session.lease(Expectation(Accept(), Accept()), LEGS)
    assert lease.sources == {Side.CLIENT: (CLIENT_ADDRESS,), Side.SERVER: (SERVER_ADDRESS,)}
    assert refused(lease, SERVER_ADDRESS, side=Side.CLIENT) == "wrong_peer"
    assert refused(lease, CLIENT_ADDRESS, side=Side.SERVER) == "wrong_peer"
    assert refused(lease, CLIENT_ADDRESS, side=Side.CLIENT) == ""
    assert (lease.used_up(Side.CLIENT), lease.used_up(Side.SERVER)) == (True, False)
    assert refused(lease, CLIENT_ADDRESS, side=Side.CLIENT) == "lease_used"
    assert refused(lease, SERVER_ADDRESS, side=Side.SERVER) == ""
    assert lease.used_up(Side.SERVER)


def test_sources_are_those_of_their_own_side() -> None:
    """A plan names who may come on its side; the other side keeps its peer."""
    session, _ = make_session()
    lease = session.lease(Expectation(Accept((STRANGER,)), Accept()), LEGS)
    assert lease.sources == {Side.CLIENT: (STRANGER,), Side.SERVER: (SERVER_ADDRESS,)}


def test_a_lease_of_two_dialled_legs_lets_nobody_in() -> None:
    """There is no listener that it could be used through."""
    session, _ = make_session()
    lease = session.lease(Expectation(ACTIVE.client, PASSIVE.server), LEGS)
    assert lease.sources == {}
    assert (lease.flows, lease.dialled) == (0, False)


def test_a_session_has_a_limit_of_leases() -> None:
    """At the limit the next one is refused and nothing is counted; one given back makes room."""
    session, gate = make_session(LeaseLimits(per_session=2))
    first = session.lease(PASSIVE, LEGS)
    session.lease(ACTIVE, LEGS)
    with pytest.raises(BindError, match="2 leases are pending in this session") as refusal:
        session.lease(PASSIVE, LEGS)
    assert refusal.value.reason == "too_many_leases"
    assert gate.pending_leases == 2
    assert session.release(first.number)
    session.lease(PASSIVE, LEGS)


def test_a_lease_that_the_gate_does_not_count_is_none() -> None:
    """The session keeps nothing of it."""
    session, _ = make_session(LeaseLimits(in_all=0))
    with pytest.raises(BindError):
        session.lease(PASSIVE, LEGS)
    assert not session.pending


def test_numbers_are_never_used_again() -> None:
    """A late answer can never mean another lease."""
    session, _ = make_session()
    first = session.lease(PASSIVE, LEGS)
    assert session.find(first.number) is first
    assert session.release(first.number)
    assert not session.release(first.number)
    assert session.find(first.number) is None
    assert session.lease(PASSIVE, LEGS).number != first.number


def test_all_leases_end_with_their_session() -> None:
    """T19: nothing is pending afterwards, here or at the gate; another session's leases are untouched."""
    session, gate = make_session()
    other = Session(2, CLIENT_ADDRESS, gate)
    other.lease(PASSIVE, LEGS)
    session.lease(PASSIVE, LEGS)
    session.lease(ACTIVE, LEGS)
    assert len(session.pending) == 2
    session.close()
    session.close()
    assert not session.pending
    assert gate.pending_leases == len(other.pending) == 1


def test_what_a_client_waits_at_it_may_announce_to_whom_it_waits_for() -> None:
    """A listener of ours that a client asked for (SOCKS BIND) is no target for anybody, but that client announces it as it is
    to the server that is to come there."""
    session, gate = make_session()
    at = ACTIVE.targets[0]
    gate.add_socket(at)
    with pytest.raises(PolicyError, match="is a socket of this gateway"):
        session.lease(ACTIVE, LEGS)
    loans = [
        (at, STRANGER, None, (SERVER_ADDRESS,)),
        (at, CLIENT_ADDRESS, "somebody else of that address", (SERVER_ADDRESS,)),
        (at, CLIENT_ADDRESS, None, (STRANGER,)),
    ]
    for loan in loans:
        gate.lend(*loan)
        with pytest.raises(PolicyError, match="is a socket of this gateway"):
            session.lease(ACTIVE, LEGS)
    gate.lend(at, CLIENT_ADDRESS, None, (SERVER_ADDRESS,))
    assert session.lease(ACTIVE, LEGS).is_there
    with pytest.raises(PolicyError, match="is a socket of this gateway"):
        session.lease(Expectation(Connect(at), Accept((STRANGER,))), LEGS)
    for loan in loans:
        gate.take_back(*loan)
    assert session.lease(ACTIVE, LEGS).is_there, "others gave back theirs"
    gate.take_back(at, CLIENT_ADDRESS, None, (SERVER_ADDRESS,))
    with pytest.raises(PolicyError, match="is a socket of this gateway"):
        session.lease(ACTIVE, LEGS)


def test_what_has_not_begun_uses_nothing_up() -> None:
    """A flow that was let through and could not be carried on."""
    session, _ = make_session()
    lease = session.lease(PASSIVE, LEGS)
    for _ in range(3):
        lease.admit(Side.CLIENT, CLIENT_ADDRESS, 0.0)
        assert lease.used_up(Side.CLIENT)
        lease.take_back(Side.CLIENT)
    assert not lease.used_up(Side.CLIENT)

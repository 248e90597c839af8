"""The rules that nobody bypasses, each by name. The words are those of the design's section 5."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from alg.core.errors import BindError, PolicyError
from alg.core.model import Endpoint, Expectation, Side
from alg.core.policy import Gate, LeaseLimits, TargetRules
from alg.core.session import Session
from alg.plugin import Stream, StreamPlugin
from alg.testing import Playbook, endpoint
from tests.machines import CLIENT, SERVER

LEGS = {Side.CLIENT: CLIENT, Side.SERVER: SERVER}
PEERS = {Side.CLIENT: "10.77.1.2", Side.SERVER: "10.77.2.2"}


class AskPlugin(StreamPlugin[None]):
    """Each side announces an endpoint of its own in a line; the other side gets ours, or the reason for which not."""

    name = "ask"

    async def from_client(self, stream: Stream) -> None:
        await self._treat(stream)

    async def from_server(self, stream: Stream) -> None:
        await self._treat(stream)

    async def _treat(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            try:
                binding = await self.flow.expect(stream.side.other, Endpoint.parse(*line.split()))
            except (PolicyError, BindError) as error:
                stream.reply(error.reason.encode() + b"\n")
            else:
                stream.send(binding.endpoint.to_bytes(b" ") + b"\n")


def announced(side: Side, address: str, port: int = 5000, **arguments: object) -> str:
    """The reason for which an announcement of that side is refused, or nothing."""
    talk = Playbook(AskPlugin, **arguments)  # type: ignore[arg-type]
    talk.say(side, f"{address} {port}\n".encode())
    if talk.received(side.other):
        assert len(talk.leases) == 1
        return ""
    assert not talk.expectations
    return talk.received(side).decode().strip()


both_sides = pytest.mark.parametrize("side", Side)


@both_sides
def test_addresses_are_canonical_before_any_comparison(side: Side) -> None:
    """A peer may write its own address as IPv4-mapped; other spellings are other addresses."""
    assert announced(side, f"::ffff:{PEERS[side]}") == ""
    assert announced(side, f"::{PEERS[side]}") == "third_party_address"
    assert announced(side, f"64:ff9b::{PEERS[side]}") == "third_party_address"


@both_sides
@pytest.mark.parametrize("text", ["localhost", "127.1", "2130706433", "010.77.1.2", "ftp.example.org"])
def test_text_from_a_payload_is_parsed_by_our_own_grammar(side: Side, text: str) -> None:
    """Anything but a strict literal ends the session; nothing is looked up."""
    talk = Playbook(AskPlugin)
    talk.say(side, text.encode() + b" 5000\n")
    assert talk.reasons == ["bad_address"]


@both_sides
@pytest.mark.parametrize("text", ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "2002:7f00:1::"])
def test_self_first(side: Side, text: str) -> None:
    """Loopback and the unspecified address are never a target, also where everybody is allowed; only by name."""
    everybody = dict.fromkeys(Side, TargetRules((ip_network("0.0.0.0/0"), ip_network("::/0"))))
    assert announced(side, text) == "self_target"
    assert announced(side, text, targets=everybody) == "self_target"


@both_sides
def test_self_by_name(side: Side) -> None:
    """An operator's rule names loopback; a socket of ours stays out of reach even so."""
    rules = dict.fromkeys(Side, TargetRules((ip_network("127.0.0.0/8"),)))
    assert announced(side, "127.0.0.1", targets=rules) == ""
    talk = Playbook(AskPlugin, targets=rules)
    talk.gate.add_socket(endpoint("127.0.0.1:5000"))
    talk.say(side, b"127.0.0.1 5000\n")
    assert talk.received(side) == b"self_target\n"


@both_sides
def test_a_side_that_the_operator_put_on_loopback(side: Side) -> None:
    """Its peer may name its own address, and no other of this host."""
    here: dict[str, Any] = {side.value: "127.0.0.1:40000", "targets": {side: TargetRules(loopback=True)}}
    assert announced(side, "127.0.0.1", **here) == ""
    assert announced(side, "127.0.0.2", **here) == "self_target"
    assert announced(side, "0.0.0.0", **here) == "self_target"
    del here["targets"]
    assert announced(side, "127.0.0.1", **here) == "self_target"


@both_sides
def test_nobody_speaks_for_a_third_party(side: Side) -> None:
    """In either direction: not for a stranger, nor for the other side."""
    assert announced(side, PEERS[side]) == ""
    assert announced(side, PEERS[side.other]) == "third_party_address"
    assert announced(side, "10.77.9.9") == "third_party_address"
    assert announced(side, "10.77.9.9", targets={side: TargetRules((ip_network("10.77.9.0/24"),))}) == ""
    assert announced(side, "10.77.9.9", targets={side.other: TargetRules((ip_network("10.77.9.0/24"),))}) != ""


@both_sides
def test_ports_below_1024_are_refused(side: Side) -> None:
    """At the limit, and one below."""
    assert announced(side, PEERS[side], 1024) == ""
    assert announced(side, PEERS[side], 1023) == "low_port"
    assert announced(side, PEERS[side], 0) == "low_port"


def test_a_binding_is_a_lease() -> None:
    """It has an allowed peer, a count and a deadline; a wrong peer is dropped and does not use it up."""
    session = Session(1, CLIENT.peer.address, Gate(LeaseLimits()))
    lease = session.lease(Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000")), LEGS)
    lease.start(0.0)
    assert (lease.sources, lease.deadline) == ({Side.CLIENT: (CLIENT.peer.address,)}, 60.0)
    assert not lease.used_up(Side.CLIENT)
    with pytest.raises(PolicyError):
        lease.admit(Side.CLIENT, ip_address("10.77.1.3"), 1.0)
    lease.admit(Side.CLIENT, CLIENT.peer.address, 1.0)
    assert lease.used_up(Side.CLIENT)


@both_sides
def test_a_lease_dies_with_its_session(side: Side) -> None:
    """However the session ends."""

    def both_end(talk: Playbook) -> None:
        talk.end(side)
        talk.end(side.other)

    endings: tuple[Callable[[Playbook], None], ...] = (
        lambda talk: talk.lose(side),
        lambda talk: talk.say(side, b"x" * 101),
        both_end,
    )
    for end in endings:
        talk = Playbook(AskPlugin)
        talk.say(side, f"{PEERS[side]} 5000\n".encode())
        assert talk.gate.pending_leases == 1
        end(talk)
        assert talk.gate.pending_leases == 0
        assert not talk.leases


@pytest.mark.parametrize("limit", ["per_session", "per_client", "in_all"])
def test_leases_are_capped(limit: str) -> None:
    """Per session, per client and in all: at the limit, and one above."""
    talk = Playbook(AskPlugin, limits=dataclasses.replace(LeaseLimits(), **{limit: 3}))
    talk.client(b"10.77.1.2 5000\n" * 4)
    assert len(talk.leases) == 3
    assert talk.to_client == b"too_many_leases\n"


@pytest.mark.parametrize(("longest", "lasts"), [(None, 60), (61, 60), (60, 60), (59, 59)])
def test_a_lease_lasts_no_longer_than_is_allowed(longest: float | None, lasts: float) -> None:
    """Whatever its plugin asks for; who is asked to listen, and the record, know of it."""
    talk = Playbook(AskPlugin, limits=LeaseLimits(lifetime=longest))
    talk.client(b"10.77.1.2 5000\n")
    assert talk.expectations[0].lifetime == lasts
    assert talk.leases[0].deadline == lasts
    assert talk.records[0].fields["lifetime"] == str(lasts)


@both_sides
def test_a_decision_leaves_a_record(side: Side) -> None:
    """Who announced what, what stands for it, for whom and until when."""
    talk = Playbook(AskPlugin)
    talk.say(side, f"{PEERS[side]} 5000\n".encode())
    (record,) = talk.records
    assert record.reason == "rewrite"
    assert record.fields["target"] == f"{PEERS[side]}:5000"
    assert record.fields["sources"] == PEERS[side.other]
    assert record.fields["lifetime"] == "60"

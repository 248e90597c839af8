"""Verdicts on commands and replies, and the gate: who may be named as a target, and how many leases may be pending."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.addresses import Network
from alg.core.errors import BindError, PolicyError
from alg.core.model import Endpoint, Leg
from alg.core.policy import Gate, LeaseLimits, Rules, TargetRules, Verdict
from alg.testing import endpoint
from tests.core.test_addresses import EMBED, each_embedding

LEG = Leg(local=endpoint("10.77.1.1:2121"), peer=endpoint("10.77.1.2:40000"))
STRICT = TargetRules()

keys = st.sampled_from(["A", "B", "*", "A 200", "A 500", "A *", "* 200", "* *", "B *"])
tables = st.dictionaries(keys, st.sampled_from(Verdict))


def allow(*networks: str, min_port: int = 1024) -> TargetRules:
    """Rules that allow these networks."""
    return TargetRules(tuple(ip_network(each) for each in networks), min_port)


def judged(target: str | Endpoint, rules: TargetRules = STRICT, gate: Gate | None = None) -> str:
    """The reason for which the gate refuses a target, or nothing."""
    gate = gate or Gate(LeaseLimits())
    try:
        gate.judge_target(endpoint(target) if isinstance(target, str) else target, LEG, rules)
    except PolicyError as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(
    ("verb", "argument", "expected"),
    [
        ("SITE", "CHMOD 777 x", Verdict.ACCEPT),
        ("SITE", "chmod 777 x", Verdict.ACCEPT),
        ("SITE", "EXEC x", Verdict.REJECT),
        ("SITE", "CHMOD", Verdict.REJECT),
        ("STOR", "a.EXE", Verdict.ABORT),
        ("STOR", "a.exe.txt", Verdict.ACCEPT),
        ("STOR", "550", Verdict.ACCEPT),
        ("RETR", "a.exe", Verdict.REJECT),
        ("RETR", "", Verdict.REJECT),
    ],
)
def test_a_rule_may_be_about_the_argument(verb: str, argument: str, expected: Verdict) -> None:
    """The first pattern that fits stands above the verb alone; codes and `*` behind a verb are about replies."""
    table = {
        "SITE": Verdict.REJECT,
        "SITE CHMOD *": Verdict.ACCEPT,
        "STOR *.exe": Verdict.ABORT,
        "RETR": Verdict.REJECT,
    }
    about_replies = {"STOR 550": Verdict.REJECT, "STOR *": Verdict.REJECT}
    assert Rules(table | about_replies).command(verb, argument) is expected


@given(tables, st.sampled_from("ABC"))
def test_the_most_specific_rule_for_a_command_holds(table: Mapping[str, Verdict], verb: str) -> None:
    """Its own entry, else the one for all, else it is accepted."""
    expected = table[verb] if verb in table else table.get("*", Verdict.ACCEPT)
    assert Rules(table).command(verb) is expected


@given(tables, st.sampled_from("ABC"), st.sampled_from([200, 500]))
def test_the_most_specific_rule_for_a_reply_holds(table: Mapping[str, Verdict], verb: str, code: int) -> None:
    """Verb and code, then verb, then code, then all; a rule on the command is none on its replies."""
    order = (f"{verb} {code}", f"{verb} *", f"* {code}", "* *")
    expected = [table[key] for key in order if key in table]
    assert Rules(table).reply(verb, code) is (expected[0] if expected else Verdict.ACCEPT)


@given(tables, tables)
def test_rules_over_others_hold_where_both_speak(upper: Mapping[str, Verdict], lower: Mapping[str, Verdict]) -> None:
    """Entry by entry."""
    both = Rules(upper).over(Rules(lower)).table
    assert both == {key: upper.get(key) or lower[key] for key in {*upper, *lower}}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        *(("10.77.1.2:1024", ""), ("10.77.1.2:65535", ""), ("10.77.1.2:1023", "low_port"), ("10.77.1.2:0", "low_port")),
        *(("10.77.1.3:5000", "third_party_address"), ("10.77.1.1:5000", "third_party_address")),
        *(("127.0.0.1:5000", "self_target"), ("0.0.0.0:5000", "self_target"), ("[::1]:5000", "self_target")),
        *(("[::ffff:127.0.0.1]:5000", "self_target"), ("[2002:7f00:1::]:5000", "self_target")),
        *(("[64:ff9b::7f00:1]:5000", "self_target"), ("[::ffff:10.77.1.2]:5000", "")),
        *(
            ("224.0.0.1:5000", "bad_address"),
            ("255.255.255.255:5000", "bad_address"),
            ("[ff02::1]:5000", "bad_address"),
        ),
        *(("[::10.77.1.2]:5000", "third_party_address"), ("[64:ff9b::10.77.1.2]:5000", "third_party_address")),
        ("169.254.169.254:5000", "third_party_address"),
    ],
)
def test_by_default_a_peer_may_name_itself_only(target: str, reason: str) -> None:
    """T01 to T04: its own address and a port from 1024 up."""
    assert judged(target) == reason


@pytest.mark.parametrize(
    ("target", "networks", "reason"),
    [
        *(("10.77.1.3:5000", "10.77.1.0/24", ""), ("10.77.1.3:80", "10.77.1.0/24", "low_port")),
        *(("10.77.3.3:5000", "10.77.1.0/24", "third_party_address"), ("127.0.0.1:5000", "127.0.0.1/32", "")),
        *(("127.0.0.1:5000", "0.0.0.0/0", "self_target"), ("[::1]:5000", "::/0", "self_target")),
        *(("10.99.9.9:5000", "0.0.0.0/0", ""), ("224.0.0.1:5000", "0.0.0.0/0", "bad_address")),
        *(("[64:ff9b::7f00:1]:5000", "64:ff9b::/96", "self_target"), ("[64:ff9b::a00:1]:5000", "64:ff9b::/96", "")),
        ("[64:ff9b::e000:1]:5000", "64:ff9b::/96", "bad_address"),
    ],
)
def test_an_operator_may_allow_networks_by_name(target: str, networks: str, reason: str) -> None:
    """Third parties where they are allowed; this host only by a network of its own; never a group."""
    assert judged(target, allow(networks)) == reason


def test_the_lowest_port_is_the_operators() -> None:
    """`min_port` replaces 1024."""
    assert judged("10.77.1.2:21", allow(min_port=21)) == ""
    assert judged("10.77.1.2:20", allow(min_port=21)) == "low_port"


@each_embedding
@given(address=st.ip_addresses(v=4))
def test_no_spelling_of_an_address_is_judged_more_kindly(embedding: str, address: IPv4Address) -> None:
    """T04: where the plain address is refused as this host or a group, so is every spelling, even if all is allowed."""
    everything = allow("0.0.0.0/0", "::/0")
    plain = judged(Endpoint(address, 5000), everything)
    assert judged(Endpoint(EMBED[embedding](address), 5000), everything) == plain


@pytest.mark.parametrize("rules", [STRICT, allow("0.0.0.0/0", "::/0"), allow("10.77.1.2/32", "127.0.0.0/8")])
@pytest.mark.parametrize("own", ["10.77.1.2:5000", "127.0.0.1:5000", "[2001:db8::1]:5000"])
def test_a_socket_of_ours_is_never_a_target(rules: TargetRules, own: str) -> None:
    """T14: whatever the rules say, at any spelling of its address, and at the moment of the dial too."""
    gate = Gate(LeaseLimits())
    gate.add_socket(endpoint(own))
    assert judged(own, rules, gate) == "self_target"
    with pytest.raises(PolicyError) as refusal:
        gate.judge_dial(endpoint(own))
    assert refusal.value.reason == "self_target"
    assert not gate.is_own_socket(Endpoint(endpoint(own).address, 5001))


@each_embedding
def test_a_socket_of_ours_is_found_in_every_spelling(embedding: str) -> None:
    """T04 and T14 together: an allowed translation prefix is no way around."""
    gate = Gate(LeaseLimits())
    gate.add_socket(endpoint("10.77.1.1:8080"))
    assert gate.is_own_socket(Endpoint(EMBED[embedding](IPv4Address("10.77.1.1")), 8080))


def test_a_socket_is_counted_as_often_as_it_is_added() -> None:
    """Two listeners may share an endpoint for a moment; it is ours until the last is gone."""
    gate, own = Gate(LeaseLimits()), endpoint("10.77.1.2:5000")
    gate.add_socket(own)
    gate.add_socket(own)
    gate.remove_socket(own)
    assert gate.is_own_socket(own)
    gate.remove_socket(own)
    assert judged(own, STRICT, gate) == ""
    gate.judge_dial(own)


@pytest.mark.parametrize("wildcard", ["0.0.0.0:5000", "[::]:5000"])
def test_a_wildcard_socket_is_ours_at_every_own_address(wildcard: str) -> None:
    """Which addresses are our own, the host knows; it is asked for that port only."""
    asked = []

    def is_own_address(address: object) -> bool:
        asked.append(str(address))
        return str(address) == "10.77.1.2"

    gate = Gate(LeaseLimits(), is_own_address=is_own_address)
    gate.add_socket(endpoint(wildcard))
    assert judged("10.77.1.2:5001", STRICT, gate) == ""
    assert not asked
    assert judged("10.77.1.2:5000", STRICT, gate) == "self_target"
    assert judged("10.77.1.3:5000", allow("10.0.0.0/8"), gate) == ""
    assert judged("[64:ff9b::10.77.1.2]:5000", allow("::/0"), gate) == "self_target"
    gate.remove_socket(endpoint(wildcard))
    assert judged("10.77.1.2:5000", STRICT, gate) == ""


def test_leases_are_capped_per_client_and_in_all() -> None:
    """At the limit one more is refused, nobody else's is evicted, and a place that is given back is free again."""
    gate = Gate(LeaseLimits(per_client=2, in_all=3))
    ann, bob = ip_address("10.77.1.2"), ip_address("10.77.1.3")
    gate.count_lease(ann)
    gate.count_lease(ann)
    with pytest.raises(BindError, match=r"10\.77\.1\.2 has 2 leases") as refusal:
        gate.count_lease(ann)
    assert refusal.value.reason == "too_many_leases"
    gate.count_lease(bob)
    with pytest.raises(BindError, match="3 leases are pending in all"):
        gate.count_lease(bob)
    gate.uncount_lease(ann)
    assert gate.pending_leases == 2
    gate.count_lease(bob)
    for client in (ann, bob, bob):
        gate.uncount_lease(client)
    assert gate.pending_leases == 0


def test_networks_of_both_families_go_together() -> None:
    """A rule for IPv6 says nothing about IPv4."""
    both: tuple[Network, ...] = (ip_network("2001:db8::/32"), ip_network("10.0.0.0/8"))
    assert judged("[2001:db8::9]:5000", TargetRules(both)) == ""
    assert judged("10.9.9.9:5000", TargetRules(both)) == ""
    assert judged("192.0.2.1:5000", TargetRules(both)) == "third_party_address"


@pytest.mark.parametrize("nowhere", ["0.0.0.0", "::"])
def test_the_unspecified_address_leads_to_our_own_socket(nowhere: str) -> None:
    """To connect there is to connect to this host (T03, T15)."""
    gate = Gate(LeaseLimits())
    gate.add_socket(Endpoint.parse("10.77.1.1", 2121))
    assert gate.is_own_socket(Endpoint.parse(nowhere, 2121))
    assert not gate.is_own_socket(Endpoint.parse(nowhere, 2122))

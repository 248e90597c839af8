"""Which flow makes place for another: one's own at one's own limit, and else what is worth least."""

from __future__ import annotations

import random
from collections import Counter

from alg.core.addresses import Address, parse_address
from alg.relay.datagram_table import DatagramTable

A, B, C = (parse_address(f"10.0.0.{number}") for number in (1, 2, 3))


def table(*flows: tuple[Address, str], in_all: int = 100, per_client: int = 100) -> DatagramTable[str]:
    """A table with these flows, oldest first."""
    made: DatagramTable[str] = DatagramTable(in_all, per_client)
    for client, flow in flows:
        made.add(client, flow)
    return made


def test_there_is_room() -> None:
    """Up to the limits."""
    assert table((A, "a")).victim(A) is None
    assert table((A, "a"), per_client=2, in_all=2).victim(A) is None
    assert table().least() is None


def test_t98_at_its_own_limit_a_client_loses_its_own_oldest() -> None:
    """Whoever has more, and whatever is older."""
    made = table((B, "b1"), (A, "a1"), (A, "a2"), (B, "b2"), per_client=2)
    assert made.victim(A) == "a1"
    made.touch(A, "a1", assured=False)
    assert made.victim(A) == "a2"
    assert made.victim(B) == "b1"
    assert made.victim(C) is None


def test_what_is_assured_goes_last_of_its_client() -> None:
    """Even if it is older; if all are, the one that was silent longest."""
    made = table((A, "a1"), (A, "a2"), per_client=2)
    made.assure(A, "a1")
    assert made.victim(A) == "a2"
    made.assure(A, "a2")
    made.touch(A, "a1", assured=True)
    assert made.victim(A) == "a2"


def test_at_the_limit_in_all_the_busiest_client_loses() -> None:
    """Its oldest; not the newcomer's, and not that of who has few."""
    made = table((B, "b1"), (A, "a1"), (A, "a2"), (C, "c1"), in_all=4)
    assert made.victim(B) == "a1"
    made.remove(A, "a1", assured=False)
    assert made.victim(B) is None
    made.add(C, "c2")
    assert made.victim(A) == "c1"


def test_a_flow_both_ways_outlives_those_of_forged_senders() -> None:
    """However many flows its client has."""
    made = table((A, "a1"), (A, "a2"), (B, "b1"), (C, "c1"), in_all=4)
    for flow in ("a1", "a2"):
        made.assure(A, flow)
    assert made.victim(C) == "b1"


def test_assured_flows_do_not_keep_all_others_out() -> None:
    """From three quarters on they make place themselves, for what is new would otherwise be what goes."""
    made = table((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), in_all=4)
    for flow in ("a1", "a2", "a3"):
        made.assure(A, flow)
    assert made.victim(C) == "a1"


def test_counts_hold_whatever_happens() -> None:
    """Against a plain count, over thousands of random steps."""
    chance = random.Random(1)
    made: DatagramTable[int] = DatagramTable(10_000, 10_000)
    clients = [parse_address(f"10.1.0.{number}") for number in range(9)]
    flows: dict[int, tuple[Address, bool]] = {}
    for number in range(2000):
        step = chance.random()
        if step < 0.5 or not flows:
            client = chance.choice(clients)
            made.add(client, number)
            flows[number] = client, False
        else:
            flow = chance.choice(list(flows))
            client, assured = flows[flow]
            if step < 0.7 and not assured:
                made.assure(client, flow)
                flows[flow] = client, True
            else:
                made.remove(client, flow, assured=assured)
                del flows[flow]
        assert len(made) == len(flows)
        fresh = [client for client, assured in flows.values() if not assured]
        if fresh:
            victim = made.least()
            assert victim is not None
            counts = Counter(fresh)
            assert counts[flows[victim][0]] == max(counts.values())

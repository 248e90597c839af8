"""The pool of ports: never the same twice at once, hard to guess, late to return (T57)."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alg.core.model import PortRange
from alg.core.ports import PortPool

PORTS = PortRange(20000, 20004)


def last(count: int) -> int:
    """No chance: the last one left."""
    return count - 1


def test_every_port_of_the_range_is_given_out_once() -> None:
    """Both ends included; then there is none."""
    pool = PortPool(PORTS, last)
    assert sorted((pool.take() for _ in range(6)), key=lambda port: port or 99999) == [
        20000,
        20001,
        20002,
        20003,
        20004,
        None,
    ]
    assert pool.taken == 5


def test_the_order_is_that_of_the_source() -> None:
    """Each port is drawn from all that are left of the round, by the source that the pool is given."""
    asked: list[int] = []

    def first(count: int) -> int:
        asked.append(count)
        return 0

    pool = PortPool(PORTS, first)
    assert [pool.take() for _ in range(5)] == [20000, 20004, 20003, 20002, 20001]
    assert asked == [5, 4, 3, 2, 1]


def test_a_returned_port_waits_for_the_next_round() -> None:
    """A port that was in use a moment ago is the last to come up again."""
    pool = PortPool(PORTS, last)
    first = pool.take()
    assert first is not None
    pool.give_back(first)
    assert first not in [pool.take() for _ in range(4)]
    assert first == pool.take()


class Pool(RuleBasedStateMachine):
    """Takes and returns at random, against a set."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PortPool(PORTS, random.Random(1).randrange)
        self.taken: set[int] = set()

    @rule()
    def take(self) -> None:
        port = self.pool.take()
        assert (port is None) is (len(self.taken) == len(PORTS))
        if port is not None:
            assert port not in self.taken
            assert PORTS.low <= port <= PORTS.high
            self.taken.add(port)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        port = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.remove(port)
        self.pool.give_back(port)

    @invariant()
    def counts(self) -> None:
        assert len(self.taken) == self.pool.taken


TestPool = Pool.TestCase

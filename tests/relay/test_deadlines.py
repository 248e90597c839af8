"""Deadlines of flows: one timer however often they are moved, none that is left, none that is late."""

from __future__ import annotations

import asyncio
import gc

from alg.relay.deadline import Deadline
from tests.conftest import Run
from tests.relay.rig import relaying
from tests.relay.test_timeouts import Clock
from tests.relay.toys import CountingPlugin


class Bell:
    """A deadline on a clock that is told what the time is."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rung: list[float] = []
        self.deadline = Deadline(self.clock.as_loop(), lambda: self.rung.append(self.clock.time()))


def test_it_rings_once() -> None:
    """At its moment, and may be set again."""
    bell = Bell()
    bell.deadline.set(5.0)
    bell.clock.pass_until(4.9)
    assert bell.rung == []
    bell.clock.pass_until(20.0)
    assert bell.rung == [5.0]
    bell.deadline.set(5.0)
    bell.clock.pass_until(100.0)
    assert bell.rung == [5.0, 25.0]
    assert bell.clock.timers == 0


def test_moved_again_and_again_it_takes_one_timer() -> None:
    """On, ahead, and away."""
    bell = Bell()
    for second in range(50):
        bell.clock.pass_until(second)
        bell.deadline.set(10.0)
        assert bell.clock.timers == 1
    bell.deadline.set(2.0)
    assert bell.clock.timers == 1
    bell.clock.pass_until(51.5)
    assert bell.rung == [51.0]
    bell.deadline.set(3.0)
    bell.deadline.set(None)
    bell.clock.pass_until(100.0)
    assert bell.rung == [51.0]
    assert bell.clock.timers == 0


def test_closed_it_has_no_timer() -> None:
    """And rings no more; to close one that was never set does nothing."""
    bell = Bell()
    bell.deadline.close()
    bell.deadline.set(5.0)
    bell.deadline.close()
    assert bell.clock.timers == 0
    bell.clock.pass_until(100.0)
    assert bell.rung == []


def test_who_is_late_is_told_in_time(run: Run) -> None:
    """Not before the deadline, and at most a second behind it."""

    async def work() -> None:
        async with relaying(CountingPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                loop = asyncio.get_running_loop()
                began = loop.time()
                await client.send(b"deadline 60\ndeadline 0.2\n0\n")
                assert await client.line() + await client.line() == b"set\nset\n"
                assert await client.line() == b"sorry, too_slow\n"
                assert 0.2 <= loop.time() - began < 1.2
                assert await server.rest() == b"0\n"
            assert (await rig.notes.wait("too_slow")).message.endswith("the client took more than 0.2 s")
            await rig.at_rest()

    run(work())


def test_a_flow_that_is_over_leaves_no_deadline(run: Run) -> None:
    """Neither a timer nor a circle keeps it."""

    async def work() -> None:
        async with relaying(CountingPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                await client.send(b"deadline 60\n")
                assert await client.line() == b"set\n"
                assert left() == 1
                await client.send(b"close\n")
                assert await client.rest() == b""
            await rig.at_rest()
            await asyncio.sleep(0)  # who ended it may let go of it
            assert left() == 0

    gc.collect()
    gc.disable()
    try:
        run(work())
    finally:
        gc.enable()


def left() -> int:
    """How many deadlines there are."""
    return sum(isinstance(each, Deadline) for each in gc.get_objects())

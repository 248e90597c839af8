"""Deadlines of one duration: none is early, none is later than an eighth, whatever a callback begins or cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import cast

from alg.relay.timeouts import Timeouts
from tests.conftest import Run

SECONDS = 0.8
LATEST = SECONDS * 1.125 + 1e-9


class Clock:
    """As much of a loop as deadlines need; its time passes when it is told to."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """The same, for those who need no more of a loop."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def get_debug(self) -> bool:
        """No."""
        return False

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Note it."""
        timer = asyncio.TimerHandle(self._now + delay, callback, args, self.as_loop(), context)
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._timers.remove(handle)

    def pass_until(self, when: float) -> None:
        """Let time pass, and call who is due."""
        while self._timers and (timer := min(self._timers, key=asyncio.TimerHandle.when)).when() <= when:
            self._timers.remove(timer)
            self._now = timer.when()
            timer._run()
        self._now = when

    @property
    def timers(self) -> int:
        """How many are set."""
        return len(self._timers)


class Diary:
    """Who was called, and how long after its beginning."""

    def __init__(self, clock: Clock, timeouts: Timeouts) -> None:
        self.calls: dict[str, float] = {}
        self._clock = clock
        self._timeouts = timeouts

    def begin(self, name: str, then: Callable[[], None] | None = None) -> None:
        """Begin a deadline of that name; `then` is called when it is due."""
        began = self._clock.time()

        def due() -> None:
            self.calls[name] = self._clock.time() - began
            if then:
                then()

        self._timeouts.begin(due)


def test_deadline_begun_in_a_callback_does_not_delay_the_others() -> None:
    """A callback that begins a deadline of its own leaves those that wait already to their time."""
    clock = Clock()
    timeouts = Timeouts(clock.as_loop(), SECONDS)
    diary = Diary(clock, timeouts)
    diary.begin("first", then=lambda: diary.begin("inner"))
    clock.pass_until(0.4)
    diary.begin("second")
    clock.pass_until(5.0)
    assert diary.calls.keys() == {"first", "second", "inner"}
    for name, seconds in diary.calls.items():
        assert SECONDS - 1e-9 <= seconds <= LATEST, (name, seconds)
    assert clock.timers == 0


def test_one_timer_for_all() -> None:
    """However many deadlines there are, and whoever begins them, the loop has one timer."""
    clock = Clock()
    timeouts = Timeouts(clock.as_loop(), SECONDS)
    diary = Diary(clock, timeouts)
    for number in range(20):
        diary.begin(f"{number}", then=lambda number=number: diary.begin(f"inner {number}"))  # type: ignore[misc]
        assert clock.timers == 1
        clock.pass_until(0.1 * number)
    clock.pass_until(1.85)
    assert clock.timers == 1
    timeouts.close()
    assert clock.timers == 0


def test_deadlines_that_each_begin_the_next() -> None:
    """A chain, each link begun by the one before: none is early, none is lost."""
    clock = Clock()
    timeouts = Timeouts(clock.as_loop(), SECONDS)
    diary = Diary(clock, timeouts)

    def link(number: int) -> None:
        if number < 5:
            diary.begin(f"{number}", then=lambda: link(number + 1))

    link(0)
    clock.pass_until(5 * LATEST)
    assert list(diary.calls) == ["0", "1", "2", "3", "4"]
    assert all(SECONDS - 1e-9 <= seconds <= LATEST for seconds in diary.calls.values())


def test_cancelled_deadline_calls_nobody() -> None:
    """What was cancelled is forgotten, and does not hold up what began behind it."""
    clock = Clock()
    timeouts = Timeouts(clock.as_loop(), SECONDS)
    diary = Diary(clock, timeouts)
    timeouts.begin(lambda: diary.begin("never")).cancel()
    clock.pass_until(0.2)
    diary.begin("behind")
    clock.pass_until(5.0)
    assert diary.calls.keys() == {"behind"}
    assert diary.calls["behind"] <= LATEST


def test_one_that_fails_does_not_keep_the_others(run: Run) -> None:
    """A defect in what is called back is told by the loop, and those behind it come due all the same."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        timeouts, due = Timeouts(loop, 0.05), asyncio.Event()

        def fail() -> None:
            raise KeyError("a defect")

        timeouts.begin(fail)
        timeouts.begin(due.set)
        async with asyncio.timeout(5):
            await due.wait()
            due.clear()
            timeouts.begin(due.set)
            await due.wait()
        assert [type(error) for error in told] == [KeyError]
        loop.set_exception_handler(before)
        timeouts.close()

    run(work())

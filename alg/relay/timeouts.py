"""`Timeouts`: many deadlines of one and the same duration, for the price of one timer.

They come due in the order in which they began, so a queue is enough. A deadline may be late by an eighth of its
duration, at most by a second; none is early.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Timeout:
    """One deadline. `cancel` it when what it guards has happened; it may then be forgotten."""

    __slots__ = ("at", "callback")

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Call nobody."""
        self.callback = None


class Timeouts:
    """All deadlines of `seconds` from their beginning."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self.seconds = seconds
        self._queue: deque[Timeout] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, callback: Callable[[], None]) -> Timeout:
        """Call back after `seconds`, unless it is cancelled."""
        timeout = Timeout(self._loop.time() + self.seconds, callback)
        self._queue.append(timeout)
        if self._timer is None:
            self._wait(self.seconds)
        return timeout

    def _wait(self, seconds: float) -> None:
        # Deadlines that follow each other closely are looked at together.
        grain = min(self.seconds / 8, 1.0)
        self._timer = self._loop.call_later(seconds + grain, self._look)

    def _look(self) -> None:
        # The timer is over, and yet not None: what a callback begins must not start one of its own.
        now = self._loop.time()
        queue = self._queue
        try:
            while queue and (queue[0].callback is None or queue[0].at <= now):
                callback = queue.popleft().callback
                if callback:
                    callback()
        finally:  # whatever one of them does, the others have their time
            self._timer = None
            if queue:
                self._wait(max(queue[0].at - now, 0.0))

    def close(self) -> None:
        """Forget all of them."""
        self._queue.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

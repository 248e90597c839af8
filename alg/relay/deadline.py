"""`Deadline`: one moment by which something of a flow must have happened, moved again and again for the price of one timer.

For many deadlines of one and the same duration there is `timeouts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def _nobody() -> None:
    """Nobody waits any more."""


class Deadline:
    """Calls `on_passed` once its moment has come, unless it is set anew before."""

    __slots__ = ("_at", "_loop", "_on_passed", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_passed: Callable[[], None]) -> None:
        self._loop = loop
        self._on_passed = on_passed
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float | None) -> None:
        """In so many seconds from now; None: never."""
        self._at = None
        if seconds is None:
            return  # the timer finds nothing to do, if it is not needed again before
        at = self._at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if (left := self._at - self._loop.time()) > 0:
            self._timer = self._loop.call_later(left, self._look)
            return
        self._at = None
        self._on_passed()

    def close(self) -> None:
        """Call nobody any more, and know nobody: no circle is left for the collector."""
        self._at = None
        self._on_passed = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

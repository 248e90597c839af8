"""`Alarm`: one moment by which something must have happened, by mitmproxy's wake-up calls: these cannot be taken back."""

from __future__ import annotations

import heapq

from alg.mitm import compat
from alg.mitm.compat import commands
from alg.mitm.tunnels import Commands


class Alarm:
    """Asks for a call only where none will come before: mitmproxy keeps a task for each until the connection ends."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._calls: list[float] = []
        """When calls will come; a heap."""

    def set(self, seconds: float | None, now: float) -> Commands:
        """In so many seconds, and no more at any moment before; None: at none."""
        self._at = None if seconds is None else now + seconds
        yield from self._ask(now)

    def _ask(self, now: float) -> Commands:
        if self._at is not None and (not self._calls or self._at < self._calls[0]):
            heapq.heappush(self._calls, self._at)
            yield commands.RequestWakeup(max(0.0, self._at - now))

    def called(self, now: float) -> compat.Asking[bool]:
        """A call has come: return whether the moment has."""
        heapq.heappop(self._calls)  # they come in their order
        if self._at is None or now < self._at:
            yield from self._ask(now)
            return False
        self._at = None
        return True

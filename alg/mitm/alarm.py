"""`Alarm`: one moment by which something must have happened, by mitmproxy's wake-up calls: these cannot be taken back."""

from __future__ import annotations

from alg.mitm import compat
from alg.mitm.compat import commands
from alg.mitm.tunnels import Commands


class Alarm:
    """Asks for a call only where none will come before: mitmproxy keeps a task for each until the connection ends."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._calls: dict[commands.RequestWakeup, float] = {}
        """Those that were asked for, and when they will come."""

    def set(self, seconds: float | None, now: float) -> Commands:
        """In so many seconds, and no more at any moment before; None: at none."""
        self._at = None if seconds is None else now + seconds
        yield from self._ask(now)

    def _ask(self, now: float) -> Commands:
        if self._at is not None and self._at < min(self._calls.values(), default=float("inf")):
            call = commands.RequestWakeup(max(0.0, self._at - now))
            self._calls[call] = self._at
            yield call

    def called(self, call: commands.RequestWakeup, now: float) -> compat.Asking[bool]:
        """A call has come, perhaps somebody else's: return whether the moment has."""
        if self._calls.pop(call, None) is None:
            return False
        if self._at is None or now < self._at:
            yield from self._ask(now)
            return False
        self._at = None
        return True

"""A rate limit as a value of its own: a token bucket that is told the time."""

from __future__ import annotations


class RateLimit:
    """At most `per_second` admissions a second on average, with bursts of up to `burst`."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, *, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def admit(self, now: float) -> bool:
        """Whether one more may pass at that time, in seconds of a monotonic clock; if so it is counted."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

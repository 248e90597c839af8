"""`Tally`: what anybody can have us say again and again, said once a second; the others are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alg.core.binding import Field
from alg.relay.records import record


class Tally:
    """Records of one kind: a flood of what they tell of must not become a flood of records."""

    __slots__ = ("_clock", "_count", "_last", "_reason")

    def __init__(self, reason: str, clock: Callable[[], float]) -> None:
        self._reason = reason
        self._clock = clock
        self._last = float("-inf")
        self._count = 0

    def tell(self, message: str, protocol: str, fields: Mapping[str, Field] | None = None) -> None:
        """It happened once more."""
        self._count += 1
        now = self._clock()
        if now - self._last >= 1.0:
            more = f" ({self._count} since the last such record)" if self._count > 1 else ""
            record(self._reason, f"{message}{more}", protocol=protocol, fields={**(fields or {}), "count": self._count})
            self._last, self._count = now, 0

"""`Tallies`: what anybody can have us say again and again, said once a second for each reason; the others are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alg.core.binding import Field
from alg.core.rate import RateLimit
from alg.relay.records import record

RECORDS_PER_SECOND = 200
"""How many records flows of datagrams may have of their own, in all; what is more is counted."""
_REASONS = 64
"""How many reasons are told apart."""


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


class Tallies:
    """Those of all flows of datagrams, and how many records of their own flows may have."""

    __slots__ = ("_by_reason", "_clock", "_own")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_reason: dict[str, Tally] = {}
        self._own = RateLimit(RECORDS_PER_SECOND, burst=RECORDS_PER_SECOND)

    def tell(self, reason: str, message: str, protocol: str, fields: Mapping[str, Field] | None = None) -> None:
        """Record what has to do with somebody who may be made up."""
        if reason not in self._by_reason and len(self._by_reason) < _REASONS:
            self._by_reason[reason] = Tally(reason, self._clock)
        if reason in self._by_reason:
            self._by_reason[reason].tell(message, protocol, fields)

    def may_record(self) -> bool:
        """Whether a flow may have a record of its own now."""
        return self._own.admit(self._clock())

"""`Outcomes`: who is to be told what came of the flows through a binding, and for how long that has to be remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from alg.core.model import Outcome
from alg.core.session import Lease, Session

OnEnd: TypeAlias = Callable[[Outcome], None]
"""What is called when a related flow is over."""


class Outcomes:
    """The bindings whose flows somebody asked about, by number. One is forgotten with the last flow through it."""

    __slots__ = ("_session", "_watched")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._watched: dict[int, _Watched] = {}

    def watch(self, lease: Lease, on_end: OnEnd) -> None:
        """Have `on_end` called for each flow through this lease."""
        # A lease that expired, or was given back, goes without a word; so look for those here, where a new one comes.
        for number in [number for number, each in self._watched.items() if self._is_over(each)]:
            del self._watched[number]
        self._watched[lease.number] = _Watched(lease, on_end)

    def forget(self, number: int) -> None:
        """There never was a listener."""
        self._watched.pop(number, None)

    def count(self, number: int) -> OnEnd | None:
        """One flow through that binding is over, or will never be; return who is to be told, if anybody."""
        watched = self._watched.get(number)
        if watched is None:
            return None
        watched.over += 1
        if self._is_over(watched):
            del self._watched[number]
        return watched.on_end

    def _is_over(self, watched: _Watched) -> bool:
        """Whether no flow can come any more, and none is under way."""
        lease = watched.lease
        return watched.over >= lease.flows and self._session.find(lease.number) is None

    def __len__(self) -> int:
        return len(self._watched)


class _Watched:
    __slots__ = ("lease", "on_end", "over")

    def __init__(self, lease: Lease, on_end: OnEnd) -> None:
        self.lease = lease
        self.on_end = on_end
        self.over = 0

"""What the relay can afford: descriptors above all. Counted before it is spent, so that no session stays half-built."""

from __future__ import annotations

import contextlib
import resource
from collections import Counter

from alg.core.addresses import Address
from alg.core.errors import BindError
from alg.settings import Limits

SESSION_DESCRIPTORS = 2
"""Both legs of the master flow."""
RELATED_DESCRIPTORS = 2
"""Both legs of a related flow; its listener is closed when the first is accepted."""
_SESSION_SHARE = 3
"""What admission counts for a session whose plugin opens related flows: its own legs, and half a related flow. So at
least a third of the descriptors is left for related flows; who finds none is refused in the protocol (FTP 425)."""

_PIPES_PART = 8
"""An eighth of the descriptors is for pipes (two each)."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open descriptors to the hard one; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft


class Budget:
    """Counts sessions and descriptors against the limits."""

    def __init__(self, limits: Limits, descriptors: int) -> None:
        self._limits = limits
        available = max(0, descriptors - limits.reserved_descriptors)
        self.pipes = available // (2 * _PIPES_PART)
        """How many pipes there may be; without one, bulk is copied."""
        self.descriptors = available - 2 * self.pipes
        """How many descriptors sessions may have."""
        self.used = 0
        """Descriptors that are spent or promised."""
        self._shares = 0
        self.sessions = 0
        self._by_client: Counter[Address] = Counter()

    def admit(self, client: Address, *, related_flows: bool) -> int:
        """Take what a new session needs; return its share, to be given back by `leave`.

        Raises:
            BindError: a limit is reached (`too_many_sessions`, `too_many_sessions_of_client`, `no_descriptors`).
        """
        share = _SESSION_SHARE if related_flows else SESSION_DESCRIPTORS
        if self.sessions >= self._limits.sessions:
            raise BindError(f"{self.sessions} sessions are open, the limit", reason="too_many_sessions")
        if self._by_client[client] >= self._limits.sessions_per_client:
            raise BindError(
                f"{client} has {self._by_client[client]} sessions open, the limit", reason="too_many_sessions_of_client"
            )
        if self._shares + share > self.descriptors or self.used + SESSION_DESCRIPTORS > self.descriptors:
            raise BindError(
                f"{self.sessions} sessions are open, all that {self.descriptors} descriptors are enough for",
                reason="no_descriptors",
            )
        self._shares += share
        self.used += SESSION_DESCRIPTORS
        self.sessions += 1
        self._by_client[client] += 1
        return share

    def leave(self, client: Address, share: int) -> None:
        """Give back what `admit` took."""
        self._shares -= share
        self.used -= SESSION_DESCRIPTORS
        self.sessions -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    def take_related(self) -> None:
        """Take the descriptors of a related flow.

        Raises:
            BindError: there are none (`no_descriptors`).
        """
        if self.used + RELATED_DESCRIPTORS > self.descriptors:
            raise BindError("no descriptors are left for a data connection", reason="no_descriptors")
        self.used += RELATED_DESCRIPTORS

    def take_descriptor(self) -> None:
        """Take one descriptor: a flow of datagrams has one, since its client's side has none of its own.

        Raises:
            BindError: there is none (`no_descriptors`).
        """
        if self.used + 1 > self.descriptors:
            raise BindError("no descriptor is left", reason="no_descriptors")
        self.used += 1

    def give_descriptor(self) -> None:
        """Give it back."""
        self.used -= 1

    def give_related(self) -> None:
        """Give them back."""
        self.used -= RELATED_DESCRIPTORS

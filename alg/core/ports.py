"""The pool of ports for dynamic listeners: hard to guess, late to return, never the same twice at once.

Port 0 is not used for them: it never picks a port in TIME_WAIT and starves under load. The pool walks its range as a
random permutation, anew in each round (RFC 2577 section 6 asks for ports that cannot be guessed).
"""

from __future__ import annotations

from collections.abc import Callable

from alg.core.model import PortRange

_DRAWS = 64
"""How many ports are looked at for consecutive ones."""


class PortPool:
    """The ports of one range at one local address.

    `below(n)` must draw a number from 0 to n - 1 from a cryptographic source.
    """

    __slots__ = ("_below", "_rest", "_returned", "_taken", "ports")

    def __init__(self, ports: PortRange, below: Callable[[int], int]) -> None:
        self.ports = ports
        self._below = below
        self._rest: list[int] = []
        self._returned = list(range(ports.low, ports.high + 1))
        self._taken: set[int] = set()

    def take(self) -> int | None:
        """Take a port out of the pool; None when all are taken."""
        if not self._rest:
            self._rest, self._returned = self._returned, []
        if not self._rest:
            return None
        # A step of Fisher and Yates: shuffled as far as it is used.
        drawn = self._below(len(self._rest))
        port, self._rest[drawn] = self._rest[drawn], self._rest[-1]
        self._rest.pop()
        self._taken.add(port)
        return port

    def take_span(self, span: int) -> int | None:
        """Take that many consecutive ports out of the pool, and return the first, which is even; None if none are found."""
        tried: list[int] = []
        first = None
        while first is None and len(tried) < _DRAWS and (port := self.take()) is not None:
            tried.append(port)
            wanted = range(port & ~1, (port & ~1) + span)
            others = [each for each in wanted if each != port]
            if wanted[0] >= self.ports.low and wanted[-1] <= self.ports.high and self._taken.isdisjoint(others):
                first = wanted[0]
                tried.pop()
                self._rest = [each for each in self._rest if each not in others]
                self._returned = [each for each in self._returned if each not in others]
                self._taken.update(others)
        for port in tried:
            self.give_back(port)
        return first

    def give_back(self, port: int) -> None:
        """Put a taken port back; it comes up again in the next round at the earliest."""
        self._taken.remove(port)
        self._returned.append(port)

    @property
    def taken(self) -> int:
        """How many ports are taken."""
        return len(self._taken)

"""The pool of ports for dynamic listeners: hard to guess, late to return, never the same twice at once.

Port 0 is not used for them: it never picks a port in TIME_WAIT and starves under load. The pool walks its range as a
random permutation, anew in each round (RFC 2577 section 6 asks for ports that cannot be guessed).
"""

from __future__ import annotations

from collections.abc import Callable

from alg.core.model import PortRange


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

    def give_back(self, port: int) -> None:
        """Put a taken port back; it comes up again in the next round at the earliest."""
        self._taken.remove(port)
        self._returned.append(port)

    @property
    def taken(self) -> int:
        """How many ports are taken."""
        return len(self._taken)

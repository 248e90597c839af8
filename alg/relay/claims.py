"""`Claims`: related flows that come to us of themselves, because their client reaches everybody through us. They need no listener
and no other endpoint than the announced one: whoever comes for that is claimed by the lease that expects it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alg.core.addresses import Address
from alg.core.model import Endpoint, Side

if TYPE_CHECKING:
    from alg.relay.visitor import Visitor


class Claims:
    """What the sessions of one relay expect, by the endpoint that was announced."""

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        self._expected: dict[Endpoint, list[Claim]] = {}

    def find(self, visitor: Visitor, target: Endpoint) -> Claim | None:
        """The claim to that client's connection to that endpoint; the oldest, if several sessions expect one."""
        client, party = visitor.peer.address, visitor.party
        expected = self._expected.get(target, ())
        return next((each for each in expected if client in each.sources and each.party == party), None)

    def add(self, claim: Claim) -> None:
        """Expect one."""
        self._expected.setdefault(claim.advertised, []).append(claim)

    def remove(self, claim: Claim) -> None:
        """Expect it no longer."""
        claims = self._expected[claim.advertised]
        claims.remove(claim)
        if not claims:
            del self._expected[claim.advertised]


class Claim:
    """What one lease waits for; to it, this is what a listener of its own is elsewhere."""

    __slots__ = ("_claims", "_on_came", "advertised", "closed", "local", "party", "side", "sources")

    def __init__(
        self,
        claims: Claims,
        target: Endpoint,
        sources: tuple[Address, ...],
        party: object,
        on_came: Callable[[Claim, Visitor], None],
    ) -> None:
        """Whoever of `sources` comes for `target` is handed to `on_came`, if it is that party."""
        self._claims = claims
        self._on_came = on_came
        self.side = Side.CLIENT
        self.advertised = self.local = target
        """What is told of it, and where it is: with the server itself."""
        self.sources = sources
        self.party = party
        self.closed = False
        """Whether it waits no more."""
        claims.add(self)

    def take(self, visitor: Visitor) -> None:
        """Somebody came for it."""
        self._on_came(self, visitor)

    def close(self) -> None:
        """Wait no more. The second time nothing happens."""
        if not self.closed:
            self.closed = True
            self._claims.remove(self)

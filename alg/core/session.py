"""A session and its leases: what one client conversation may have us listen for, and who may come through.

Pure accounts: hosts own the sockets and the clock (`now` is an argument, in seconds of a monotonic clock).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from alg.core.addresses import Address, canonical
from alg.core.errors import BindError, PolicyError
from alg.core.model import Accept, Connect, Endpoint, Expectation, Leg, Side
from alg.core.policy import Gate, TargetRules
from alg.core.shared import SharedLeases

_STRICT = TargetRules()


class Lease:
    """A dynamic listener on loan: its owner, who may use it, how often, and until when.

    There may be a listener on either side, or on both; each counts for itself. Where both legs are dialled there is
    none, and the lease is what the dials are counted by.
    """

    __slots__ = ("_came", "deadline", "dialled", "expectation", "is_there", "number", "sources")

    def __init__(
        self,
        number: int,
        expectation: Expectation,
        sources: Mapping[Side, tuple[Address, ...]],
        *,
        is_there: bool = False,
    ) -> None:
        self.number = number
        self.expectation = expectation
        self.sources = sources
        """Who may come, for each side on which we accept."""
        self.is_there = is_there
        """Whether the target is a listener of ours already, that the client asked for (SOCKS BIND): it may be advertised as it
        is, and who comes belongs to another session."""
        self._came = dict.fromkeys(sources, 0)
        self.deadline: float | None = None
        self.dialled = False
        """Whether both legs were dialled."""

    def start(self, now: float) -> None:
        """The listeners are open: from here the lifetime runs."""
        self.deadline = now + self.expectation.lifetime

    def admit(self, side: Side, peer: Address, now: float) -> None:
        """Let one flow from this peer through, or refuse it without using the lease up.

        Raises:
            PolicyError: `wrong_peer`, `lease_expired` or `lease_used`.
        """
        if canonical(peer) not in self.sources[side]:
            expected = ", ".join(str(source) for source in self.sources[side])
            raise PolicyError(f"{peer} came where {expected} is expected", reason="wrong_peer")
        if self.deadline is not None and now >= self.deadline:
            raise PolicyError(f"{peer} came after the lease had ended", reason="lease_expired")
        if self.used_up(side):
            raise PolicyError(f"{peer} came again, the lease is used up", reason="lease_used")
        self._came[side] += 1

    def take_back(self, side: Side) -> None:
        """The flow that was let through last from that side has not begun."""
        self._came[side] -= 1

    def used_up(self, side: Side) -> bool:
        """Whether no further flow may come from that side."""
        limit = self.expectation.limit
        return limit is not None and self._came[side] >= limit * self.expectation.span

    @property
    def flows(self) -> int:
        """How many flows have begun: who came first counts, whether the other leg followed or not."""
        return max(self._came.values(), default=int(self.dialled))


class Session:
    """Everything one client conversation caused (RFC 2663: session bundle), as far as the rules need to know it."""

    __slots__ = ("_client", "_gate", "_leases", "_next", "number", "party", "shared", "targets")

    def __init__(
        self,
        number: int,
        client: Address,
        gate: Gate,
        targets: Mapping[Side, TargetRules] | None = None,
        shared: SharedLeases | None = None,
        party: object = None,
    ) -> None:
        """`targets` says where each side may have us connect; a side that is left out gets the strict default.

        `party` is who the client is besides its address: several may have the same one.

        `shared` are the leases of the session's route; None: its host has no listeners to share.
        """
        self.number = number
        self._client = canonical(client)
        self.party = party
        self._gate = gate
        self.targets = dict(targets or {})
        """Where each side may have us connect."""
        self.shared = shared
        self._leases: dict[int, Lease] = {}
        self._next = 1

    def lease(self, expectation: Expectation, legs: Mapping[Side, Leg]) -> Lease:
        """Judge an expectation and take a lease for it; the host opens the listener.

        `legs` are those of the flow that announced it. Every target is judged against the leg of the side on which it
        lies: that leg's peer is the only one who may name it. One that is shared is judged, and counted with its route.

        Raises:
            PolicyError: a target is refused by the rules.
            BindError: too many leases are pending.
        """
        is_there = False
        for side in Side:
            plan = expectation.plan(side)
            if not isinstance(plan, Connect):
                continue
            if side is Side.CLIENT and self._is_lent(plan.target, expectation, legs):
                is_there = True
            else:
                self._gate.judge_target(plan.target, legs[side], self.targets.get(side, _STRICT))
        if (longest := self._gate.limits.lifetime) is not None and expectation.lifetime > longest:
            expectation = replace(expectation, lifetime=longest)
        lease = Lease(self._next, expectation, self.sources(expectation, legs), is_there=is_there)
        self._next += 1
        if expectation.shared:
            if self.shared is None:
                raise BindError("there are no shared listeners in this host", reason="no_listener")
            return lease
        if len(self._leases) >= self._gate.limits.per_session:
            raise BindError(
                f"{len(self._leases)} leases are pending in this session, the limit", reason="too_many_leases"
            )
        self._gate.count_lease(self._client)
        self._leases[lease.number] = lease
        return lease

    @staticmethod
    def sources(expectation: Expectation, legs: Mapping[Side, Leg]) -> dict[Side, tuple[Address, ...]]:
        """Who may come, for each side on which we accept: who is named, or else that leg's peer."""
        sources = {}
        for side in Side:
            plan = expectation.plan(side)
            if isinstance(plan, Accept):
                sources[side] = tuple(map(canonical, plan.sources)) or (legs[side].peer.address,)
        return sources

    def _is_lent(self, target: Endpoint, expectation: Expectation, legs: Mapping[Side, Leg]) -> bool:
        """Whether the client itself has us listen there for this server."""
        server = expectation.server
        opens = isinstance(server, Accept) and not server.sources and Side.SERVER in legs
        return opens and self._gate.is_lent(target, self._client, self.party, legs[Side.SERVER].peer.address)

    def find(self, number: int) -> Lease | None:
        """The pending lease of that number, if it is still pending."""
        return self._leases.get(number)

    def release(self, number: int) -> bool:
        """Give a lease back; return whether it was pending. To be called once its listener is closed."""
        if self._leases.pop(number, None) is None:
            return False
        self._gate.uncount_lease(self._client)
        return True

    def close(self) -> None:
        """The session ends, and all its leases with it."""
        for number in list(self._leases):
            self.release(number)

    @property
    def pending(self) -> tuple[Lease, ...]:
        """The leases that are pending, oldest first."""
        return tuple(self._leases.values())

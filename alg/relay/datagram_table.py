"""`DatagramTable`: how many flows of datagrams there may be, and which one makes place for another. Accounts only.

Anybody can begin a flow, under forged addresses too; so none is refused, and what is worth least goes. A flow is *assured*
once the client has spoken after the server's first answer; flows that are not go first. Who forges addresses can speak twice, too,
which only makes it dearer for him: nothing in UDP itself proves who speaks.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from alg.core.addresses import Address

F = TypeVar("F")


class _Tier(Generic[F]):
    """Flows of one worth: of each client, the one that was silent longest first; the busiest client found in one step."""

    __slots__ = ("_by_client", "_by_count", "_most", "count")

    def __init__(self) -> None:
        self._by_client: dict[Address, dict[F, None]] = {}
        self._by_count: dict[int, dict[Address, None]] = {}
        """The clients that have so many flows, who has had that for longest first."""
        self._most = 0
        self.count = 0

    def add(self, client: Address, flow: F) -> None:
        flows = self._by_client.setdefault(client, {})
        flows[flow] = None
        self.count += 1
        self._recount(client, len(flows) - 1, len(flows))

    def remove(self, client: Address, flow: F) -> None:
        flows = self._by_client[client]
        del flows[flow]
        self.count -= 1
        self._recount(client, len(flows) + 1, len(flows))
        if not flows:
            del self._by_client[client]

    def _recount(self, client: Address, before: int, after: int) -> None:
        if before:
            clients = self._by_count[before]
            del clients[client]
            if not clients:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[client] = None
        if after > self._most or self._most not in self._by_count:
            self._most = after  # counts change by one, so nobody else can have more

    def touch(self, client: Address, flow: F) -> None:
        flows = self._by_client[client]
        del flows[flow]
        flows[flow] = None

    def oldest_of(self, client: Address) -> F | None:
        return next(iter(self._by_client.get(client, ())), None)

    def oldest_of_busiest(self) -> F:
        return next(iter(self._by_client[next(iter(self._by_count[self._most]))]))

    def count_of(self, client: Address) -> int:
        return len(self._by_client.get(client, ()))


class DatagramTable(Generic[F]):
    """The flows of all routes, by the client's address and by worth."""

    __slots__ = ("_in_all", "_per_client", "_tiers")

    def __init__(self, in_all: int, per_client: int) -> None:
        self._in_all = max(1, in_all)
        self._per_client = per_client
        self._tiers: dict[bool, _Tier[F]] = {False: _Tier(), True: _Tier()}

    def __len__(self) -> int:
        return self._tiers[False].count + self._tiers[True].count

    def victim(self, client: Address) -> F | None:
        """Which flow must go before that client gets another one; None: there is room.

        At its own limit a client loses a flow of its own, so nobody else is disturbed. At the limit in all, the client
        with the most flows that are not assured loses one; or with the most that are, if these fill three quarters: else
        whoever has many assured ones would keep all others out.
        """
        fresh, assured = self._tiers[False], self._tiers[True]
        if fresh.count_of(client) + assured.count_of(client) >= self._per_client:
            return fresh.oldest_of(client) or assured.oldest_of(client)
        return self.least() if len(self) >= self._in_all else None

    def least(self) -> F | None:
        """The flow that is worth least; None: there is none."""
        fresh, assured = self._tiers[False], self._tiers[True]
        if assured.count and (not fresh.count or assured.count * 4 >= self._in_all * 3):
            return assured.oldest_of_busiest()
        return fresh.oldest_of_busiest() if fresh.count else None

    def add(self, client: Address, flow: F) -> None:
        """A flow has begun."""
        self._tiers[False].add(client, flow)

    def touch(self, client: Address, flow: F, *, assured: bool) -> None:
        """A flow has carried a datagram."""
        self._tiers[assured].touch(client, flow)

    def assure(self, client: Address, flow: F) -> None:
        """A flow has proved that its client is where it says."""
        self._tiers[False].remove(client, flow)
        self._tiers[True].add(client, flow)

    def remove(self, client: Address, flow: F, *, assured: bool) -> None:
        """A flow is over."""
        self._tiers[assured].remove(client, flow)

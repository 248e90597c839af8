"""`SharedLeases`: the listeners that all sessions of a route share: where each leads, who was told of it, and until when.

Pure accounts, as in `session`: hosts own the sockets and the clock. What comes through a shared listener is a session of
its own, with the target as its upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from alg.core.addresses import Address, canonical
from alg.core.errors import BindError, PolicyError
from alg.core.model import Accept, Connect, Endpoint, Expectation, Leg, Side

OF_A_CLIENT = 16
"""Shared leases that one client may be told of at least; it is a quarter of all that there may be, where that is more."""
CLIENTS = 4096
"""Addresses that may be let through one shared listener at a time."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """What makes two expectations one: the same way in, to the same target."""

    local: Address
    """Our address toward those who come."""
    target: Connect
    tls: bool
    """Whether those who come speak TLS."""
    plugin: str | None


class SharedLease:
    """A listener on loan to all who were told of it. It lasts for `lifetime` seconds after it was last told or used."""

    __slots__ = ("_until", "endpoint", "expectation", "key")

    def __init__(self, key: SharedKey, expectation: Expectation) -> None:
        self.key = key
        self.expectation = expectation
        self.endpoint: Endpoint | None = None
        """What is advertised, once it listens."""
        self._until: dict[Address, float] = {}

    @property
    def description(self) -> str:
        """What leads where, while it listens."""
        return self.expectation.describe({Side.CLIENT: self.endpoint} if self.endpoint else {})

    def tell(self, client: Address, now: float) -> None:
        """This client is told of it, and may come from here on.

        Raises:
            BindError: too many may come already.
        """
        if len(self._until) >= CLIENTS and canonical(client) not in self._until:
            self._until = {each: until for each, until in self._until.items() if until > now}
            if len(self._until) >= CLIENTS:
                raise BindError(f"{CLIENTS} clients may come already, the limit", reason="too_many_leases")
        self._until[canonical(client)] = now + self.expectation.lifetime

    def knows(self, client: Address, now: float) -> bool:
        """Whether this client may come."""
        return self._until.get(canonical(client), now) > now

    def admit(self, peer: Address, now: float) -> None:
        """Let somebody through, or refuse it.

        Raises:
            PolicyError: `wrong_peer` (it was never told) or `lease_expired`.
        """
        until = self._until.get(canonical(peer))
        if until is None:
            raise PolicyError(f"{peer} came, and was never told to", reason="wrong_peer")
        if now >= until:
            raise PolicyError(f"{peer} came after the lease had ended", reason="lease_expired")
        self.tell(peer, now)

    @property
    def deadline(self) -> float:
        """When the last who was told may come no more."""
        return max(self._until.values(), default=0.0)


class SharedLeases:
    """The shared leases of one route: at most `limit`, of which one client cannot use up all."""

    __slots__ = ("_by_endpoint", "_leases", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._leases: dict[SharedKey, SharedLease] = {}
        self._by_endpoint: dict[Endpoint, SharedLease] = {}

    def obtain(
        self, expectation: Expectation, leg: Leg, now: float, listen: Callable[[SharedLease], Endpoint]
    ) -> Endpoint:
        """What to advertise for an expectation, told to the client of that leg, who may come from here on.

        Where nobody has expected the same yet, `listen` opens the listener of the new lease.

        Raises:
            BindError: there are too many leases, or clients of this one; or `listen` failed.
        """
        accept, connect = expectation.client, expectation.server
        assert isinstance(accept, Accept) and isinstance(connect, Connect), "only clients come to what is shared"
        key = SharedKey(leg.local.address, connect, accept.tls, expectation.plugin)
        lease = self._leases.get(key)
        if lease is None:
            self._make_room(leg.peer.address, now)
            lease = self._open(SharedLease(key, expectation), listen)
        for source in accept.sources or (leg.peer.address,):
            lease.tell(source, now)
        assert lease.endpoint is not None, "it listens"
        return lease.endpoint

    def _make_room(self, client: Address, now: float) -> None:
        """Refuse one more where there are enough, in all or of this client."""
        if len(self._leases) >= self._limit:
            raise BindError(f"{len(self._leases)} shared leases are open, the limit", reason="too_many_leases")
        told = sum(lease.knows(client, now) for lease in self)
        if told >= max(OF_A_CLIENT, self._limit // 4):
            raise BindError(
                f"{client} was told of {told} shared leases, the limit of one client", reason="too_many_leases"
            )

    def _open(self, lease: SharedLease, listen: Callable[[SharedLease], Endpoint]) -> SharedLease:
        lease.endpoint = listen(lease)
        self._leases[lease.key] = lease
        self._by_endpoint[lease.endpoint] = lease  # one, where two addresses of ours are advertised as one and the same
        return lease

    def expire(self, now: float) -> None:
        """Close those to which nobody may come any more; for hosts whose listeners do not look after themselves."""
        for lease in self:
            if now >= lease.deadline:
                self.close(lease)

    def close(self, lease: SharedLease) -> None:
        """It listens no more."""
        self._leases.pop(lease.key, None)
        if lease.endpoint is not None and self._by_endpoint.get(lease.endpoint) is lease:
            del self._by_endpoint[lease.endpoint]

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """Where the listener that is advertised as this endpoint leads; None if there is none."""
        lease = self._by_endpoint.get(endpoint)
        return lease.key.target if lease else None

    def __iter__(self) -> Iterator[SharedLease]:
        return iter(list(self._leases.values()))

    def __len__(self) -> int:
        return len(self._leases)

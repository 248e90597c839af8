"""`SharedLeases`: the listeners that all sessions of a route share: where each leads, who was told of it, and until when.

Pure accounts, as in `session`: hosts own the sockets and the clock. What comes through a shared listener is a session of
its own, with the target as its upstream.
"""

from __future__ import annotations

from dataclasses import dataclass

from alg.core.addresses import Address, canonical
from alg.core.errors import BindError, PolicyError
from alg.core.model import Connect, Endpoint, Expectation

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
    """The shared leases of one route; at most `limit`."""

    __slots__ = ("_by_endpoint", "_leases", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._leases: dict[SharedKey, SharedLease] = {}
        self._by_endpoint: dict[Endpoint, SharedLease] = {}

    def find(self, key: SharedKey) -> SharedLease | None:
        """The lease for this way in and this target."""
        return self._leases.get(key)

    def begin(self, key: SharedKey, expectation: Expectation) -> SharedLease:
        """A new lease; the host listens for it, then calls `opened`.

        Raises:
            BindError: there are too many.
        """
        if len(self._leases) >= self._limit:
            raise BindError(f"{len(self._leases)} shared leases are open, the limit", reason="too_many_leases")
        return SharedLease(key, expectation)

    def opened(self, lease: SharedLease, endpoint: Endpoint) -> None:
        """It listens, and `endpoint` is what to advertise."""
        lease.endpoint = endpoint
        self._leases[lease.key] = lease
        self._by_endpoint[endpoint] = lease

    def close(self, lease: SharedLease) -> None:
        """It listens no more."""
        self._leases.pop(lease.key, None)
        if lease.endpoint is not None:
            self._by_endpoint.pop(lease.endpoint, None)

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """Where the listener that is advertised as this endpoint leads; None if there is none."""
        lease = self._by_endpoint.get(endpoint)
        return lease.key.target if lease else None

    def __len__(self) -> int:
        return len(self._leases)

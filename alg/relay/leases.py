"""`Leases`: the leases of one session with their sockets, by the numbers of their bindings. None outlives the session."""

from __future__ import annotations

from alg.core.errors import BindError
from alg.core.events import BindingOpened, CommandFailed, Event
from alg.core.model import Side, Transport
from alg.core.session import Lease
from alg.relay.datagram_lease import DatagramLease, make_datagram_lease
from alg.relay.flow import RelayedFlow
from alg.relay.lease import RelayedLease
from alg.relay.owner import LeaseOwner


class Leases:
    """What a session listens for."""

    __slots__ = ("_open", "_session")

    def __init__(self, session: LeaseOwner) -> None:
        self._session = session
        self._open: dict[int, RelayedLease | DatagramLease] = {}

    def open(self, number: int, flow: RelayedFlow) -> Event:
        """Listen for the lease of that number, which that flow asked for; return the answer to it."""
        lease = self._session.core.find(number)
        assert lease is not None, "the machine takes the lease before it asks for the listener"
        if lease.is_there:
            return BindingOpened(number, {Side.SERVER: lease.expectation.targets[0]})
        try:
            self._open[number] = opened = self._lease(lease, flow)
        except BindError as error:
            return CommandFailed(number, error)
        return BindingOpened(number, opened.endpoints)

    def _lease(self, lease: Lease, flow: RelayedFlow) -> RelayedLease | DatagramLease:
        if lease.expectation.transport is Transport.UDP:
            return make_datagram_lease(self._session, lease, flow.tell, self._open.get)
        return RelayedLease(self._session, lease, flow)

    @property
    def traffic(self) -> int:
        """What was carried over UDP so far."""
        return sum(lease.traffic for lease in self._open.values() if isinstance(lease, DatagramLease))

    def dial(self, number: int) -> None:
        """Dial both legs of a lease that has no listener."""
        if number in self._open:
            self._open[number].dial()

    def close(self, number: int) -> None:
        """Stop listening and give the lease back."""
        lease = self._open.pop(number, None)
        if lease is not None:
            lease.close()
        self._session.core.release(number)

    def close_all(self) -> None:
        """Stop listening for anything."""
        for number in list(self._open):
            self.close(number)

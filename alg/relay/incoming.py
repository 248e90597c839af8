"""`Incoming`: the server's leg of a SOCKS BIND: it is waited for, and not dialled. A lease like any other: who may come, until
when, at which port, counted and recorded.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from alg.core.addresses import Address
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError
from alg.core.model import Accept, Endpoint, Expectation, Leg, Side
from alg.core.session import Lease
from alg.relay import sockets
from alg.relay.lease import LeaseListener
from alg.relay.owner import LeaseOwner
from alg.relay.timeouts import Timeout
from alg.relay.visitor import Visitor

_EARLY = 65536
"""Bytes that a client may say before anybody has come; while it could say more, we see when it leaves."""


class Incoming:
    """One wait. Calls `on_connected` or `on_failed`, once, unless it is cancelled before."""

    __slots__ = ("_lease", "_listener", "_loan", "_on_connected", "_on_failed", "_owner", "_timer", "_visitor")

    def __init__(
        self,
        owner: LeaseOwner,
        visitor: Visitor,
        sources: tuple[Address, ...],
        *,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[AlgError], None],
    ) -> None:
        """`sources` may come, one of them, once; the visitor is told where."""
        self._owner = owner
        self._visitor = visitor
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._lease: Lease | None = None
        self._listener: LeaseListener | None = None
        self._loan: tuple[Endpoint, Address, object, tuple[Address, ...]]
        self._timer: Timeout | None = None
        try:
            self._listen(sources)
        except AlgError as error:
            self.cancel()
            owner.services.loop.call_soon(on_failed, error)  # never from within the constructor

    def _listen(self, sources: tuple[Address, ...]) -> None:
        owner = self._owner
        toward = sockets.source_toward(sources[0])
        if toward is None:
            raise BindError(f"there is no way to {sources[0]}", reason="network_unreachable")
        leg = Leg(Endpoint(toward, 0), Endpoint(sources[0], 0))
        expectation = Expectation(Accept(), Accept(sources))
        self._lease = lease = owner.core.lease(expectation, {**owner.legs, Side.SERVER: leg})
        lease.start(owner.services.loop.time())
        self._timer = owner.services.timeouts(lease.expectation.lifetime).begin(self._expire)
        realm = owner.route.realms[Side.SERVER]
        self._listener = LeaseListener(owner.services, realm, Side.SERVER, leg, self._came, self._trouble)
        told = self._listener.advertised
        self._loan = told, self._visitor.peer.address, self._visitor.party, sources
        owner.services.gate.lend(*self._loan)
        names = ", ".join(map(str, sources))
        words = f"BIND {self._visitor.peer} -> {told} for {names}, once, {lease.expectation.lifetime:g} s"
        owner.write(
            "rewrite", words, {"announced_by": "BIND", "endpoint": told, "sources": names, "lease": lease.number}
        )
        self._visitor.announce(told)
        owner.services.watcher.add_reader(self._visitor.sock.fileno(), self._client_says)

    def _came(self, listener: LeaseListener, sock: socket.socket, peer: Endpoint) -> None:
        assert self._lease is not None, "it listens for it"
        try:
            self._lease.admit(Side.SERVER, peer.address, self._owner.services.loop.time())
        except PolicyError as error:
            sockets.reset(sock)
            fields = {"peer": peer, "listener": listener.local}
            self._owner.write(error.reason, f"at {listener.local}: {error}", fields)
            return
        self.cancel()
        self._visitor.come(peer)
        self._on_connected(sock, peer)

    def _trouble(self, message: str) -> None:
        self._owner.write("accept_failed", message)

    def _client_says(self) -> None:
        """While it waits, a client has little to say; if it hangs up, nobody needs to come any more."""
        try:
            if not self._visitor.hear(_EARLY):
                self._owner.services.watcher.remove_reader(self._visitor.sock.fileno())
        except ConnectError as error:
            self._fail(error)

    def _expire(self) -> None:
        self._fail(ConnectError("nobody came in time", reason="lease_expired"))

    def _fail(self, error: AlgError) -> None:
        self.cancel()
        self._on_failed(error)

    def cancel(self) -> None:
        """Wait no more; nobody is called."""
        if self._timer:
            self._timer.cancel()
        lease, self._lease = self._lease, None
        if self._listener is not None and not self._listener.closed:
            self._listener.close()
            self._owner.services.gate.take_back(*self._loan)
            if self._visitor.sock.fileno() >= 0:
                self._owner.services.watcher.remove_reader(self._visitor.sock.fileno())
        if lease is not None:
            self._owner.core.release(lease.number)

"""`Association`: what a SOCKS5 client says over UDP (RFC 1928 section 7): each datagram names its target, and each target is a flow
of its own. It ends with the connection that asked for it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

from alg.core.doorway import Asked
from alg.core.errors import AlgError, BindError, ConnectError
from alg.core.model import Endpoint, Side, Transport
from alg.core.socks_datagram import format_datagram, parse_datagram
from alg.relay import datagram_sockets as datagrams
from alg.relay.datagram_session import DatagramSession
from alg.relay.datagrams import DatagramSessions
from alg.relay.listener import Listener
from alg.relay.resolution import Resolution
from alg.relay.services import Services
from alg.relay.sockets import endpoint_of
from alg.relay.visitor import Visitor
from alg.settings import Upstream

_WAITING = 16
"""Datagrams that wait for names to be looked up; more are dropped, as they may be on any way."""


class Association:
    """One of them. Calls `on_over` when it is over."""

    __slots__ = (
        *("_client", "_flows", "_heard", "_listener", "_on_over", "_port", "_seen", "_services", "_sessions", "_timer"),
        *("_visitor", "_waiting"),
    )

    def __init__(
        self,
        services: Services,
        sessions: DatagramSessions,
        listener: Listener,
        visitor: Visitor,
        asked: Asked,
        on_over: Callable[[Association], None],
    ) -> None:
        """Take datagrams where the client's connection reaches us, and tell it where that is. Its port counts as a lease.

        Raises:
            BindError: no port is free, or the client has too many leases.
        """
        self._services = services
        self._sessions = sessions
        self._listener = listener
        self._visitor = visitor
        self._on_over = on_over
        self._client = _named(asked, visitor.peer)
        """From where it speaks (T42): as it has said, or else from the first port of its address that says something proper."""
        self._flows: dict[Upstream, DatagramSession] = {}
        self._waiting: dict[Resolution, bytes] = {}
        realm = listener.route.realms[Side.CLIENT]
        services.gate.count_lease(visitor.peer.address)
        try:
            self._port = services.ports.open(realm, visitor.local.address, datagrams.listen)
        except BindError:
            services.gate.uncount_lease(visitor.peer.address)
            raise
        self._heard = self._seen = 0
        self._timer = services.timeouts(services.times.idle).begin(self._look)
        visitor.grant(self._port.advertised)
        services.watcher.add_reader(self._port.sock.fileno(), self._readable)
        services.watcher.add_reader(visitor.sock.fileno(), self._connection_says)

    def _connection_says(self) -> None:
        """The connection has nothing to say any more but its end."""
        try:
            if self._visitor.sock.recv(4096):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close(ConnectError("the client's connection has ended", reason="client_lost"))

    # From the client.

    def _readable(self) -> None:
        for data, sender, _ in datagrams.received(self._port.sock):
            self._take(endpoint_of(sender), bytes(data))

    def _take(self, sender: Endpoint, data: bytes) -> None:
        client = self._client or Endpoint(self._visitor.peer.address, sender.port)
        if sender != client:
            self._sessions.tallies.tell("stranger", f"{sender} sent to the datagrams of {self._visitor.peer}", "socks")
            return
        try:
            host, port, payload = parse_datagram(data)
        except AlgError as error:
            self._sessions.tallies.tell("datagram_refused", f"{self._visitor.peer}: {error}", "socks")
            return
        self._client = client
        self._heard += 1
        wanted = Upstream(host, port)
        session = self._flows.get(wanted)
        if session is not None:
            session.from_client(payload)
        elif len(self._waiting) < _WAITING:
            self._resolve(wanted, payload)

    def _resolve(self, wanted: Upstream, payload: bytes) -> None:
        """Whether it may go there, by the same rules as a connection."""

        def found(targets: Sequence[Endpoint]) -> None:
            if self._waiting.pop(resolution, None) is not None:
                self._begin(wanted, targets[0], payload)

        def failed(error: AlgError) -> None:
            if self._waiting.pop(resolution, None) is not None:
                self._sessions.tallies.tell("datagram_refused", f"{self._visitor.peer} refused: {error}", "socks")

        client = self._visitor.peer.address
        resolution = Resolution(self._services, self._listener.route, wanted, client, on_found=found, on_failed=failed)
        self._waiting[resolution] = payload
        resolution.begin()

    def _begin(self, wanted: Upstream, target: Endpoint, payload: bytes) -> None:
        session = self._flows.get(wanted)
        if session is None:
            arrival = self._listener.toward(wanted, [target], self._port.local, Transport.UDP)
            way = _AssociationWay(self, wanted, target)
            session = self._sessions.begin(arrival.route, way, target, arrival.targets)
        if session is not None:
            self._flows[wanted] = session
            session.from_client(payload)

    # To the client.

    @property
    def client(self) -> Endpoint:
        """Who speaks."""
        assert self._client is not None, "a flow begins with a datagram"
        return self._client

    @property
    def local(self) -> Endpoint:
        """Where it speaks to."""
        return self._port.local

    def answer(self, source: Endpoint, data: bytes | memoryview) -> bool:
        """Bring the client what came from there; return whether it could leave."""
        address = str(self.client.address), self.client.port
        with contextlib.suppress(OSError):
            self._port.sock.sendto(format_datagram(source, bytes(data)), address)
            return True
        return False

    def gone(self, wanted: Upstream, returned: bytes | None) -> None:
        """The flow to there is over; what was returned begins another one."""
        self._flows.pop(wanted, None)
        if returned is not None and self._port.sock.fileno() >= 0:
            self._resolve(wanted, returned)

    # The end.

    def _look(self) -> None:
        """It is idle as a session is: nobody says anything, and no flow lives."""
        if self._heard == self._seen and not self._flows:
            self.close(AlgError(f"idle for {self._services.times.idle:g} s", reason="idle"))
            return
        self._seen = self._heard
        self._timer = self._services.timeouts(self._services.times.idle).begin(self._look)

    def close(self, error: AlgError) -> None:
        """It is over, with all its flows. The second time nothing happens."""
        sock: socket.socket = self._port.sock
        if sock.fileno() < 0:
            return
        watcher = self._services.watcher
        watcher.forget(sock.fileno())
        sock.close()
        self._port.give_back()
        self._timer.cancel()
        self._services.gate.uncount_lease(self._visitor.peer.address)
        watcher.forget(self._visitor.sock.fileno())
        self._visitor.sock.close()
        for resolution in self._waiting:
            resolution.cancel()
        self._waiting.clear()
        for session in list(self._flows.values()):
            session.end(error)
        self._on_over(self)


def _named(asked: Asked, peer: Endpoint) -> Endpoint | None:
    """Where a client has said that its datagrams will come from (RFC 1928 section 4), if that can be: behind a translation it knows
    neither its address nor its port."""
    named = asked.host == str(peer.address) and asked.port
    return Endpoint(peer.address, asked.port) if named else None


class _AssociationWay:
    """How one flow reaches the client of an association."""

    __slots__ = ("_association", "_target", "_wanted", "local", "peer")

    def __init__(self, association: Association, wanted: Upstream, target: Endpoint) -> None:
        self._association = association
        self._wanted = wanted
        self._target = target
        self.peer = association.client
        self.local = association.local

    def answer(self, data: bytes | memoryview) -> bool:
        """Say this to the client."""
        return self._association.answer(self._target, data)

    def gone(self, returned: bytes | None) -> None:
        """The flow is over."""
        self._association.gone(self._wanted, returned)

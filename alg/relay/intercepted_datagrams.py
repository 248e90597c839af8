"""`InterceptingListener`: the listener of a transparent route that has datagrams intercepted as well as connections.

What a client says first arrives at the route's own socket, with whom it was meant for. Answers must leave from there: a
`StandIn` speaks, and from then on listens, at the server's address.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from alg.core.errors import AlgError, BindError
from alg.core.model import Endpoint, Transport
from alg.relay import datagram_sockets as datagrams
from alg.relay.datagram_session import DatagramSession
from alg.relay.datagrams import DatagramSessions
from alg.relay.listener import Listener
from alg.relay.loops import judge_intercepted
from alg.relay.resolution import Resolution
from alg.relay.services import Services
from alg.relay.shared import SharedListener
from alg.relay.sockets import endpoint_of
from alg.settings import Route, Upstream


class InterceptingListener(Listener):
    """The public sockets of one transparent route."""

    def __init__(
        self,
        services: Services,
        route: Route,
        on_accepted: Callable[[Listener | SharedListener, socket.socket, Endpoint], None],
        sessions: DatagramSessions,
    ) -> None:
        """Listen; `start` begins to take what comes.

        Raises:
            ConfigError: a certificate or CA cannot be used.
            OSError: the port is taken, the address is not ours, or permission is missing.
        """
        super().__init__(services, route, on_accepted)
        self.sessions = sessions
        self.closing = False
        self._stand_ins: dict[Endpoint, StandIn] = {}
        try:
            self._datagrams = datagrams.listen(self.local, intercepts=True)
        except OSError:
            self.sock.close()
            raise
        for rule in route.rules:
            if rule.plugin.transport is Transport.UDP:
                sessions.serve(route.treated_by(rule))

    def start(self) -> None:
        """Begin to take connections and datagrams."""
        super().start()
        self._services.watcher.add_reader(self._datagrams.fileno(), self._readable)

    def _readable(self) -> None:
        for data, sender, ancillary in datagrams.received(self._datagrams, told=True):
            target = datagrams.original_destination(ancillary)
            if target is not None:
                stand_in = self._stand_ins.get(target) or StandIn(self, target)
                stand_in.arrived(sender, data)

    def keep(self, stand_in: StandIn) -> None:
        """Somebody speaks to that server."""
        self._stand_ins[stand_in.target] = stand_in

    def drop(self, stand_in: StandIn) -> None:
        """Nobody speaks to it any more."""
        if self._stand_ins.get(stand_in.target) is stand_in:
            del self._stand_ins[stand_in.target]
        self._close_if_over()

    def close(self) -> None:
        """Take no further clients. Those that there are still get their answers."""
        self.closing = True
        super().close()
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self.closing and not self._stand_ins and self._datagrams.fileno() >= 0:
            self._services.watcher.forget(self._datagrams.fileno())
            self._datagrams.close()


class StandIn:
    """Stands for one server: knows who speaks to it, and speaks from its address."""

    __slots__ = ("_flows", "_listener", "_sock", "target")

    def __init__(self, listener: InterceptingListener, target: Endpoint) -> None:
        """No socket is spent on it before the server has answered: whoever comes may be made up."""
        self._listener = listener
        self.target = target
        self._flows: dict[datagrams.SocketAddress, DatagramSession] = {}
        self._sock: socket.socket | None = None

    # From clients.

    def arrived(self, sender: datagrams.SocketAddress, data: memoryview | bytes) -> None:
        """A client said this."""
        if sender not in self._flows and not self._listener.closing:
            self._begin(sender)
        session = self._flows.get(sender)
        if session is not None:
            session.from_client(data)
        else:
            self._close_if_over()

    def _begin(self, sender: datagrams.SocketAddress) -> None:
        """Judge whether the client may speak to the server; it hears nothing if not."""
        listener, target = self._listener, self.target
        sessions, way = listener.sessions, _StandInWay(self, sender)

        def found(targets: Sequence[Endpoint]) -> None:
            arrival = listener.toward(wanted, targets, target, Transport.UDP)
            session = sessions.begin(arrival.route, way, targets[0], arrival.targets)
            if session is not None:
                self._flows[sender] = session
                listener.keep(self)  # only now: to make place, the last flow but this may have ended

        def refused(error: AlgError) -> None:
            sessions.tallies.tell("datagram_refused", f"{way.peer} -> {target} refused: {error}", listener.name)

        wanted = Upstream(str(target.address), target.port)
        try:
            ours = sessions.has_dialled(way.peer, target.address)
            judge_intercepted(sessions.services.gate, way.peer, target, ours=ours)
        except AlgError as error:
            refused(error)
        else:  # an address is judged at once
            client = way.peer.address
            Resolution(sessions.services, listener.route, wanted, client, on_found=found, on_failed=refused).begin()

    def _readable(self) -> None:
        assert self._sock is not None, "it is watched as long as it is open"
        for data, sender, _ in datagrams.received(self._sock):
            self.arrived(sender, data)

    # To clients.

    def answer(self, sender: datagrams.SocketAddress, data: bytes | memoryview) -> bool:
        """Say this to a client, in the server's name; return whether it could leave."""
        try:
            sock = self._sock or self._open()
            sock.sendto(data, sender)
        except BindError as error:
            self._listener.sessions.tallies.tell("datagram_refused", f"{self.target}: {error}", self._listener.name)
            return False
        except OSError:
            return False
        return True

    def _open(self) -> socket.socket:
        """
        Raises:
            BindError: no descriptor is left.
            OSError: another program listens at that port, for all addresses.
        """
        services = self._listener.sessions.services
        services.budget.take_descriptor()
        try:
            self._sock = datagrams.listen(self.target, transparent=True)
        except OSError as error:
            services.budget.give_descriptor()
            words = f"nothing can be said in the name of {self.target}: {os.strerror(error.errno or 0)}"
            self._listener.sessions.tallies.tell("datagram_refused", words, self._listener.name)
            raise
        services.watcher.add_reader(self._sock.fileno(), self._readable)
        return self._sock

    def gone(self, sender: datagrams.SocketAddress, returned: bytes | None) -> None:
        """A flow is over; what was returned begins another one."""
        self._flows.pop(sender, None)
        if returned is not None:
            self.arrived(sender, returned)
        else:
            self._close_if_over()

    def _close_if_over(self) -> None:
        if self._flows:
            return
        if self._sock is not None:
            services = self._listener.sessions.services
            services.watcher.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
            services.budget.give_descriptor()
        self._listener.drop(self)


class _StandInWay:
    """How one client reaches a server for which we stand."""

    __slots__ = ("_sender", "_stand_in", "local", "peer")

    def __init__(self, stand_in: StandIn, sender: datagrams.SocketAddress) -> None:
        self._stand_in = stand_in
        self._sender = sender
        self.peer = endpoint_of(sender)
        self.local = stand_in.target

    def answer(self, data: bytes | memoryview) -> bool:
        """Say this to the client."""
        return self._stand_in.answer(self._sender, data)

    def gone(self, returned: bytes | None) -> None:
        """The flow is over."""
        self._stand_in.gone(self._sender, returned)

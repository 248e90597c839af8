"""`DatagramListener`: where the datagrams of one route's clients arrive, and from where answers to them leave.

It tells whose flow a datagram belongs to, by where it comes from and to which of our addresses it was sent.
"""

from __future__ import annotations

import socket
from typing import TypeAlias

from alg.core.addresses import Address
from alg.core.model import Endpoint
from alg.relay import datagram_sockets as datagrams
from alg.relay.datagram_session import DatagramSession
from alg.relay.datagrams import DatagramSessions
from alg.relay.listener import Listener
from alg.relay.services import Services
from alg.relay.sockets import endpoint_of
from alg.settings import Route

Key: TypeAlias = tuple[datagrams.SocketAddress, Address | None]
"""The client, and to which of our addresses it speaks, where the socket is bound to all."""


def _nobody(*_: object) -> None:
    """Who accepts connections: nobody comes here by one."""


class DatagramListener(Listener):
    """The public socket of one route of datagrams."""

    def __init__(self, services: Services, route: Route, sessions: DatagramSessions) -> None:
        """Listen; `start` begins to take datagrams.

        Raises:
            OSError: the port is taken, the address is not ours, or permission is missing.
        """
        super().__init__(services, route, _nobody)
        self._sessions = sessions
        self._flows: dict[Key, DatagramSession] = {}
        self._on_all = route.listen.address.is_unspecified
        self._closing = False
        sessions.serve(route)

    def _open(self, endpoint: Endpoint) -> socket.socket:
        return datagrams.listen(endpoint)

    def _acceptable(self) -> None:
        for data, sender, ancillary in datagrams.received(self.sock, told=self._on_all):
            to = datagrams.local_address(ancillary) if self._on_all else None
            if to is not None or not self._on_all:  # else we cannot answer as whom it was sent to
                self.arrived((sender, to), data)

    def arrived(self, key: Key, data: memoryview | bytes) -> None:
        """Somebody said this."""
        session = self._flows.get(key)
        if session is None:
            session = self._begin(key)
            if session is None:
                return
        session.from_client(data)

    def _begin(self, key: Key) -> DatagramSession | None:
        if self._closing:
            return None
        sender, to = key
        way = _ListenerWay(self, key, endpoint_of(sender), Endpoint(to, self.local.port) if to else self.local)
        targets = self.upstream_for(way.peer.address)
        session = self._sessions.begin(self.route, way, targets[0], self.targets)
        if session is not None:
            self._flows[key] = session
        return session

    def answer(self, key: Key, data: bytes | memoryview) -> bool:
        """Say this to a client, from the address that it speaks to; return whether it could leave."""
        sender, to = key
        try:
            if to is not None:
                self.sock.sendmsg([data], datagrams.from_address(to), 0, sender)
            else:
                self.sock.sendto(data, sender)
        except OSError:
            return False
        return True

    def gone(self, key: Key, returned: bytes | None) -> None:
        """A flow is over; what was returned begins another one."""
        self._flows.pop(key, None)
        if returned is not None:
            self.arrived(key, returned)
        self._close_if_over()

    def close(self) -> None:
        """Take no further clients. Those that there are still get their answers."""
        self._closing = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._closing and not self._flows:
            super().close()


class _ListenerWay:
    """How one client reaches a listener."""

    __slots__ = ("_key", "_listener", "local", "peer")

    def __init__(self, listener: DatagramListener, key: Key, peer: Endpoint, local: Endpoint) -> None:
        self._listener = listener
        self._key = key
        self.peer = peer
        self.local = local

    def answer(self, data: bytes | memoryview) -> bool:
        """Say this to the client."""
        return self._listener.answer(self._key, data)

    def gone(self, returned: bytes | None) -> None:
        """The flow is over."""
        self._listener.gone(self._key, returned)

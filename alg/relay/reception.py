"""`Reception`: a client of whom it is not known yet for whom it comes (PROXY protocol), or where it wants to go (SOCKS, CONNECT).

It has one deadline, however slowly bytes come; nothing is opened on its behalf before it has said all.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from alg.core.addresses import is_public, within
from alg.core.doorway import Doorway
from alg.core.errors import AlgError, ConnectError, PolicyError, ProtocolError
from alg.core.http_connect import ConnectDoorway
from alg.core.model import Endpoint
from alg.core.proxy_header import ProxyHeaderReader
from alg.core.socks import SocksDoorway
from alg.relay import sockets
from alg.relay.deadline import Deadline
from alg.relay.leg import RECEIVE_SIZE
from alg.relay.services import Services
from alg.relay.timeouts import Timeout
from alg.relay.visitor import Visitor
from alg.settings import Route, Way

HEADER_SECONDS = 3.0
"""For a PROXY protocol header: its sender has it ready before it connects."""

LINGER = 0.5
"""Seconds in which a refused client may read why, before what it said meanwhile would turn the end into a reset."""

_PIECE = 16384


class Reception:
    """One client. Calls `on_ready` with the visitor and the doorway that it asked by (None: it only said who it is), once, or
    else `on_refused`, and `on_gone` when its socket is closed, too."""

    def __init__(
        self,
        services: Services,
        route: Route,
        sock: socket.socket,
        peer: Endpoint,
        on_ready: Callable[[Reception, Visitor, Doorway | None], None],
        on_refused: Callable[[Reception, AlgError], None],
        on_gone: Callable[[Reception], None],
    ) -> None:
        self._services = services
        self._route = route
        self._sock = sock
        self.peer = peer
        """Who comes; who is in front, until it has said for whom."""
        self.came_from = peer.address
        """Whose connection it is."""
        self._local = sockets.endpoint_of(sock.getsockname())
        self._on_ready = on_ready
        self._on_refused = on_refused
        self._on_gone = on_gone
        self._header = ProxyHeaderReader() if within(peer.address, route.proxy_senders) else None
        self._doorway: Doorway | None = None
        self._over = False
        self._linger: Timeout | None = None
        seconds = min(HEADER_SECONDS, services.times.handshake) if self._header else services.times.handshake
        self._deadline = Deadline(services.loop, self._too_late)
        self._deadline.set(seconds)
        services.watcher.add_reader(sock.fileno(), self._readable)

    def begin(self) -> None:
        """Have it say what it wants, unless it has to say who it is first."""
        if self._header is None:
            try:
                self._advance(b"")
            except AlgError as error:
                self.refuse(error)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(ConnectError(f"the client is gone: {error.strerror}", reason="client_lost"))
            return
        if not data:
            self._end(ConnectError("the client left before it said what it wants", reason="client_lost"))
            return
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        try:
            if self._header is not None:
                self._header.receive(data)
                if self._header.header is None:
                    return
                data = self._introduced(self._header)
            self._advance(data)
        except AlgError as error:
            self.refuse(error)

    def _introduced(self, reader: ProxyHeaderReader) -> bytes:
        """The header is complete; return what came behind it."""
        self._header = None
        assert reader.header is not None
        if reader.header.source is not None:  # else it speaks for itself, to see whether we live
            self.peer = reader.header.source
        self._deadline.set(self._services.times.handshake)
        return reader.rest

    def _advance(self, data: bytes) -> None:
        """The client itself speaks.

        Raises:
            AlgError: what it says is not to be served.
        """
        if self._route.way not in (Way.SOCKS, Way.CONNECT):
            self._ready(data, None)
            return
        if self._doorway is None:
            self._doorway = self._make_doorway()
        if data:
            self._doorway.receive(data)
        with contextlib.suppress(OSError):  # it is gone, as the next read tells
            if replies := self._doorway.take_replies():
                self._sock.send(replies)
        if self._doorway.asked is not None:
            self._ready(self._doorway.take_rest(), self._doorway)

    def _make_doorway(self) -> Doorway:
        route, address = self._route, self.peer.address
        users = route.users or None
        if users is None and is_public(address) and not within(address, route.clients):
            raise PolicyError(
                f"{address} is of the public Internet, and nobody is asked for a password here; --allow-client can let it in",
                reason="client_refused",
            )
        return SocksDoorway(users) if route.way is Way.SOCKS else ConnectDoorway(users)

    def _ready(self, rest: bytes, doorway: Doorway | None) -> None:
        self._leave()
        self._services.watcher.remove_reader(self._sock.fileno())
        party = (self._route.listen, doorway.user) if doorway is not None else None
        visitor = Visitor(self._services, self._sock, self.peer, self._local, doorway=doorway, unread=rest, party=party)
        self._on_ready(self, visitor, doorway)

    def _too_late(self) -> None:
        what = "said for whom it comes" if self._header is not None else "said what it wants"
        self.refuse(ProtocolError(f"the client has not {what} in time", reason="too_slow"))

    def refuse(self, error: AlgError) -> None:
        """Say why not, as far as there is a way to say it, and hang up."""
        if self._over:
            return
        words = b""
        if self._doorway is not None:
            words = self._doorway.refused(error)
        self._end(error, words)

    def _end(self, error: AlgError, words: bytes = b"") -> None:
        self._leave()
        self._on_refused(self, error)
        if words:
            with contextlib.suppress(OSError):
                self._sock.send(words)
                self._sock.shutdown(socket.SHUT_WR)
            self._linger = self._services.timeouts(LINGER).begin(self.close)
            self._services.watcher.add_reader(self._sock.fileno(), self._discard)
        else:
            self.close()

    def _discard(self) -> None:
        """Drop what it says for a moment, so that it can read why."""
        try:
            if self._sock.recv(RECEIVE_SIZE):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Hang up, without another word. The second time nothing happens."""
        if self._sock.fileno() < 0:
            return
        self._over = True
        self._deadline.close()
        if self._linger:
            self._linger.cancel()
        self._services.watcher.forget(self._sock.fileno())
        self._sock.close()
        self._on_gone(self)

    def _leave(self) -> None:
        """Whatever comes of it, it is not our business any more."""
        self._over = True
        self._deadline.close()

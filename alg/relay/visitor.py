"""`Visitor`: a client that has come in, until a flow carries it: its socket, what it said already, and how it is to be told
what comes of it.
"""

from __future__ import annotations

import contextlib
import socket

from alg.core.doorway import Doorway
from alg.core.errors import AlgError, ConnectError
from alg.core.model import Endpoint
from alg.core.plugin import Plugin, refusal_words
from alg.relay import sockets
from alg.relay.leg import RECEIVE_SIZE, LegSocket
from alg.relay.services import Services


class Visitor:
    """One accepted connection."""

    __slots__ = ("_doorway", "_services", "_unread", "local", "party", "peer", "sock")

    def __init__(
        self,
        services: Services,
        sock: socket.socket,
        peer: Endpoint,
        local: Endpoint,
        *,
        doorway: Doorway | None = None,
        unread: bytes = b"",
        party: object = None,
    ) -> None:
        """`local` is where the client came to; `doorway` what it asked by, if it was not just let in; `unread` what it
        said behind that; `party` who it is besides its address, where it had to say so."""
        self._services = services
        self.sock = sock
        self.peer = peer
        self.local = local
        self.party = party
        self._doorway = doorway
        self._unread = unread

    def grant(self, bound: Endpoint) -> None:
        """Tell it that it is connected, from that endpoint of ours. The second time nothing happens."""
        doorway, self._doorway = self._doorway, None
        if doorway is not None:
            self._say(doorway.granted(bound))

    def announce(self, bound: Endpoint) -> None:
        """Tell it where we wait for the connection that it asked for."""
        if self._doorway is not None:
            self._say(self._doorway.granted(bound))

    def come(self, peer: Endpoint) -> None:
        """Tell it who came."""
        doorway, self._doorway = self._doorway, None
        if doorway is not None:
            self._say(doorway.came(peer))

    def refuse(self, error: AlgError, plugin: Plugin[object] | None = None) -> None:
        """Tell it that it cannot be served, in the protocol that it speaks by now, and hang up."""
        words = self._doorway.refused(error) if self._doorway is not None else b""
        if self._doorway is None and plugin is not None:
            words = refusal_words(plugin, error) or b""
        self._say(words)
        with contextlib.suppress(OSError):  # what it said meanwhile must not turn the end into a reset
            self.sock.recv(RECEIVE_SIZE)
        self._services.watcher.forget(self.sock.fileno())
        self.sock.close()

    def cut_off(self, error: AlgError) -> None:
        """Refuse it by a word if it asked by one, else by a reset."""
        if self._doorway is not None:
            self.refuse(error)
        else:
            self._services.watcher.forget(self.sock.fileno())
            sockets.reset(self.sock)

    def hear(self, limit: int) -> bool:
        """Take what it says before its time, up to `limit` bytes in all; return whether it may say more.

        Raises:
            ConnectError: it has left (`client_lost`).
        """
        room = limit - len(self._unread)
        if room <= 0:
            return False
        try:
            said = self.sock.recv(room)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            said = b""
        if not said:
            raise ConnectError("the client left before anybody came", reason="client_lost")
        self._unread += said
        return len(said) < room

    def leg(self) -> LegSocket:
        """The leg of a flow."""
        return LegSocket(self._services.loop, self._services.watcher, self.sock, self._unread)

    def _say(self, words: bytes) -> None:
        if words:
            with contextlib.suppress(OSError):  # it is gone, and whoever uses its socket will see
                self.sock.send(words)

"""`ServerSocket`: our end of a flow of datagrams toward its server: says what goes there, and takes only what comes from it."""

from __future__ import annotations

import errno
import os
from typing import Protocol

from alg.core.addresses import Address
from alg.core.model import Endpoint
from alg.relay import datagram_sockets as datagrams
from alg.relay.poller import Watcher
from alg.relay.sockets import endpoint_of

_BUFFER = memoryview(bytearray(datagrams.SIZE))
"""One for the whole loop: what is in it is sent on or copied before the next datagram is taken."""


class ServerListener(Protocol):
    """Who hears what comes of a server's socket."""

    def from_server(self, data: memoryview) -> None:
        """The server said this; the memory is used again afterwards."""

    def from_stranger(self, data: bytes, peer: Endpoint) -> bytes:
        """Somebody else said this; return what to answer."""

    def server_unreachable(self, error: str) -> None:
        """A datagram did not reach the server: so the network says."""

    def lost(self) -> None:
        """A datagram was dropped for want of room, or was cut off."""


class ServerSocket:
    """A socket of its own for each flow, so that its port tells whom an answer is for."""

    __slots__ = ("_fixed", "_listener", "_loose", "_peer", "_sock", "_watcher", "local", "target")

    def __init__(
        self,
        watcher: Watcher,
        target: Endpoint,
        source: Address | None,
        listener: ServerListener,
        *,
        loose: bool,
        transparent: bool = False,
    ) -> None:
        """With `loose`, the first answer may come from any port of the target's address, and fixes that port; with
        `transparent`, the source may be another host's.

        Raises:
            OSError: there is no way to the target.
        """
        self._watcher = watcher
        self._listener = listener
        self._loose = loose
        self._fixed = False
        self._sock = datagrams.dial(target, source, loose=loose, transparent=transparent)
        self.target = target
        self._peer: tuple[str, int] = str(target.address), target.port
        self.local = endpoint_of(self._sock.getsockname())
        watcher.add_reader(self._sock.fileno(), self._readable)

    def send(self, data: bytes | memoryview) -> None:
        """Say this to the server. It may get lost."""
        for _ in range(2):  # the first attempt may only bring the error of an earlier datagram, and send nothing
            try:
                if self._loose:
                    self._sock.sendto(data, self._peer)
                else:
                    self._sock.send(data)
            except OSError as error:
                if error.errno not in datagrams.UNREACHABLE:
                    self._listener.lost()
                    return
                self._unreachable(error.errno)
                if self.closed:
                    return
            else:
                return

    def _readable(self) -> None:
        for _ in range(datagrams.BATCH):
            if self.closed:
                return
            try:
                count, sender = self._sock.recvfrom_into(_BUFFER)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._unreachable(error.errno)
                continue
            if count == datagrams.SIZE:
                self._listener.lost()
            elif not self._loose or self._is_server(sender):
                self._listener.from_server(_BUFFER[:count])
            else:
                self._answer_stranger(bytes(_BUFFER[:count]), sender)
        if self._loose and not self.closed:
            self._take_errors()  # as long as there are any, the descriptor counts as readable

    def _is_server(self, sender: datagrams.SocketAddress) -> bool:
        """RFC 1350 section 4: the first answer names the port that the server has chosen for this."""
        if not self._fixed and sender[0] == self._peer[0]:
            self._peer, self._fixed = (sender[0], sender[1]), True
        return sender[:2] == self._peer

    def _answer_stranger(self, data: bytes, sender: datagrams.SocketAddress) -> None:
        answer = self._listener.from_stranger(data, endpoint_of(sender))
        if answer:
            try:
                self._sock.sendto(answer, sender)
            except OSError:
                self._listener.lost()

    def _unreachable(self, code: int | None) -> None:
        if self._loose:
            self._take_errors()
        else:
            self._listener.server_unreachable(os.strerror(code or errno.ECONNREFUSED))

    def _take_errors(self) -> None:
        while not self.closed and (error := datagrams.take_error(self._sock)) is not None:
            code, sent_to = error
            if sent_to[:2] == self._peer:  # what was said to a stranger does not count
                self._listener.server_unreachable(os.strerror(code))

    @property
    def closed(self) -> bool:
        """Whether nothing can be said any more."""
        return self._sock.fileno() < 0

    def close(self) -> None:
        """Neither say nor hear anything any more."""
        if not self.closed:
            self._watcher.forget(self._sock.fileno())
            self._sock.close()

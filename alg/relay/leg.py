"""`LegSocket`: one raw non-blocking socket of a flow on the event loop, with its queue of what it did not take yet.

The same for control, opaque and TLS legs; what TLS adds is in `alg.relay.tls_layer`. It knows nothing of plugins or
sessions; its owner says what happens when it can be read, when the queue is empty again, and when it broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

from alg.relay import sockets
from alg.relay.poller import Watcher

HIGH_WATER = 65536
"""Bytes that may wait for a leg before the other side is no longer read."""

RECEIVE_SIZE = 256 * 1024
_RECEIVE_BUFFER = bytearray(RECEIVE_SIZE)
RECEIVE_VIEW = memoryview(_RECEIVE_BUFFER)
"""One buffer for the whole loop: what is in it is used up before the loop turns to another socket."""


class Layer(Protocol):
    """What may stand between a socket and those who use it: TLS."""

    @property
    def truncated(self) -> bool:
        """Whether the peer ended without saying so."""

    def receive(self, limit: int) -> int | None:
        """As `LegSocket.receive`."""

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """What to send for these bytes."""

    def end(self) -> bytes:
        """What to send to say that nothing more will come."""

    def drop(self) -> None:
        """The leg is closed."""


class LegSocket:
    """A connected socket. `on_lost` is told, once and never from within a call of the owner, that it broke."""

    __slots__ = (
        "_drained",
        "_end_queued",
        "_layer",
        "_loop",
        "_on_readable",
        "_queue",
        "_unread",
        "_watcher",
        "_writing",
        "broken",
        "fd",
        "on_lost",
        "queued",
        "reading",
        "received",
        "sent",
        "sock",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watcher: Watcher, sock: socket.socket | None, unread: bytes = b""
    ) -> None:
        """`unread` was received already, before the socket was anybody's leg."""
        self._loop = loop
        self._watcher = watcher
        self.fd = -1
        if sock is not None:
            self.sock = sock
            self.fd = sock.fileno()
        self.on_lost: Callable[[OSError], None] | None = None
        self._queue: list[bytes] = []
        self.queued = 0
        """Bytes that wait to be sent."""
        self.sent = 0
        """Bytes that the kernel took so far."""
        self.received = 0
        """Bytes received so far, in the clear."""
        self._layer: Layer | None = None
        self._unread = unread
        """What was received already, in the clear: before there was a flow, or behind the end of TLS."""
        self._on_readable: Callable[[], None] | None = None
        self._end_queued = False
        self.reading = False
        self._writing = False
        self._drained: list[Callable[[], None]] = []
        self.broken = False
        """Whether the connection is no more."""

    # Reading.

    def resume(self, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` whenever there is something to read."""
        if not self.reading:
            self.reading = True
            self._on_readable = on_readable
            self._watcher.add_reader(self.fd, on_readable)
            if self._layer is not None or self._unread:
                self.read_again()  # it may have been received already

    def pause(self) -> None:
        """Do not read for now."""
        if self.reading:
            self.reading = False
            self._on_readable = None
            self._watcher.remove_reader(self.fd)

    def read_again(self) -> None:
        """Call back as if there were something to read: it is not in the socket any more."""
        self._loop.call_soon(self._read_again)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after that time; for what is rare, since each costs a timer of its own."""
        return self._loop.call_later(seconds, callback)

    def _read_again(self) -> None:
        if self._on_readable is not None:
            self._on_readable()

    def receive(self, limit: int = RECEIVE_SIZE) -> int | None:
        """Read into `RECEIVE_VIEW`; return the number of bytes, 0 at the end, None if there is nothing now.

        Raises:
            OSError: the connection broke.
        """
        count = self.receive_raw(limit) if self._layer is None else self._layer.receive(limit)
        if count:
            self.received += count
        return count

    def receive_raw(self, limit: int) -> int | None:
        """As `receive`, but past TLS; it is not counted.

        Raises:
            OSError: the connection broke.
        """
        if self._unread:
            count = min(len(self._unread), limit)
            RECEIVE_VIEW[:count] = self._unread[:count]
            self._unread = self._unread[count:]
            if self._unread and self.reading:
                self.read_again()
            return count
        try:
            return self.sock.recv_into(_RECEIVE_BUFFER, limit)
        except (BlockingIOError, InterruptedError):
            return None

    # TLS.

    def cover(self, layer: Layer) -> None:
        """From here on, all goes through TLS."""
        self._layer = layer

    def clear(self, unread: bytes) -> None:
        """From here on, all is in the clear; so was `unread`, which has been received already."""
        self._layer = None
        self._unread = unread

    @property
    def covered(self) -> bool:
        """Whether there is TLS on it, so that what passes cannot be left to the kernel."""
        return self._layer is not None

    @property
    def truncated(self) -> bool:
        """Whether the peer's end came without TLS's close_notify: somebody may have cut off what it said."""
        return self._layer is not None and self._layer.truncated

    # Writing.

    def send(self, data: bytes | memoryview) -> None:
        """Send, or queue behind what is queued. A view is used up when this returns."""
        if self._layer is None:
            self.send_raw(data)
            return
        try:
            self.send_raw(self._layer.encrypt(data))
        except OSError as error:
            self.lose(error)

    def send_raw(self, data: bytes | memoryview) -> None:
        """As `send`, but past TLS."""
        if self.queued:
            self._queue.append(bytes(data))
            self.queued += len(data)
            return
        if not data:
            return
        try:
            count = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError as error:
            self.lose(error)
            return
        self.sent += count
        if count < len(data):
            self._queue.append(bytes(data[count:]))
            self.queued = len(data) - count
            self._watch()

    def send_eof(self, *, truncated: bool = False) -> None:
        """Say that nothing more will come, behind what is queued (half-close).

        With `truncated`, a peer under TLS is to see that this is no orderly end.
        """
        if self._layer is not None and not truncated:
            self.send_raw(self._layer.end())
        self._send_eof()

    def _send_eof(self) -> None:
        if self.queued:
            self._end_queued = True
        else:
            with contextlib.suppress(OSError):  # the peer may be gone: reading tells
                self.sock.shutdown(socket.SHUT_WR)

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back, once, when nothing is queued any more; at once if nothing is."""
        if not self.queued:
            callback()
        elif callback not in self._drained:
            self._drained.append(callback)

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call back, once, when the kernel takes more and nothing is queued. For those who write to `fd` themselves."""
        if not self.broken:
            self._drained.append(callback)
            self._watch()

    def _watch(self) -> None:
        if not self._writing:
            self._writing = True
            self._watcher.add_writer(self.fd, self._writable)

    def _unwatch(self) -> None:
        if self._writing:
            self._writing = False
            self._watcher.remove_writer(self.fd)

    def _writable(self) -> None:
        if self.queued:
            data = b"".join(self._queue)
            self._queue, self.queued = [], 0
            self.send_raw(data)
            if self.queued or self.broken:
                return
        self._unwatch()
        if self._end_queued:
            self._send_eof()
        drained, self._drained = self._drained, []
        for callback in drained:
            callback()

    # The end.

    def lose(self, error: OSError) -> None:
        """The connection broke: stop, and tell the owner once, from the loop."""
        self.broken = True
        self._queue, self.queued = [], 0
        on_lost, self.on_lost = self.on_lost, None
        if self.fd >= 0:
            self.pause()
            self._unwatch()
        if on_lost:
            self._loop.call_soon(on_lost, error)

    def close(self) -> None:
        """Close; what is queued is dropped. Under TLS the peer is told that this is the end."""
        if self._layer is not None and not self.broken and not self.queued and not self.closed:
            self.on_lost = None
            self.send_raw(self._layer.end())
        self._leave_loop()
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset."""
        self._leave_loop()
        sockets.reset(self.sock)

    def _leave_loop(self) -> None:
        self.on_lost = None
        self._drained = []
        self._on_readable = None
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.drop()
        if self.fd >= 0:
            self._watcher.forget(self.fd)
            self.reading = self._writing = False
            self.fd = -1

    @property
    def closed(self) -> bool:
        """Whether `close` or `reset` was called."""
        return self.fd < 0

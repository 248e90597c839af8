"""`LegSocket`: one raw non-blocking socket of a flow on the event loop, with its queue of what it did not take yet.

The same for control, opaque and (later) TLS legs. It knows nothing of plugins or sessions; its owner says what happens
when it can be read, when the queue is empty again, and when it broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from alg.relay import sockets
from alg.relay.poller import Watcher

HIGH_WATER = 65536
"""Bytes that may wait for a leg before the other side is no longer read."""

RECEIVE_SIZE = 256 * 1024
_RECEIVE_BUFFER = bytearray(RECEIVE_SIZE)
RECEIVE_VIEW = memoryview(_RECEIVE_BUFFER)
"""One buffer for the whole loop: what is in it is used up before the loop turns to another socket."""


class LegSocket:
    """A connected socket. `on_lost` is told, once and never from within a call of the owner, that it broke."""

    __slots__ = (
        "_drained",
        "_end_queued",
        "_loop",
        "_queue",
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

    def __init__(self, loop: asyncio.AbstractEventLoop, watcher: Watcher, sock: socket.socket) -> None:
        self._loop = loop
        self._watcher = watcher
        self.sock = sock
        self.fd = sock.fileno()
        self.on_lost: Callable[[OSError], None] | None = None
        self._queue: list[bytes] = []
        self.queued = 0
        """Bytes that wait to be sent."""
        self.sent = 0
        self.received = 0
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
            self._watcher.add_reader(self.fd, on_readable)

    def pause(self) -> None:
        """Do not read for now."""
        if self.reading:
            self.reading = False
            self._watcher.remove_reader(self.fd)

    def receive(self, limit: int = RECEIVE_SIZE) -> int | None:
        """Read into `RECEIVE_VIEW`; return the number of bytes, 0 at the end, None if there is nothing now.

        Raises:
            OSError: the connection broke.
        """
        try:
            count = self.sock.recv_into(_RECEIVE_BUFFER, limit)
        except (BlockingIOError, InterruptedError):
            return None
        self.received += count
        return count

    # Writing.

    def send(self, data: bytes | memoryview) -> None:
        """Send, or queue behind what is queued. A view is used up when this returns."""
        if self.queued:
            self._queue.append(bytes(data))
            self.queued += len(data)
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

    def send_eof(self) -> None:
        """Say that nothing more will come, behind what is queued (half-close)."""
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
            self.send(data)
            if self.queued or self.broken:
                return
        self._unwatch()
        if self._end_queued:
            self.send_eof()
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
        """Close; what is queued is dropped."""
        self._leave_loop()
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset."""
        self._leave_loop()
        sockets.reset(self.sock)

    def _leave_loop(self) -> None:
        self.on_lost = None
        self._drained = []
        if self.fd >= 0:
            self._watcher.forget(self.fd)
            self.reading = self._writing = False
            self.fd = -1

    @property
    def closed(self) -> bool:
        """Whether `close` or `reset` was called."""
        return self.fd < 0

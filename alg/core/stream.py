"""`Stream`: what one side of a TCP flow says, for a plugin to read. The only place that knows about partial data.

A read takes bytes out of the buffer only when it is complete, so an upgrade or a splice can never lose half a line.
Every read has a limit; past it the session ends, and nothing is resynchronised.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Generator

from alg.core.commands import Forward
from alg.core.errors import ProtocolError
from alg.core.model import Side

READ_LIMIT = 65536
"""Default for `Stream.read_some`, in bytes."""


@types.coroutine
def suspend(request: object) -> Generator[object, object, object]:
    """Hand a request to the flow machine and wait for its answer. The only thing a plugin ever waits in."""
    return (yield request)


class Stream:
    """The bytes that come from one side, in order, however they were cut into pieces."""

    __slots__ = ("_buffer", "_ended", "_searched", "_send", "side")

    def __init__(self, side: Side, send: Callable[[Side, bytes], None]) -> None:
        self.side = side
        self._send = send
        self._buffer = bytearray()
        self._searched = 0
        self._ended = False

    # For plugins: reading.

    def lines(self, limit: int) -> Lines:
        """Iterate over the lines, each with its line end (`async for line in stream.lines(512)`), until the end."""
        return Lines(self, limit)

    async def read_line(self, limit: int) -> bytes:
        """Read up to and including the next LF, or `b""` at the end of the stream.

        Raises:
            ProtocolError: the line with its end is longer than `limit` bytes (`line_too_long`), or the stream ended
                inside a line (`truncated`).
        """
        while (line := self.take_line(limit)) is None:
            await suspend(self)
        return line

    def take_line(self, limit: int) -> bytes | None:
        """As `read_line`, but return None where that would wait."""
        end = self._buffer.find(b"\n", self._searched) + 1
        if end > limit or (not end and len(self._buffer) >= limit):
            raise ProtocolError(f"the {self.side.value} sent a line of more than {limit} bytes", reason="line_too_long")
        if end:
            return self._take(end)
        self._searched = len(self._buffer)  # what was searched once is not searched again
        if not self._ended:
            return None
        if self._buffer:
            raise ProtocolError(f"the {self.side.value} ended inside a line", reason="truncated")
        return b""

    async def read_exactly(self, count: int) -> bytes:
        """Read `count` bytes, no more and no less.

        Raises:
            ProtocolError: the stream ended before (`truncated`).
        """
        while len(self._buffer) < count:
            if self._ended:
                raise ProtocolError(
                    f"the {self.side.value} ended after {len(self._buffer)} of {count} bytes", reason="truncated"
                )
            await suspend(self)
        return self._take(count)

    async def read_some(self, limit: int = READ_LIMIT) -> bytes:
        """Read what is there, at least one byte and at most `limit`; `b""` only at the end of the stream."""
        while not self._buffer:
            if self._ended:
                return b""
            await suspend(self)
        return self._take(min(limit, len(self._buffer)))

    async def forward(self, count: int) -> None:
        """Let the next `count` bytes pass to the other side unread; when this returns, they are on their way.

        The kernel may carry them. Meanwhile nothing else may be sent to the other side.

        Raises:
            ProtocolError: the stream ended before (`truncated`).
            ValueError: `count` is below 0.
        """
        if count < 0:
            raise ValueError(f"{count} bytes cannot pass")
        rest = count
        if ready := min(count, len(self._buffer)):
            self.send(self._take(ready))
            rest -= ready
        if rest and (self._ended or not await suspend(Forward(self.side, rest))):
            raise ProtocolError(f"the {self.side.value} ended before {count} bytes had passed", reason="truncated")

    # For plugins: writing.

    def send(self, data: bytes) -> None:
        """Send bytes onward, to the other side."""
        self._send(self.side.other, data)

    def reply(self, data: bytes) -> None:
        """Send bytes back to the side that this stream comes from.

        They leave at once. Where replies have an order, let a `Pipeline` decide when. It is a mistake to reply, or to
        send, in a direction that is opaque: the kernel may be carrying bytes there. So override both coroutines.
        """
        self._send(self.side, data)

    # For the machine.

    def receive(self, data: bytes) -> None:
        """Take in what arrived."""
        self._buffer += data

    def receive_eof(self) -> None:
        """Nothing more will arrive."""
        self._ended = True

    def drain(self) -> bytes:
        """Give out all that was not read; the stream is somebody else's from here."""
        return self._take(len(self._buffer))

    @property
    def buffered(self) -> int:
        """How many bytes arrived and were not read."""
        return len(self._buffer)

    @property
    def ended(self) -> bool:
        """Whether that side has said that it will send nothing more."""
        return self._ended

    def _take(self, count: int) -> bytes:
        self._searched = 0
        if count == len(self._buffer):
            data = bytes(self._buffer)
            self._buffer.clear()
        else:
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
        return data


class Lines:
    """Asynchronous iterator over the lines of a stream.

    A class and no async generator: asyncio adopts those when it finds them running, and complains when we drop them.
    """

    __slots__ = ("_limit", "_stream")

    def __init__(self, stream: Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def __aiter__(self) -> Lines:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[object, object, bytes]:
        # `read_line` once more, in one frame instead of three: this is where a plugin spends its life.
        stream = self._stream
        while (line := stream.take_line(self._limit)) is None:
            yield stream
        if not line:
            raise StopAsyncIteration
        return line

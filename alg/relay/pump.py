"""`Pump`: one opaque direction of a flow. Copies small traffic, and leaves Python by `splice` when it is bulk.

Half-close, the order of bytes and their count survive both ways. The figures behind the constants were measured: what
counts is 1 MiB pipes with 1 MiB calls, and that a small message costs no more than one receive and one send.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from alg.relay import pipes
from alg.relay.leg import RECEIVE_SIZE, RECEIVE_VIEW, LegSocket
from alg.relay.pipes import Pipe, PipePool

BULK = 65536
"""A piece of this size or more is bulk."""
_BULK_PIECES = 4  # so many in a row, and we splice
_SMALL_PIECES = 16  # so many small ones in a row, and we copy again
_ROUNDS = 16  # at most so many per wake-up, for the sake of the other flows

# Never SPLICE_F_MORE: it corks small messages for 200 ms.
_FLAGS = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)


class Pump:
    """Carries what comes from `source` to `sink`; calls `on_end` when `source` has ended.

    With a `count`, it carries so many bytes and then calls `on_done`, once they are on their way, with what it has read
    behind them.
    """

    __slots__ = ("_held", "_left", "_on_done", "_on_end", "_pieces", "_pipe", "_pool", "sink", "source", "splicing")

    def __init__(
        self,
        source: LegSocket,
        sink: LegSocket,
        pool: PipePool,
        on_end: Callable[[], None],
        *,
        count: int | None = None,
        on_done: Callable[[bytes], None] | None = None,
    ) -> None:
        self._left = sys.maxsize if count is None else count
        self._on_done = on_done
        self.source = source
        self.sink = sink
        self._pool = pool
        self._on_end = on_end
        self._pipe: Pipe | None = None
        self._held = 0
        """Bytes in the pipe."""
        self._pieces = 0
        self.splicing = False

    def start(self) -> None:
        """Begin, once what a plugin sent before is out."""
        self.sink.when_drained(self._resume)

    def stop(self) -> bool:
        """Stop for good; return whether what has passed is not all: bytes were in flight, or there was a count."""
        if self._pipe:
            self._pool.discard(self._pipe)  # it may hold data
            self._pipe = None
        return self._held > 0 or self._on_done is not None

    def _resume(self) -> None:
        if not self.source.closed:
            self.source.resume(self._readable)

    def _readable(self) -> None:
        try:
            if self.splicing:
                self._splice()
            else:
                self._copy()
        except OSError as error:
            self.source.lose(error)

    # Copying: for small traffic, and where there is no splice.

    def _copy(self) -> None:
        for _ in range(_ROUNDS):
            wanted = min(self._left, RECEIVE_SIZE)
            count = self.source.receive(wanted)
            if count is None:
                return
            if not count:
                self._end()
                return
            if count >= self._left:
                more = bytes(RECEIVE_VIEW[self._left : count])  # TLS may hand out more than was asked for
                self.sink.send(RECEIVE_VIEW[: self._left])
                self._left = 0
                self._done(more)
                return
            self.sink.send(RECEIVE_VIEW[:count])
            self._left -= count
            if self.sink.queued:
                self.source.pause()
                self.sink.when_drained(self._resume)
                return
            if count < BULK:
                self._pieces = 0
            else:
                self._pieces += 1
                if self._pieces >= _BULK_PIECES and self._can_splice:
                    self.splicing = True
                    self._pieces = 0
                    return
            if count < wanted:
                return  # that was all; the loop calls again when there is more

    @property
    def _can_splice(self) -> bool:
        return self._pool.available and not self.source.covered and not self.sink.covered

    # Splicing.

    def _splice(self) -> None:
        pipe = self._pipe or self._pool.take()
        if pipe is None:
            self.splicing = False
            self._copy()
            return
        self._pipe = pipe
        for turn in range(_ROUNDS):
            try:
                count = os.splice(self.source.fd, pipe.writer, min(pipes.SIZE, self._left), flags=_FLAGS)
            except BlockingIOError:
                if turn:
                    break
                # There is something to read, and nothing to splice: an urgent byte, which only a read takes.
                self.splicing = False
                self._pieces = 0
                self._release_pipe()
                self._copy()
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self.splicing = False  # a socket that cannot be spliced
                self._pieces = -(1 << 62)
                break
            if not count:
                self._release_pipe()
                self._end()
                return
            self.source.received += count
            self._held += count
            self._left -= count
            if not self._empty_pipe(pipe):
                return
            if not self._left:
                break
            self._pieces = 0 if count >= BULK else self._pieces + 1
            if self._pieces >= _SMALL_PIECES:
                self.splicing = False
                self._pieces = 0
                break
        self._release_pipe()
        if not self._left:
            self._done()

    def _empty_pipe(self, pipe: Pipe) -> bool:
        """Send what the pipe holds; return whether it is empty."""
        while self._held:
            try:
                count = os.splice(pipe.reader, self.sink.fd, self._held, flags=_FLAGS)
            except BlockingIOError:
                self.source.pause()
                self.sink.when_writable(self._continue)
                return False
            except OSError as error:
                self.source.pause()
                self.sink.lose(error)
                return False
            self._held -= count
            self.sink.sent += count
        return True

    def _continue(self) -> None:
        if self._pipe and self._empty_pipe(self._pipe):
            self._release_pipe()
            if self._left:
                self._resume()
            else:
                self._done()

    def _release_pipe(self) -> None:
        if self._pipe and not self._held:
            self._pool.give_back(self._pipe)
            self._pipe = None

    def _done(self, more: bytes = b"") -> None:
        self.source.pause()
        on_done, self._on_done = self._on_done, None
        if on_done:
            on_done(more)

    def _end(self) -> None:
        self.source.pause()
        self._on_end()

"""Kernel pipes for `splice`: 1 MiB each, pooled, held by a direction only while data is in flight.

A pipe that may still hold bytes of a broken flow is closed and never pooled: its next user would deliver them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

SIZE = 1 << 20
AVAILABLE = sys.platform == "linux" and hasattr(os, "splice")
_F_SETPIPE_SZ = 1031  # <linux/fcntl.h>; named in `fcntl` from Python 3.10 on Linux only
_POOLED = 64


class Pipe:
    """One pipe: its two descriptors. It holds 1 MiB, or less if the kernel grants no more."""

    __slots__ = ("reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Refused (EPERM) beyond the user's share of pipe memory: then the small default has to do.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.writer, _F_SETPIPE_SZ, SIZE)

    def close(self) -> None:
        """Close both ends, with all that is in it."""
        os.close(self.reader)
        os.close(self.writer)


class PipePool:
    """Empty pipes, ready for use, and how many there are in all.

    `available` says whether `splice` is to be used at all; without it, and without a pipe, all is copied.
    """

    def __init__(self, *, available: bool = AVAILABLE, limit: int = _POOLED) -> None:
        self.available = available and AVAILABLE
        self._limit = limit
        self.open = 0
        """Pipes that are in use or idle."""
        self._idle: list[Pipe] = []

    def take(self) -> Pipe | None:
        """Return an empty pipe; None if there is none left, of the limit or of the system."""
        if self._idle:
            return self._idle.pop()
        if self.open >= self._limit:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        self.open += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Put an empty pipe back."""
        if len(self._idle) < _POOLED:
            self._idle.append(pipe)
        else:
            self.discard(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Close a pipe that is not empty."""
        pipe.close()
        self.open -= 1

    def close(self) -> None:
        """Close all idle pipes."""
        while self._idle:
            self.discard(self._idle.pop())

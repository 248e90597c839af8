"""`Poller`: an epoll of our own inside the event loop, for sockets that live as short as ours.

asyncio spends a handle and a context on each callback, uvloop nine system calls on each descriptor; that decides how
many sessions a second there are. Here a descriptor costs one `epoll_ctl` when it comes, one when what is wanted of it
changes, and none when it is closed. Where there is no epoll, the event loop's own methods take its place.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

Callback = Callable[[], None]

_BATCH = 128
"""Events taken in one go."""
_BUSY, _TURNS = 4, 8
"""After so many events at once there are likely more: take them before the loop turns to its timers, so often."""


class Watcher(Protocol):
    """What legs, dials and listeners need. At most one reader and one writer per descriptor."""

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read, or has broken."""

    def remove_reader(self, fd: int) -> None:
        """Do so no longer."""

    def add_writer(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written, or has broken."""

    def remove_writer(self, fd: int) -> None:
        """Do so no longer."""

    def forget(self, fd: int) -> None:
        """The descriptor is about to be closed: call nobody any more."""

    def close(self) -> None:
        """Watch nothing any more."""


def make_watcher(loop: asyncio.AbstractEventLoop) -> Watcher:
    """The best watcher that this system has."""
    return Poller(loop) if hasattr(select, "epoll") else LoopWatcher(loop)


class LoopWatcher:
    """The event loop's own methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read, or has broken."""
        self._loop.add_reader(fd, callback)

    def remove_reader(self, fd: int) -> None:
        """Do so no longer."""
        self._loop.remove_reader(fd)

    def add_writer(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written, or has broken."""
        self._loop.add_writer(fd, callback)

    def remove_writer(self, fd: int) -> None:
        """Do so no longer."""
        self._loop.remove_writer(fd)

    def forget(self, fd: int) -> None:
        """The descriptor is about to be closed: call nobody any more."""
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def close(self) -> None:
        """Watch nothing any more: each descriptor was taken out when it was closed."""


class _Entry:
    """One descriptor: whom to call, what the kernel was told to watch for."""

    __slots__ = ("reader", "told", "writer")

    def __init__(self) -> None:
        self.reader: Callback | None = None
        self.writer: Callback | None = None
        self.told = 0

    @property
    def wanted(self) -> int:
        return (select.EPOLLIN if self.reader else 0) | (select.EPOLLOUT if self.writer else 0)


class Poller:
    """A level-triggered epoll; its own descriptor is watched by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._entries: dict[int, _Entry] = {}
        self._changed: set[int] = set()
        self._dispatching = False
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read."""
        self._entry(fd).reader = callback
        self._change(fd)

    def remove_reader(self, fd: int) -> None:
        """Do so no longer."""
        entry = self._entries.get(fd)
        if entry and entry.reader:
            entry.reader = None
            self._change(fd)

    def add_writer(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written."""
        self._entry(fd).writer = callback
        self._change(fd)

    def remove_writer(self, fd: int) -> None:
        """Do so no longer."""
        entry = self._entries.get(fd)
        if entry and entry.writer:
            entry.writer = None
            self._change(fd)

    def forget(self, fd: int) -> None:
        """The descriptor is about to be closed: the kernel takes it out of the epoll by itself."""
        entry = self._entries.pop(fd, None)
        if entry:
            entry.reader = entry.writer = None  # it may be the very one that is being dispatched
        self._changed.discard(fd)

    def close(self) -> None:
        """Watch nothing any more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _entry(self, fd: int) -> _Entry:
        entry = self._entries.get(fd)
        if entry is None:
            entry = self._entries[fd] = _Entry()
        return entry

    def _change(self, fd: int) -> None:
        if self._dispatching:
            self._changed.add(fd)  # it may change again, or be closed, before anybody waits for it
        else:
            self._tell_kernel(fd)

    def _tell_kernel(self, fd: int) -> None:
        entry = self._entries[fd]
        wanted = entry.wanted
        if wanted == entry.told:
            return
        if not entry.told:
            self._epoll.register(fd, wanted)
        elif wanted:
            self._epoll.modify(fd, wanted)
        else:
            # Not merely "nothing": a hang-up is always told, and again, and again.
            self._epoll.unregister(fd)
        entry.told = wanted
        if not wanted:
            del self._entries[fd]

    def _dispatch(self) -> None:
        for _ in range(_TURNS):
            events = self._epoll.poll(0, _BATCH)
            self._dispatch_events(events)
            if len(events) < _BUSY:
                return

    def _dispatch_events(self, ready: list[tuple[int, int]]) -> None:
        self._dispatching = True
        entries = self._entries
        for fd, events in ready:
            entry = entries.get(fd)
            # `told` is 0 for a descriptor that was closed and given out anew since the kernel spoke.
            if entry is None or not entry.told:
                continue
            try:
                if events & ~select.EPOLLOUT and entry.reader:
                    entry.reader()
                if events & ~select.EPOLLIN and entry.writer:
                    entry.writer()
            except Exception as error:  # noqa: BLE001 - as the event loop does with a callback that fails
                self._loop.call_exception_handler({"message": "a socket's callback failed", "exception": error})
        self._dispatching = False
        while self._changed:
            fd = self._changed.pop()
            if fd in entries:
                self._tell_kernel(fd)

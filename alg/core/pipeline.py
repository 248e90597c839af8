"""`Pipeline`: which commands still wait for their replies, in order. It answers two questions that every
command-and-reply protocol has: to which command does this reply belong, and when may a reply of our own leave?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from alg.core.errors import ProtocolError

T = TypeVar("T")


class Pipeline(Generic[T]):
    """The commands that wait for a reply, oldest first.

    A reply of ours waits until the server has answered all commands that the client sent before: `send` is called
    with it then, at once if nothing is outstanding. At most `limit` commands may wait.
    """

    __slots__ = ("_limit", "_send", "_waiting")

    def __init__(self, send: Callable[[bytes], None], *, limit: int) -> None:
        self._send = send
        self._limit = limit
        # A list, although it is emptied from the front: it is short, and an empty deque takes ten times the memory.
        self._waiting: list[tuple[T, bytes | None]] = []

    def forwarded(self, command: T) -> None:
        """A command goes to the server now.

        Raises:
            ProtocolError: more than `limit` commands wait (`too_many_commands`); the client's fault.
        """
        self._add(command, None)

    def answered_here(self, command: T, reply: bytes) -> None:
        """A command is answered by us; the reply leaves in its turn.

        Raises:
            ProtocolError: as for `forwarded`.
        """
        if self._waiting:
            self._add(command, reply)
        else:
            self._send(reply)

    def _add(self, command: T, reply: bytes | None) -> None:
        if len(self._waiting) >= self._limit:
            raise ProtocolError(f"more than {self._limit} commands wait for a reply", reason="too_many_commands")
        self._waiting.append((command, reply))

    @property
    def awaited(self) -> T | None:
        """The forwarded command to which the server's next reply belongs; None if it owes none."""
        return self._waiting[0][0] if self._waiting else None

    def answered(self) -> None:
        """The server's last reply to the oldest command has been sent on; replies of ours behind it leave now."""
        del self._waiting[0]
        while self._waiting and (reply := self._waiting[0][1]) is not None:
            del self._waiting[0]
            self._send(reply)

    def skip_to(self, wanted: Callable[[T], bool]) -> bool:
        """Give up waiting for the commands before the first forwarded one that is wanted; return whether there is one.

        For servers that owe a reply: replies of ours that waited behind the skipped ones leave now, in order.
        """
        if not any(reply is None and wanted(command) for command, reply in self._waiting):
            return False
        while self._waiting[0][1] is not None or not wanted(self._waiting[0][0]):
            self.answered()
        return True

    def __len__(self) -> int:
        return len(self._waiting)

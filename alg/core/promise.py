"""`Promise`: how one coroutine of a plugin waits for the other, e.g. the treatment of a command for the server's reply.

The flow machine wakes whoever waits, once the one who keeps the promise waits itself or has returned. When the session
ends first, whoever waits is dropped.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Promise(Generic[T]):
    """A value that will be there later: `await promise` gives it, once somebody has called `keep`."""

    __slots__ = ("_value", "kept")

    def __init__(self) -> None:
        self.kept = False
        self._value: T | None = None

    def keep(self, value: T) -> None:
        """Here it is. A promise is kept once; what is said later is not heard. Also `on_end` may keep one."""
        if not self.kept:
            self._value = value
            self.kept = True

    def __await__(self) -> Generator[object, object, T]:
        while not self.kept:
            yield self
        return cast(T, self._value)

"""`Octets`: takes binary values off the front of bytes that may not all have come yet."""

from __future__ import annotations


class Incomplete(Exception):  # noqa: N818 - it is no error: more has to come
    """More bytes are needed."""


class Octets:
    """Takes values from the front; raises Incomplete where they are not there in full. Nothing is copied before."""

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data
        self.position = 0
        """How many bytes were taken."""

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        if end > len(self._data):
            raise Incomplete
        start, self.position = self.position, end
        return bytes(self._data[start:end])

    def integer(self, size: int = 1) -> int:
        """The next number, of `size` bytes, most significant first."""
        return int.from_bytes(self.take(size))

    def until_nul(self, limit: int) -> bytes | None:
        """The bytes before the next NUL, which is taken too; None if more than `limit` of them came without one."""
        end = self._data.find(0, self.position, self.position + limit + 1)
        if end < 0:
            if len(self._data) - self.position > limit:
                return None
            raise Incomplete
        text = self.take(end - self.position)
        self.take(1)
        return text

    def left(self) -> bytes:
        """All that has not been taken."""
        return self.take(len(self._data) - self.position)

"""`Opening`: what a peer says before a session of ours begins, in whatever pieces, and the bytes that came behind it.

Here stand its bounds and its end; the grammars stand in what derives from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from alg.core.errors import AlgError, ProtocolError

MAX_EARLY_DATA = 65536
"""The most bytes that may come behind an opening before they are taken."""


class Opening(ABC):
    """Bytes in, by `receive`, until `complete`; what came behind is `rest`. After an error it is over."""

    __slots__ = ("_buffer", "_failed", "complete")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._failed = False
        self.complete = False
        """Whether all has come. It is never set by bytes that were refused, nor unset."""

    def receive(self, data: bytes) -> None:
        """Take what the peer sent. Once something was refused, what follows is dropped.

        Raises:
            ProtocolError: the bytes are no such opening, or more than MAX_EARLY_DATA came behind it (`too_much_early_data`).
            PolicyError: they are, and are refused.
        """
        if self._failed:
            return
        self._buffer += data
        try:
            if not self.complete:
                self._read()
            if self.complete and len(self._buffer) > MAX_EARLY_DATA:
                raise ProtocolError(
                    f"more than {MAX_EARLY_DATA} bytes came before the answer", reason="too_much_early_data"
                )
        except AlgError:
            self._failed = True
            self._buffer.clear()
            raise

    @property
    def rest(self) -> bytes:
        """What came behind it: the first bytes of the session."""
        return bytes(self._buffer) if self.complete else b""

    def take_rest(self) -> bytes:
        """Return `rest`, once."""
        rest = self.rest
        if self.complete:
            self._buffer.clear()
        return rest

    @abstractmethod
    def _read(self) -> None:
        """Take what is complete off the front of the buffer; keep no more there than one more message may have."""

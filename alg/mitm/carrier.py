"""`CarrierLayer`: carries what is opaque between two legs, shows the beginning of it, and ends the legs so that each side
sees the truth: who was cut off sees a reset, or TLS without close_notify; who heard all sees an orderly end.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass

from alg.core.errors import AlgError, TlsError
from alg.core.model import Outcome, Side
from alg.mitm import compat
from alg.mitm.compat import Context
from alg.mitm.messages import MessagesLayer
from alg.mitm.tunnels import Commands


@dataclass(frozen=True, slots=True)
class Preview:
    """How much of what is opaque is shown as messages: bytes of each side (None: all of it)."""

    limit: int | None


class CarrierLayer(MessagesLayer):
    """Two legs with what was said on them. A subclass says what is opaque."""

    def __init__(self, context: Context, preview: Preview) -> None:
        super().__init__(context)
        self._preview = preview
        self._opaque: set[Side] = set()
        self._forwarding: dict[Side, int] = {}
        """How many bytes of a side are still to pass unread, before it is read again; also where no more will come."""
        self._ended: set[Side] = set()
        self._is_over = False
        self.counts = dict.fromkeys(Side, 0)
        """Plain bytes that each side has said."""
        self.began = self.now

    @abstractmethod
    def _tell_over(self) -> None:
        """The flow is over; its legs may still have to be closed."""

    @property
    def outcome(self) -> Outcome | None:
        """What came of the flow; None if it never had both its legs."""
        if not self._began:
            return None
        up, down = (self.counts[side] for side in Side)
        client, server = (self._tls(side) for side in Side)
        return Outcome(up, down, self.now - self.began, client, server, self.error)

    @property
    def now(self) -> float:
        """Seconds of the loop's clock."""
        return asyncio.get_running_loop().time()

    def _forward(self, side: Side, data: bytes) -> compat.Asking[bytes | None]:
        """Pass on as many bytes as still are to pass; return what came behind the last of them, None before that."""
        piece, more = data[: self._forwarding[side]], data[self._forwarding[side] :]
        self.counts[side] -= len(more)  # for now: what is shown depends on how much was said before
        yield from self._carry(side, piece)
        self.counts[side] += len(more)
        self._forwarding[side] -= len(piece)
        if self._forwarding[side]:
            return None
        del self._forwarding[side]
        return more

    def _carry(self, side: Side, data: bytes) -> Commands:
        """Pass on what is opaque; the first bytes of each side are shown."""
        limit = self._preview.limit
        shown = len(data) if limit is None else max(0, limit - self.counts[side] + len(data))
        if shown:
            yield from self._send(side.other, data[:shown])
        if shown < len(data):
            yield from self._write(side.other, data[shown:])

    def _pass_end(self, side: Side, *, truncated: bool) -> Commands:
        """That side's last byte was passed on, and its end is; when both are done, the flow is over."""
        said_nothing = side.other in self._ended and not self.counts[side]
        truncated = truncated and bool(self._opaque) and not said_nothing
        if truncated:
            message = f"the {side.value} ended without close_notify; what it said may have been cut off"
            self.error = self.error or TlsError(message, reason="tls_truncated")
            if side.other not in self._tunnels:  # in the clear, an end is an end
                yield from self._break()
                return
        self._ended.add(side)
        if len(self._ended) < len(Side) or truncated:
            yield from self._send_eof(side.other, truncated=truncated)
        if len(self._ended) == len(Side):
            yield from self._over()
            yield from self._finish()

    # The end.

    def _abort(self, error: AlgError, *, cut_off: bool = False) -> Commands:
        """End the flow now; the client hears what was said to it, unless that would look complete and is not."""
        self.error = self.error or error
        yield from self._cut(self._opaque | self._forwarding.keys() | ({Side.SERVER} if cut_off else set()))

    def _cut(self, unread: set[Side]) -> Commands:
        """End the flow in the middle of what these sides say."""
        if Side.SERVER in unread:
            yield from self._break()
            return
        yield from self._over()
        yield from self._close(reset_server=Side.CLIENT in unread)

    def _break(self) -> Commands:
        """Both were cut off in the middle of a stream."""
        yield from self._over()
        self._closing = self._closed = True
        for side in (Side.SERVER, Side.CLIENT):
            yield from self._reset(side)

    def _over(self) -> Commands:
        """The flow has said its last word: tell its session, and whoever looks."""
        if not self._is_over:
            self.gone()
            yield from self._show_end()

    def gone(self) -> None:
        """Nobody can say anything any more; the second time nothing happens. The last resort where mitmproxy drops a
        connection without a word."""
        if self._is_over:
            return
        self._is_over = self._closing = True
        self._tell_over()

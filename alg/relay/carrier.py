"""`Carrier`: the two legs of a flow: carries what is opaque between them, and ends them so that each side sees the truth.

Whoever was cut off sees a reset, or TLS without close_notify; whoever heard all sees an orderly end.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from alg.core.errors import AlgError, TlsError
from alg.core.model import Side
from alg.relay.leg import LegSocket
from alg.relay.pipes import PipePool
from alg.relay.pump import Pump
from alg.relay.timeouts import Timeout, Timeouts

LINGER = 0.5
"""Seconds that a client is read and ignored after the last word to it, so that our close does not destroy that word."""


class Carrier(ABC):
    """Two legs and their pumps. A subclass says what is opaque, and hears of the end by the methods of that name."""

    __slots__ = ("_closed", "_closing", "_ended", "_linger", "_loop", "_pool", "_pumps", "error", "legs")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: PipePool, legs: dict[Side, LegSocket]) -> None:
        self._loop = loop
        self._pool = pool
        self.legs = legs
        self._pumps: dict[Side, Pump] = {}
        self._ended: tuple[Side, ...] = ()
        """The sides whose end was passed on."""
        self.error: AlgError | None = None
        self._closing = False
        self._closed = False
        self._linger: Timeout | None = None

    @abstractmethod
    def _on_closing(self) -> None:
        """The flow has said its last word; what is queued may still have to leave."""

    @abstractmethod
    def _on_closed(self) -> None:
        """The sockets are closed."""

    @abstractmethod
    def _timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""

    @property
    def traffic(self) -> int:
        """Bytes received so far, both sides."""
        return sum(leg.received for leg in self.legs.values())

    def _splice(self, side: Side) -> None:
        leg = self.legs[side]
        leg.pause()
        ended = self._client_ended if side is Side.CLIENT else self._server_ended
        pump = Pump(leg, self.legs[side.other], self._pool, ended)
        self._pumps[side] = pump
        pump.start()

    def _forward(self, side: Side, count: int, on_end: Callable[[], None], on_done: Callable[[bytes], None]) -> None:
        """Carry so many bytes of that side; `on_done` gets what was read behind them."""
        leg = self.legs[side]
        leg.pause()
        pump = Pump(leg, self.legs[side.other], self._pool, on_end, count=count, on_done=on_done)
        self._pumps[side] = pump
        pump.start()

    # The end.

    def _client_ended(self) -> None:
        self._side_ended(Side.CLIENT)

    def _server_ended(self) -> None:
        self._side_ended(Side.SERVER)

    def _side_ended(self, side: Side) -> None:
        """That side's last byte was passed on, and its end is; when both are done, only what is queued is left to do."""
        other = self.legs[side.other]
        truncated = self._is_cut_off(side)
        self._ended += (side,)
        if truncated:
            message = f"the {side.value} ended without close_notify; what it said may have been cut off"
            self.error = self.error or TlsError(message, reason="tls_truncated")
        if truncated and not other.covered:
            self._break()  # in the clear, an end is an end: there it would look as if all had come
            return
        if truncated or len(self._ended) < 2:
            other.send_eof(truncated=truncated)
        if len(self._ended) == 2 and not self._closing:
            self._begin_to_close()
            self._after_all_is_sent(self._finish)

    def _is_cut_off(self, side: Side) -> bool:
        """Whether that side's end may hide that more was said: TLS that ends without close_notify.

        Many who have heard all just hang up. Where they had said nothing until then, nothing can be missing.
        """
        leg = self.legs[side]
        said_nothing = side.other in self._ended and not leg.received
        return bool(self._pumps) and leg.truncated and not said_nothing

    def _close_after_last_word(self, *, abort: bool = False) -> None:
        """Close when all that is queued is sent, but not before the client has had the time to read it.

        To close a socket with unread bytes resets it, and the reset destroys what the peer has not read yet. So a
        client that says more (or, after an abort, is likely to) is read, and ignored, for a while. After an abort that
        while is also all the time that the client has to take what is queued.
        """
        self._begin_to_close()
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        for pump in self._pumps.values():
            if pump.stop():
                pump.sink.reset()  # it was cut off in the middle of a stream, and must not take this for its end
        if not client.closed:
            client.pause()
        if not server.closed:
            server.pause()
        if client.closed or client.broken or not (abort or client.queued or server.queued or self._client_says_more()):
            self._finish()
            return
        if not server.closed:
            server.send_eof()
        client.send_eof()
        if abort:
            self._stay()
        else:
            self._after_all_is_sent(self._stay)

    def _after_all_is_sent(self, callback: Callable[[], None]) -> None:
        client, server = self.legs[Side.CLIENT], self.legs[Side.SERVER]
        client.when_drained(lambda: server.when_drained(callback))

    def _stay(self) -> None:
        """Read the client, and ignore it, for a while."""
        self._linger = self._timeouts(LINGER).begin(self._finish)
        self.legs[Side.CLIENT].resume(self._discard)

    def _client_says_more(self) -> bool:
        try:
            return bool(self.legs[Side.CLIENT].receive())
        except OSError:
            return False

    def _discard(self) -> None:
        if not self._client_says_more():
            self.legs[Side.CLIENT].pause()
            self._after_all_is_sent(self._finish)

    def _begin_to_close(self) -> None:
        self._closing = True
        self._on_closing()

    def _break(self) -> None:
        """Close at once; who was cut off in the middle of an opaque flow sees a reset, and no orderly end."""
        if self._closed:
            return
        if not self._closing:
            self._begin_to_close()
        if self._pumps:
            for leg in self.legs.values():
                if not leg.closed:
                    leg.reset()
        self._finish()

    def _finish(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._linger:
            self._linger.cancel()
        # Pumps know us: without them no circle is left for the collector.
        pumps, self._pumps = self._pumps, {}
        for pump in pumps.values():
            if pump.stop():
                pump.sink.reset()  # what is dropped must not look complete
        for leg in self.legs.values():
            if leg.queued:
                leg.reset()
            elif not leg.closed:
                leg.close()
        self._on_closed()

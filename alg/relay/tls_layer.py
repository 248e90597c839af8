"""`TlsLayer`: TLS on a `LegSocket`: runs the handshake on its socket, then stands between it and those who use the leg.

The leg stays the same object, so whoever holds it need not know; only what is spliced must ask whether there is TLS.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from alg.core.errors import AlgError, ConnectError, TlsError
from alg.core.model import TlsInfo
from alg.relay.leg import RECEIVE_SIZE, RECEIVE_VIEW, LegSocket
from alg.relay.timeouts import Timeout, Timeouts
from alg.relay.tls import TlsEngine

_RECORD = 16384 + 256 + 5
"""The longest TLS record (RFC 5246 section 6.2.3 allows more than RFC 8446): so much may wait for its other part."""
_PIECE = RECEIVE_SIZE - 2 * _RECORD
"""Bytes received at once: what waited and what came fit into the buffer when they are decrypted."""

_GRACE = 0.5
"""Seconds in which the peer may be the first to say that TLS is over: lftp takes our word for the end of everything."""

Done = Callable[[], None]
Failed = Callable[[AlgError], None]


def _nobody(*_: object) -> None:
    """Nobody waits for it, or no longer."""


class TlsLayer:
    """What TLS adds to one leg, from the first byte of the handshake on."""

    __slots__ = (
        "_engine",
        "_expects_end",
        "_fresh",
        "_grace",
        "_leg",
        "_on_done",
        "_on_failed",
        "_said_end",
        "_timer",
        "ended",
    )

    def __init__(self, leg: LegSocket, engine: TlsEngine) -> None:
        self._leg = leg
        self._engine = engine
        self._on_done: Done = _nobody
        self._on_failed: Failed = _nobody
        self._timer: Timeout | None = None
        self._grace: asyncio.TimerHandle | None = None
        """Until when the peer may be the first to say that TLS is over."""
        self._said_end = False
        self._expects_end = False
        """Whether TLS was stopped, and the peer has not said a byte since."""
        self._fresh = True
        """Whether what came together with the end of the handshake may still be unread."""
        self.ended = False
        """Whether the peer's end has been read."""

    # The handshake.

    def start(self, timeouts: Timeouts, on_done: Done, on_failed: Failed) -> None:
        """Shake hands within that time. One of the two is called, once, perhaps before this returns.

        After a failure nothing can be sent any more; it is a `ConnectError` with the reason `tls_unused` where the peer
        went before it said a byte.
        """
        self._on_done, self._on_failed = on_done, on_failed
        self._timer = timeouts.begin(self._time_out)
        self._leg.pause()
        self._leg.resume(self._readable)
        self._shake(ended=False)

    def _readable(self) -> None:
        try:
            count = self._leg.receive_raw(_PIECE)
        except OSError as error:
            self._fail(self._gone(error.strerror or str(error)))
            return
        if count:
            self._engine.feed(RECEIVE_VIEW[:count])
            self._shake(ended=False)
        elif count == 0:
            self._engine.feed_eof()
            self._shake(ended=True)

    def _shake(self, *, ended: bool) -> None:
        try:
            complete = self._engine.handshake()
        except TlsError as error:
            self._leg.send_raw(self._engine.take())
            self._fail(self._gone("it hung up") if error.reason == "tls_hung_up" else error)
            return
        self._leg.send_raw(self._engine.take())
        if complete:
            on_done, _ = self._decided()
            on_done()
        elif ended:
            self._fail(self._gone("it hung up"))

    def _gone(self, how: str) -> AlgError:
        if self._engine.untouched:
            return ConnectError(f"the peer went before the TLS handshake: {how}", reason="tls_unused")
        return TlsError(f"the peer went in the middle of the TLS handshake: {how}", reason="tls_failed")

    def _time_out(self) -> None:
        self._fail(TlsError("the peer did not complete the TLS handshake in time", reason="tls_timeout"))

    def _decided(self) -> tuple[Done, Failed]:
        """It is decided: return whom to call, once."""
        self._cancel_timers()
        self._leg.pause()
        callbacks = self._on_done, self._on_failed
        self._on_done = self._on_failed = _nobody
        return callbacks

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._grace):
            if timer:
                timer.cancel()
        self._timer = self._grace = None

    def _fail(self, error: AlgError) -> None:
        _, on_failed = self._decided()
        self._said_end = self.ended = True  # neither sends nor reads anything any more
        on_failed(error)

    def drop(self) -> None:
        """The leg is closed: nobody is to be called any more, and no deadline keeps what was."""
        self._on_done = self._on_failed = _nobody
        self._cancel_timers()

    # Data.

    @property
    def info(self) -> TlsInfo:
        """What was agreed on."""
        return self._engine.info

    @property
    def complete(self) -> bool:
        """Whether the handshake is."""
        return self._engine.complete

    @property
    def engine(self) -> TlsEngine:
        """The TLS connection, for its session."""
        return self._engine

    @property
    def truncated(self) -> bool:
        """Whether the peer ended without close_notify."""
        return self._engine.truncated

    def receive(self, limit: int) -> int | None:
        """As `LegSocket.receive`; the plain bytes may be somewhat more than `limit`.

        Raises:
            OSError: the connection broke, or what came is no TLS.
        """
        if self.ended or not self._engine.complete:
            return 0  # a flow that ends during the handshake reads what comes, and ignores it
        plain = self._decrypt() if self._fresh else 0
        self._fresh = False
        if not plain and not self._engine.closed_by_peer:
            # Of a record less than all of it is nothing: to read just what was asked for could take a call for each byte.
            count = self._leg.receive_raw(min(max(limit, _RECORD), _PIECE))
            if count:
                self._engine.feed(RECEIVE_VIEW[:count])
            elif count == 0:
                self._engine.feed_eof()
            plain = self._decrypt()
        if answer := self._engine.take():
            self._leg.send_raw(answer)
        if self._engine.closed_by_peer:
            self.ended = True
            if plain:
                self._leg.read_again()  # for the end, which need not have come with the end of the connection
        return plain or (0 if self.ended else None)

    def _decrypt(self) -> int:
        try:
            return self._engine.read_into(RECEIVE_VIEW)
        except TlsError as error:
            self._leg.send_raw(self._engine.take())
            raise OSError(errno.EPROTO, str(error)) from None

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """What to send for these plain bytes.

        Raises:
            OSError: there is no TLS connection any more.
        """
        if self._said_end or not data or not self._engine.complete:
            return b""  # last words that come before TLS does are for nobody: never in the clear
        try:
            return self._engine.write(data)
        except TlsError as error:
            raise OSError(errno.EPROTO, str(error)) from None

    def end(self) -> bytes:
        """What to send so that the peer knows that nothing more will come; nothing the second time."""
        if self._said_end:
            return b""
        self._said_end = True
        return self._engine.close()

    # The end of TLS on a connection that lives on.

    def stop(self, timeouts: Timeouts, on_done: Done, on_failed: Failed) -> None:
        """Say that TLS is over, and wait for the peer to say so too; then what it says is in the clear."""
        self._on_done, self._on_failed = on_done, on_failed
        self._timer = timeouts.begin(self._time_out)
        self._leg.pause()
        self._leg.resume(self._wait_for_end)
        self._grace = self._leg.call_later(_GRACE, self._say_end)

    def _say_end(self) -> None:
        self._leg.send_raw(self.end())
        self._expects_end = True

    def _wait_for_end(self) -> None:
        try:
            if self._goes_on_in_the_clear():
                self._stopped(b"")
                return
            count = self.receive(_PIECE)
        except OSError as error:
            self._fail(TlsError(f"the peer went: {error.strerror or error}", reason="tls_failed"))
            return
        if count:
            self._fail(TlsError("the peer says more where TLS should end", reason="bytes_before_clear"))
        elif self.ended:
            if self.truncated:
                self._fail(TlsError("the peer hung up where TLS should end", reason="tls_truncated"))
                return
            self._stopped(self._engine.leftover())

    def _goes_on_in_the_clear(self) -> bool:
        """Look whether the peer takes our close_notify for the end and sends none, as curl's passive mode does.

        A letter begins a command, and no TLS record. Whoever could put it there can do so behind a close_notify too.
        """
        if not self._expects_end:
            return False
        try:
            first = self._leg.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        self._expects_end = False
        return first.isalpha()

    def _stopped(self, leftover: bytes) -> None:
        on_done, _ = self._decided()
        self._leg.send_raw(self.end())  # unless it has been said
        self._leg.clear(leftover)
        on_done()

"""`TlsEngine`: TLS on one leg as bytes in, bytes out: `ssl.MemoryBIO` around an `SSLObject`. No sockets, no clock.

asyncio's own TLS offers neither session reuse nor half-close, and its upgrade loses what is buffered. Which certificate
is shown and what is verified is decided in `alg.relay.tls_settings`.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol

from alg.core import client_hello
from alg.core.client_hello import ClientHello, parse_client_hello
from alg.core.errors import ProtocolError, TlsError
from alg.core.model import TlsInfo


class RefusedHelloError(TlsError):
    """The client asks for what we do not have; `alert` (RFC 8446 section 6) tells it so."""

    def __init__(self, message: str, *, reason: str, alert: int) -> None:
        super().__init__(message, reason=reason)
        self.alert = alert


class Chooser(Protocol):
    """Decides what a client gets that begins a handshake."""

    def __call__(self, hello: ClientHello) -> ssl.SSLContext:
        """Return the context with the certificate to show.

        Raises:
            RefusedHelloError: it asks for another protocol, or another name.
        """


class TlsEngine:
    """One TLS connection. `handshake` first, until it says that it is complete; then `feed`, `read_into`, `write`."""

    __slots__ = ("_incoming", "_outgoing", "_ssl", "closed_by_peer", "complete", "truncated", "untouched")

    def __init__(self) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl: ssl.SSLObject | None = None
        self.untouched = True
        """Whether not one byte has come from the peer."""
        self.complete = False
        """Whether the handshake is."""
        self.closed_by_peer = False
        """Whether the peer has said that nothing more will come (close_notify), or just went (`truncated`)."""
        self.truncated = False
        """Whether the peer went without close_notify: somebody may have cut off what it said."""

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what came from the peer."""
        self.untouched = False
        self._incoming.write(data)

    def feed_eof(self) -> None:
        """The peer's end of the TCP connection has come."""
        self._incoming.write_eof()

    def take(self) -> bytes:
        """Give out what is to be sent to the peer."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes last; return whether it is complete.

        Raises:
            TlsError: it failed; what `take` gives (an alert) should still be sent.
        """
        if self._ssl is None:
            return False
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise handshake_error(error) from None
        self._check()
        self.complete = True
        return True

    def _check(self) -> None:
        """What is to be checked once the handshake is complete."""

    def read_into(self, buffer: memoryview) -> int:
        """Decrypt what has come into the buffer, as far as both last; return the number of plain bytes.

        Raises:
            TlsError: what came is no valid TLS (`tls_broken`).
        """
        assert self._ssl is not None, "the handshake comes first"
        count = 0
        while count < len(buffer) and not self.closed_by_peer:
            try:
                # With a buffer it returns a count, whatever typeshed says.
                got = int(self._ssl.read(len(buffer) - count, buffer[count:]))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                got = 0
            except ssl.SSLEOFError:
                self.truncated = True
                got = 0
            except ssl.SSLError as error:
                raise TlsError(f"the peer broke TLS: {explain(error)}", reason="tls_broken") from None
            if not got:
                self.closed_by_peer = True
            count += got
        return count

    def write(self, data: bytes | memoryview) -> bytes:
        """Encrypt; return all that is to be sent.

        Raises:
            TlsError: there is no TLS connection any more.
        """
        assert self._ssl is not None, "the handshake comes first"
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            raise TlsError(f"TLS cannot be written: {explain(error)}", reason="tls_broken") from None
        return self._outgoing.read()

    def close(self) -> bytes:
        """Say that nothing more will come (close_notify); return what is to be sent. What the peer says is still read."""
        if self._ssl is not None and self.complete:
            # It waits for the peer's own, which we do not: it comes, if it comes, in `read_into`.
            with contextlib.suppress(ssl.SSLError):
                self._ssl.unwrap()
        return self._outgoing.read()

    def leftover(self) -> bytes:
        """What came behind the peer's close_notify, in the clear."""
        return self._incoming.read()

    @property
    def info(self) -> TlsInfo:
        """What was agreed on."""
        assert self._ssl is not None, "the handshake comes first"
        cipher = self._ssl.cipher()
        resumed = bool(self._ssl.session_reused)
        return TlsInfo(self._ssl.version() or "", cipher[0] if cipher else "", self._asked_for, resumed)

    @property
    def _asked_for(self) -> str | None:
        return None

    @property
    def session(self) -> ssl.SSLSession | None:
        """What can be resumed: with TLS 1.3 there only after the peer's ticket has come, behind the handshake."""
        return self._ssl.session if self._ssl is not None else None


class Acceptor(TlsEngine):
    """Toward a client we are the TLS server: its hello decides which certificate it is shown."""

    __slots__ = ("_choose", "_first", "_hello", "_must_resume", "_tickets")

    def __init__(self, choose: Chooser, *, must_resume: bool = False, tickets: bool = True) -> None:
        """`tickets`: whether the client gets some, to resume this TLS session by (TLS 1.3)."""
        super().__init__()
        self._tickets = tickets
        self._choose = choose
        self._must_resume = must_resume
        self._first = bytearray()
        self._hello: ClientHello | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Take in what came from the peer."""
        if self._ssl is None:
            self._first += data
        super().feed(data)

    def handshake(self) -> bool:
        """As for every engine; the hello is read first."""
        if self._ssl is None and self._first:
            try:
                self._hello = parse_client_hello(self._first)
                if self._hello is None:
                    return False
                context = self._choose(self._hello)
            except RefusedHelloError as error:
                self._outgoing.write(client_hello.alert(error.alert))
                raise
            except ProtocolError as error:
                if error.reason != "not_tls":
                    self._outgoing.write(client_hello.alert(client_hello.HANDSHAKE_FAILURE))
                raise TlsError(str(error), reason=error.reason) from None
            self._first.clear()
            self._ssl = self._wrap(context)
        return super().handshake()

    def _wrap(self, context: ssl.SSLContext) -> ssl.SSLObject:
        number = context.num_tickets
        context.num_tickets = number if self._tickets else 0  # a connection keeps what holds when it is made
        try:
            return context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        finally:
            context.num_tickets = number

    def _check(self) -> None:
        assert self._ssl is not None
        if self._must_resume and not self._ssl.session_reused:
            raise TlsError("the client did not resume the TLS session of its master connection", reason="not_resumed")

    @property
    def _asked_for(self) -> str | None:
        return self._hello.server_name if self._hello else None


class Initiator(TlsEngine):
    """Toward a server we are the TLS client."""

    __slots__ = ("_is_pinned",)

    def __init__(
        self,
        context: ssl.SSLContext,
        name: str,
        *,
        session: ssl.SSLSession | None = None,
        is_pinned: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`name` is what the certificate must say; `is_pinned` is asked about the certificate in DER."""
        super().__init__()
        self._is_pinned = is_pinned
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)

    def _check(self) -> None:
        assert self._ssl is not None
        certificate = self._ssl.getpeercert(binary_form=True)
        if self._is_pinned and not (certificate and self._is_pinned(certificate)):
            raise TlsError("the server's certificate is none of those that are pinned", reason="certificate_refused")

    @property
    def _asked_for(self) -> str | None:
        return self._ssl.server_hostname if self._ssl else None


def explain(error: ssl.SSLError) -> str:
    """An OpenSSL error in words, without its file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return (error.reason or str(error)).lower().replace("_", " ")


def handshake_error(error: ssl.SSLError) -> TlsError:
    """The error of a handshake that failed, in words that name the mend where we know it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(f"the server's certificate is refused: {explain(error)}", reason="certificate_refused")
    if isinstance(error, ssl.SSLEOFError):
        return TlsError("the peer hung up in the TLS handshake", reason="tls_hung_up")
    return TlsError(f"the TLS handshake failed: {explain(error)}", reason="tls_failed")

"""TLS on one leg, by mitmproxy's own layers with what they lack: close_notify both ways, resumption of the control
channel's session toward the server, and failures that end one flow and are told instead of closing things at once.

A tunnel stands beside the layer that reads the leg, and not below it: so it can be put on in the middle of a stream.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mitmproxy.connection import Connection

from alg.core.errors import TlsError
from alg.core.model import TlsInfo
from alg.mitm import compat
from alg.mitm.compat import SSL, ClientTLSLayer, Context, Layer, ServerTLSLayer, TunnelState, commands, events

Commands: TypeAlias = Generator[commands.Command, object, None]


@dataclass(frozen=True, slots=True)
class Received:
    """Plain bytes came out of the leg."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer will say nothing more; `truncated`: it did not say so within TLS."""

    truncated: bool


@dataclass(frozen=True, slots=True)
class Shaken:
    """The handshake is over."""

    error: TlsError | None


News: TypeAlias = Received | Ended | Shaken


class _Say(events.Event):
    """A command for the inner end of a tunnel to give."""

    def __init__(self, command: commands.Command) -> None:
        self.command = command


class _Inside(Layer):
    """The inner end: collects what comes out, gives the commands that it is handed."""

    def __init__(self, context: Context, news: list[News]) -> None:
        super().__init__(context)
        context.layers.remove(self)  # nobody's parent
        self._news = news
        self.said_goodbye = False
        """Whether close_notify came."""

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, _Say):
            yield event.command
        elif isinstance(event, events.DataReceived):
            self._news.append(Received(event.data))
        elif isinstance(event, events.ConnectionClosed):
            self.said_goodbye = True
            self._news.append(Ended(truncated=False))


def _without_closing(given: Iterator[commands.Command]) -> Commands:
    """The same commands, but for those that close a connection: that is for the flow to decide."""
    for command in given:
        if not isinstance(command, commands.CloseConnection):
            yield command


class _Closing:
    """What both kinds of tunnel do in another way than mitmproxy's layers."""

    conn: Connection
    tls: SSL.Connection
    inside: _Inside
    tunnel_state: TunnelState

    news: list[News]
    _event_queue: list[events.Event]
    failed = False
    """Whether the handshake failed: nothing can be said within."""
    waits = False
    """Whether the handshake is to be started later."""
    _said_goodbye = False

    def start_tls(self) -> Commands:
        yield from _without_closing(super().start_tls())  # type: ignore[misc]
        if not self.tls:
            raise TlsError("mitmproxy has no TLS for this leg; its event log says why", reason="no_tls")

    def on_handshake_error(self, err: str) -> Commands:
        yield from _without_closing(super().on_handshake_error(err))  # type: ignore[misc]
        if self.tls:
            yield from self.tls_interact()  # type: ignore[attr-defined]  # the alert that says why

    def _handshake_finished(self, err: str | None) -> Commands:
        self.news.append(Shaken(_error(err) if err else None))
        if err:
            self.failed = True
            self._event_queue.clear()  # what waited to be encrypted never will be
        yield from super()._handshake_finished(err)  # type: ignore[misc]

    def receive_data(self, data: bytes) -> Commands:
        # What OpenSSL refuses to decrypt, mitmproxy only logs; OpenSSL would then keep for ever whatever else comes.
        broken = ""
        for command in super().receive_data(data):  # type: ignore[misc]
            if isinstance(command, commands.Log) and command.level >= logging.WARNING:
                broken = command.message
            yield command
        if broken:
            raise TlsError(broken, reason="tls_failed")

    def receive_close(self) -> Commands:
        # Without close_notify nobody knows whether more was to come (RFC 8446 section 6.1). What OpenSSL calls a received
        # shutdown may also have been an alert.
        if not self.inside.said_goodbye:
            self.news.append(Ended(truncated=True))
        yield from ()

    def send_close(self, command: commands.CloseConnection) -> Commands:
        # Also to a peer that has ended: it hears that we have said all (its own end makes mitmproxy's tunnel `CLOSED`).
        if self.established and not self.failed and not self._said_goodbye:
            self._said_goodbye = True
            with contextlib.suppress(SSL.Error):
                self.tls.shutdown()
            yield from self.tls_interact()  # type: ignore[attr-defined]
        yield from super().send_close(command)  # type: ignore[misc]

    # For the flow.

    def wait(self) -> None:
        """The handshake will be started later; keep what is said until then."""
        self.waits = True
        self.tunnel_state = TunnelState.ESTABLISHING

    def silence(self) -> None:
        """Whatever comes: never say goodbye, since more was to come."""
        self._said_goodbye = True

    def say(self, command: commands.Command) -> Iterator[commands.Command]:
        """Give a command from within the tunnel: data is encrypted, a close says goodbye. Waits for the handshake."""
        return self.handle_event(_Say(command))  # type: ignore[attr-defined,no-any-return]

    @property
    def established(self) -> bool:
        """Whether the handshake is complete."""
        return self.tls is not None and self.conn.timestamp_tls_setup is not None

    @property
    def info(self) -> TlsInfo:
        """What protects the leg."""
        conn = self.conn
        resumed = self.tls is not None and compat.is_resumed(self.tls)
        return TlsInfo(conn.tls_version or "", conn.cipher or "", conn.sni or None, resumed)


def _error(words: str) -> TlsError:
    refused = "verify failed" in words or "Certificate verify" in words
    return TlsError(words, reason="certificate_refused" if refused else "tls_failed")


class ClientTunnel(_Closing, ClientTLSLayer):
    """TLS toward the client, with a certificate of mitmproxy's CA.

    `server_first`: there is a handshake with the server that wants to know the name which the client asks for; it is
    asked for by an `OpenConnection` of the server. `holds_tickets`: tickets wait for what else the client is told.
    """

    def __init__(self, context: Context, news: list[News], *, server_first: bool, holds_tickets: bool = False) -> None:
        super().__init__(context)
        context.layers.remove(self)
        self.server_tls_available = server_first
        self._holds_tickets = holds_tickets
        self.news = news
        self.child_layer = self.inside = _Inside(context, news)

    def receive_handshake_data(self, data: bytes) -> compat.Asking[tuple[bool, str | None]]:
        work = super().receive_handshake_data(data)
        reply = None
        while True:
            try:
                command = work.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            reply = yield command
            if isinstance(command, compat.TlsClienthelloHook) and command.data.ignore_connection:
                raise TlsError(
                    "an addon wants this TLS to pass as it is: nothing passes that nobody judged", reason="tls_ignored"
                )

    def tls_interact(self) -> Commands:
        # A client that only sends reads no tickets (TLS 1.3): when it closes, its own kernel resets the connection, and what
        # it has sent is lost on the way (curl, lftp). So they wait until it is told something that it must read.
        if not (self._holds_tickets and self.established and self.tls.get_protocol_version_name() == "TLSv1.3"):
            yield from super().tls_interact()

    def send_data(self, data: bytes) -> Commands:
        self._holds_tickets = False
        yield from super().send_data(data)

    def send_close(self, command: commands.CloseConnection) -> Commands:
        self._holds_tickets = False
        yield from super().send_close(command)

    @property
    def unused(self) -> bool:
        """Whether the client has not said a single byte."""
        return not self.client_hello_parsed and not self.recv_buffer


class ServerTunnel(_Closing, ServerTLSLayer):
    """TLS toward the server; `resume` is the TLS session to resume, for servers that demand it on data connections."""

    def __init__(self, context: Context, news: list[News], resume: SSL.Session | None = None) -> None:
        super().__init__(context)
        context.layers.remove(self)
        self.news = news
        self.child_layer = self.inside = _Inside(context, news)
        self._resume = resume

    def start_tls(self) -> Commands:
        yield from super().start_tls()
        if self._resume is not None:
            self.tls.set_session(self._resume)

    @property
    def session(self) -> SSL.Session | None:
        """The TLS session, to be resumed on a data connection."""
        return self.tls.get_session() if self.established else None


Tunnel: TypeAlias = ClientTunnel | ServerTunnel

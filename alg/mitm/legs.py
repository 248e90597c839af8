"""`LegsLayer`: a mitmproxy layer with two legs, each in the clear or within a TLS tunnel that may be put on at any time.
It turns mitmproxy's events into news of a side, and ends the legs so that each side sees the truth.

What passes, and why, is not decided here.
"""

from __future__ import annotations

import errno
import os
import re
from abc import ABC, abstractmethod
from ipaddress import ip_address
from typing import TypeVar

from mitmproxy.connection import Connection, ConnectionState

from alg.core.errors import AlgError, ConnectError, ProtocolError, TlsError, as_error
from alg.core.model import Endpoint, Side, TlsInfo
from alg.mitm import compat
from alg.mitm.compat import Context, Layer, commands, events
from alg.mitm.tunnels import ClientTunnel, Commands, Ended, News, Received, ServerTunnel, Shaken, Tunnel

LINGER = 0.5
"""Seconds that a client has to take the last word to it, before our close could destroy that word."""

T = TypeVar("T")


def endpoint_of(address: tuple[object, ...]) -> Endpoint:
    """Turn mitmproxy's address of a socket into an endpoint."""
    host, port, *_ = address
    assert isinstance(host, str) and isinstance(port, int), "an address of a TCP socket"
    return Endpoint(ip_address(host.partition("%")[0]), port)


def literal(address: tuple[str, int] | None) -> Endpoint | None:
    """Where a server's address leads, if it is no name."""
    try:
        return Endpoint.parse(*address) if address is not None else None
    except ProtocolError:
        return None


def connect_error(address: tuple[str, int] | None, words: str) -> ConnectError:
    """Why a server was not reached, of what mitmproxy says about it: `[Errno 111] Connect call failed …`."""
    host, port = address or ("the server", 0)
    number = int(match[1]) if (match := re.match(r"\[Errno (\d+)\]", words)) else 0
    reasons = {errno.ECONNREFUSED: "connect_refused", errno.ETIMEDOUT: "connect_timeout"}
    why = os.strerror(number) if number else words
    return ConnectError(f"{host}:{port}: {why}", reason=reasons.get(number, "connect_failed"))


class RefusedLayer(Layer):
    """A connection that was to be treated and cannot be: it is closed, and nothing passes."""

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            for conn in (self.context.server, self.context.client):
                if conn.state is not ConnectionState.CLOSED:
                    yield commands.CloseConnection(conn)


class LegsLayer(Layer, ABC):
    """Two connections. A subclass hears what comes of them by the methods that begin with `_on_`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tunnels: dict[Side, Tunnel] = {}
        self._news: dict[Side, list[News]] = {side: [] for side in Side}
        self._early: list[tuple[Side, News]] = []
        self._asked_for_server: commands.OpenConnection | None = None
        """The request of the client's handshake to see to that of the server first."""
        self._heard_end: set[Side] = set()
        """The sides that were told that nothing more will come."""
        self._closing = False
        self._closed = False
        self._linger: commands.RequestWakeup | None = None
        """Until when the client has time to take the last word to it."""

    @abstractmethod
    def _on_start(self) -> Commands:
        """The client's connection is there; the server's may be."""

    @abstractmethod
    def _on_data(self, side: Side, data: bytes) -> Commands:
        """Plain bytes came from that side."""

    @abstractmethod
    def _on_end(self, side: Side, *, truncated: bool) -> Commands:
        """That side will say nothing more; `truncated`: TLS ended without close_notify."""

    @abstractmethod
    def _on_lost(self, side: Side, error: ConnectError) -> Commands:
        """That side's connection broke."""

    @abstractmethod
    def _on_shaken(self, side: Side, error: TlsError | None) -> Commands:
        """The handshake on that leg is over."""

    @abstractmethod
    def _on_wakeup(self, call: commands.RequestWakeup) -> Commands:
        """A time has come that the subclass asked for, perhaps long after it was of interest; or somebody else did."""

    @abstractmethod
    def _on_injected(self, event: compat.TcpMessageInjected) -> Commands:
        """A message did not come from a connection."""

    @abstractmethod
    def _on_failure(self, error: AlgError) -> Commands:
        """Something went wrong in here: nothing may pass any more."""

    @abstractmethod
    def _break(self) -> Commands:
        """Cut off both sides."""

    # Events.

    def _handle_event(self, event: events.Event) -> Commands:
        try:
            yield from self._treat(event)
        except Exception as problem:  # noqa: BLE001 - mitmproxy would log it, and let the next event pass
            yield from self._fail(as_error(problem))

    def _fail(self, error: AlgError) -> Commands:
        try:
            yield from self._on_failure(error)
        except Exception:  # noqa: BLE001 - the last words to the client may be what fails: then it gets none
            yield from self._break()

    def _treat(self, event: events.Event) -> Commands:
        if isinstance(event, events.DataReceived | events.ConnectionClosed):
            yield from self._treat_connection(self._side_of(event.connection), event)
        elif isinstance(event, events.Start):
            yield from self._on_start()
        elif isinstance(event, events.Wakeup):
            yield from self._finish() if event.command is self._linger else self._on_wakeup(event.command)
        elif isinstance(event, events.CommandCompleted):
            for side, tunnel in list(self._tunnels.items()):
                if tunnel is event.command.blocking:
                    yield from self._through(side, event)
        elif isinstance(event, compat.TcpMessageInjected):
            yield from self._on_injected(event)

    def _treat_connection(self, side: Side, event: events.DataReceived | events.ConnectionClosed) -> Commands:
        is_end = isinstance(event, events.ConnectionClosed)
        if self._closing:
            if is_end and side is Side.CLIENT:
                yield from self._finish()
            return
        by_us = side in self._heard_end and compat.closes_wholly(self.context.client)
        if is_end and not by_us and compat.lacks_end(compat.handler_of(self.context.client), event.connection):
            error = ConnectError(f"the {side.value} is gone: reset, or idle for too long", reason=f"{side.value}_lost")
            yield from self._on_lost(side, error)
        elif side in self._tunnels:
            if side is Side.SERVER and self._tunnels[side].tls is None and not is_end:
                raise ProtocolError("the server says more before the TLS handshake", reason="bytes_before_tls")
            yield from self._through(side, event)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._tell(side, Ended(truncated=False))
        else:
            yield from self._tell(side, Received(event.data))

    def _side_of(self, conn: Connection) -> Side:
        return Side.CLIENT if conn == self.context.client else Side.SERVER

    def _conn(self, side: Side) -> Connection:
        return self.context.client if side is Side.CLIENT else self.context.server

    # TLS.

    def _cover(self, side: Side, *, server_first: bool = False, later: bool = False) -> Commands:
        """Put TLS on a leg. `server_first`: the client's handshake waits for the server's, which is begun by it;
        `later`: it begins when it is asked for."""
        tunnel: Tunnel
        if side is Side.CLIENT:
            tunnel = ClientTunnel(
                self.context, self._news[side], server_first=server_first, holds_tickets=self._holds_tickets
            )
        else:
            tunnel = ServerTunnel(self.context, self._news[side], self._resumable())
        self._tunnels[side] = tunnel
        if later:
            tunnel.wait()
        else:
            yield from self._through(side, events.Start())

    @property
    @abstractmethod
    def _holds_tickets(self) -> bool:
        """Whether the client gets tickets to resume its TLS session by only with what else it is told."""

    @abstractmethod
    def _resumable(self) -> compat.SSL.Session | None:
        """The TLS session toward the server that is to be resumed."""

    def _tls(self, side: Side) -> TlsInfo | None:
        tunnel = self._tunnels.get(side)
        return tunnel.info if tunnel and tunnel.established else None

    def _through(self, side: Side, event: events.Event) -> Commands:
        """Hand an event to a tunnel, and treat what comes out of it."""
        for command in self._tunnels[side].handle_event(event):
            if isinstance(command, commands.OpenConnection):
                self._asked_for_server = command  # mitmproxy's word for: the server's handshake first
            else:
                yield command
        news = self._news[side]
        while news:
            yield from self._tell(side, news.pop(0))
        if self._asked_for_server is not None and side is Side.CLIENT:
            yield from self._begin_with_server()

    def _begin_with_server(self) -> Commands:
        """The client has said which name it wants, or cannot wait any longer: the server's handshake begins."""
        tunnel = self._tunnels.get(Side.SERVER)
        if tunnel is not None and tunnel.waits and not tunnel.failed:
            tunnel.waits = False
            yield from self._through(Side.SERVER, events.Start())

    @property
    @abstractmethod
    def _began(self) -> bool:
        """Whether what a side says can be treated: the legs that are TLS from the first byte have shaken hands."""

    def _carry_early(self) -> Commands:
        """Treat what came on one leg while the other one still shook hands."""
        early, self._early = self._early, []
        for side, news in early:
            yield from self._tell(side, news)
        for side in Side:
            compat.set_reading(compat.handler_of(self.context.client), self._conn(side), on=True)

    def _tell(self, side: Side, news: News) -> Commands:
        if self._closing:
            return
        if not self._began and not isinstance(news, Shaken):
            self._early.append((side, news))
            compat.set_reading(compat.handler_of(self.context.client), self._conn(side), on=False)
            return
        if isinstance(news, Received):
            yield from self._on_data(side, news.data)
        elif isinstance(news, Ended):
            yield from self._on_end(side, truncated=news.truncated)
        elif isinstance(news, Shaken):
            yield from self._on_shaken(side, news.error)
            if side is Side.SERVER and self._asked_for_server is not None and not self._closing:
                asked, self._asked_for_server = self._asked_for_server, None
                error = str(news.error) if news.error else None
                yield from self._through(Side.CLIENT, events.OpenConnectionCompleted(asked, error))

    # To the legs.

    def _write(self, side: Side, data: bytes) -> Commands:
        yield from self._give(side, commands.SendData(self._conn(side), data))

    def _give(self, side: Side, command: commands.Command) -> Commands:
        tunnel = self._tunnels.get(side)
        closes = isinstance(command, commands.CloseConnection)
        if tunnel is None or (closes and not tunnel.established):
            yield command  # a handshake that is not over is not waited for
        elif not tunnel.failed:
            yield from tunnel.say(command)
            if tunnel.waits and isinstance(command, commands.SendData):  # for a name that is perhaps never said
                yield from self._begin_with_server()

    def _send_eof(self, side: Side, *, truncated: bool = False) -> Commands:
        """Tell that side that nothing more will come; `truncated`: without saying so within TLS."""
        conn = self._conn(side)
        if conn.state & ConnectionState.CAN_WRITE:
            command = commands.CloseTcpConnection(conn, half_close=True)
            if truncated and side in self._tunnels:
                self._tunnels[side].silence()
            self._heard_end.add(side)
            yield from self._give(side, command)

    def _reset(self, side: Side) -> Commands:
        """That side was cut off, and must not take this for an end."""
        compat.reset(compat.handler_of(self.context.client), self._conn(side))
        if self._conn(side).state is not ConnectionState.CLOSED:
            yield commands.CloseConnection(self._conn(side))

    # The end.

    def _close(self, *, reset_server: bool = False) -> Commands:
        """Close both legs when all that was said has left; the client gets the time to take it."""
        self._closing = True
        server = self.context.server
        if reset_server:
            yield from self._reset(Side.SERVER)
        elif server.state is not ConnectionState.CLOSED:
            yield from self._give(Side.SERVER, commands.CloseConnection(server))
        client = self.context.client
        if client.state & ConnectionState.CAN_READ and client.state & ConnectionState.CAN_WRITE:
            yield from self._send_eof(Side.CLIENT)
            self._linger = commands.RequestWakeup(LINGER)
            yield self._linger
        else:
            yield from self._finish()

    def _finish(self) -> Commands:
        """Nobody waits for anything any more."""
        if not self._closed:
            self._closed = True
            for side in (Side.SERVER, Side.CLIENT):
                if self._conn(side).state is not ConnectionState.CLOSED or self._only_said_goodbye(side):
                    yield from self._give(side, commands.CloseConnection(self._conn(side)))

    def _only_said_goodbye(self, side: Side) -> bool:
        """Whether that side has ended within TLS, which mitmproxy takes for an end, and not its connection."""
        tunnel = self._tunnels.get(side)
        handler = compat.handler_of(self.context.client)
        return tunnel is not None and tunnel.inside.said_goodbye and compat.lacks_end(handler, self._conn(side))

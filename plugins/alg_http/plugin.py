"""The HTTP plugin: two coroutines, one for requests and one for answers. One request is under way at a time; those that a
client sends ahead wait unread, so answers need no sorting. What is done with each is in `asking`, `answering` and `websocket`.
"""

from __future__ import annotations

from dataclasses import replace

from alg.plugin import AlgError, ConnectError, Leg, Need, ProtocolError, Stream, StreamPlugin, TlsError, Ways
from alg_http import refusals
from alg_http.answering import Answering
from alg_http.asking import Asking
from alg_http.config import HttpConfig
from alg_http.connection import Connection
from alg_http.exchange import Exchange
from alg_http.heads import Request, Response, read_request, read_response, without
from alg_http.web import WebExchange
from alg_http.websocket import EXTENSIONS, WebSocket, upgrade

_QUIET = frozenset(("too_slow", "idle", "stopped"))
"""Ends that are nobody's fault, see `_is_between`."""


class HttpPlugin(StreamPlugin[HttpConfig]):
    """Treats one connection of an HTTP client."""

    name = "http"
    config_type = HttpConfig
    default_port = 80
    tls_scheme = ("https", 443)
    alpn = ("http/1.1",)

    def __init__(self, config: HttpConfig) -> None:
        super().__init__(config)
        self._connection: Connection | None = None
        self._socket: WebSocket | None = None
        """What follows on the connection, once both ends agree on a WebSocket whose frames are read."""
        self._by_server = False
        """Whether what went wrong was found in what the server said."""

    def needs(self) -> frozenset[Need]:
        """Whatever a server names may need a listener that outlives the connection."""
        return frozenset((Need.SHARED,))

    def http(self, client: Leg, server: Leg, ways: Ways) -> WebExchange:
        """The same for a host that parses HTTP itself."""
        return WebExchange(self.config, client, server, ways)

    def refusal(self, error: AlgError) -> bytes | None:
        """A status with the reason, or a close frame; who is in the middle of an answer is cut off."""
        if self._socket is not None:
            return self._socket.last_words(error)
        exchange = self._connection.exchange if self._connection else None
        if exchange is not None and exchange.answered:
            return None
        if self._is_between(error):
            return b""
        status = refusals.status_of(error, by_server=self._by_server)
        head = exchange is not None and exchange.request.method == b"HEAD"
        return refusals.refuse(status, error.reason, close=True, head=head)

    def _is_between(self, error: AlgError) -> bool:
        """Whether a client that has no request under way hears of what it did not do: it would take that for the answer to
        its next one."""
        connection = self._connection
        if connection is None or not connection.asked or connection.exchange or connection.client.buffered:
            return False
        return self._by_server or isinstance(error, ConnectError | TlsError) or error.reason in _QUIET

    # From the client.

    async def from_client(self, stream: Stream) -> None:
        """Send requests on, one after the other."""
        self._connection = connection = Connection(self.name, self.config, self.flow, stream)
        asking = Asking(connection)
        while (request := await self._next(stream, connection)) is not None:
            exchange = connection.exchange = asking.begin(request)
            if exchange is None:
                continue
            await asking.send(stream, exchange)
            if (socket := await exchange.over) is not None:
                await socket.relay(stream)
                return
            if not exchange.persistent:
                while await stream.read_some():  # it is getting its last answer, and may not know that yet
                    pass
                return  # the answer lasts up to the server's end, not up to the client's
        self.flow.close()

    async def _next(self, stream: Stream, connection: Connection) -> Request | None:
        """The next request, in time."""
        config = self.config
        self.flow.deadline(config.keep_alive if connection.asked else config.head_timeout, "the head of a request")
        request = await read_request(stream, config.max_head, config.max_headers)
        connection.asked = True
        self.flow.deadline(None)
        if request is not None and not connection.rate.admit(self.flow.now):
            raise ProtocolError(f"more than {config.request_rate} requests a second", reason="request_rate")
        return request

    # From the server.

    async def from_server(self, stream: Stream) -> None:
        """Send answers on, to the requests that they belong to."""
        try:
            assert self._connection is not None, "`from_client` runs first"
            await self._read_answers(stream, self._connection)
        except ProtocolError:
            self._by_server = self._socket is None
            raise

    async def _read_answers(self, stream: Stream, connection: Connection) -> None:
        answering, config = Answering(connection), self.config

        def asked() -> Request | None:
            return connection.exchange.sent if connection.exchange else None

        while (response := await read_response(stream, asked, config.max_head, config.max_headers)) is not None:
            exchange = connection.exchange
            assert exchange is not None, "nobody asked, and that was found out"
            if response.status == 101:
                await self._upgrade(stream, exchange, response, answering)
                return
            if response.status < 200:
                await answering.inform(stream, exchange, response)
            elif not await answering.answer(stream, exchange, response):
                return
        if connection.exchange is not None:
            raise ProtocolError("the server ended without an answer", reason="server_closed")
        self.flow.close()

    async def _upgrade(self, stream: Stream, exchange: Exchange, response: Response, answering: Answering) -> None:
        assert self._connection is not None, "there is a request"
        fields, socket = upgrade(self._connection, exchange, response)
        sent = await answering.outward(response, exchange)
        kept = without(sent.headers, (b"content-length", EXTENSIONS))
        stream.send(replace(sent, headers=(*kept, *fields)).to_bytes())
        exchange.answered = True
        if socket is None:
            self.flow.splice()
            return
        self._socket, self._connection.exchange = socket, None
        exchange.over.keep(socket)
        await socket.relay(stream)


class WebSocketPlugin(HttpPlugin):
    """Treats one connection of a WebSocket client, HTTP and all."""

    name = "ws"
    tls_scheme = ("wss", 443)

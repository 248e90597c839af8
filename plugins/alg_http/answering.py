"""`Answering`: from what the server answers to what the client is told: bodies that hold addresses are read and mapped, all
others pass.
"""

from __future__ import annotations

from dataclasses import replace

from alg.plugin import ProtocolError, Stream
from alg_http.connection import Connection
from alg_http.content import decode
from alg_http.exchange import Exchange
from alg_http.fields import of_rewritten, response_fields
from alg_http.framing import Body, Framing, framing_headers, pass_body, read_body, response_body
from alg_http.heads import Response, end_to_end, tokens, without
from alg_http.mapping import body_kind, coding_of
from alg_http.rules import Rule

_INFORMATION = 64
"""Answers like 100 to one request."""
_LENGTH = (b"content-length",)


class Answering:
    """What becomes of answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def outward(self, response: Response, exchange: Exchange) -> Response:
        """The head as the client shall see it, without what is about one hop or about the body's length."""
        kept = replace(response, headers=end_to_end(response.headers))
        fields = await response_fields(kept, exchange.ends, self._connection.mapper)
        return replace(kept, headers=tuple(fields))

    async def inform(self, stream: Stream, exchange: Exchange, response: Response) -> None:
        """100, 103 and the like, before the answer; who speaks HTTP/1.0 does not know them."""
        exchange.informed += 1
        if exchange.informed > _INFORMATION:
            raise ProtocolError(f"the server sent more than {_INFORMATION} answers like 100", reason="bad_response")
        if exchange.request.version == b"1.1":
            sent = await self.outward(response, exchange)
            stream.send(replace(sent, headers=without(sent.headers, _LENGTH)).to_bytes())

    async def answer(self, stream: Stream, exchange: Exchange, response: Response) -> bool:
        """Send the answer on; return whether another may follow on this connection."""
        body = response_body(exchange.request, response)
        if exchange.request.method == b"CONNECT" and 200 <= response.status < 300:
            await self._tunnel(stream, exchange, response)
            return False
        # A request that is still on its way will not be heard any more, and then nor would the next one be.
        lasts = exchange.persistent and exchange.uploaded and response.version == b"1.1"
        lasts = lasts and b"close" not in tokens(response.headers, b"connection")
        rule = exchange.rule
        kind = body_kind(response.headers, rule)
        if rule is not None and kind is not None and not body.is_empty:
            data = await self._read_mapped(stream, exchange, response, body, rule, kind)
            sent = await self.outward(response, exchange)
            sent = replace(sent, headers=of_rewritten(sent.headers))
            lasts = lasts and body.framing is not Framing.UNTIL_CLOSE
            self._begin(stream, exchange, sent, Body(Framing.LENGTH, len(data)), lasts=lasts)
            stream.send(data)
            return self._connection.finish(exchange, lasts=lasts)
        sent = await self.outward(response, exchange)
        if rule is not None and kind is not None:  # HEAD: it would not be that long
            sent = replace(sent, headers=without(of_rewritten(sent.headers), _LENGTH))
        return await self._pass(stream, exchange, sent, body, lasts=lasts)

    async def _pass(self, stream: Stream, exchange: Exchange, sent: Response, body: Body, *, lasts: bool) -> bool:
        """An answer whose body is not looked at."""
        chunks = exchange.request.version == b"1.1"
        if body.framing is Framing.UNTIL_CLOSE:
            self._begin(stream, exchange, sent, body, lasts=False)
            exchange.persistent = False
            exchange.over.keep(None)
            return False  # what comes is opaque, end and all
        lasts = lasts and (chunks or body.framing is not Framing.CHUNKED)
        self._begin(stream, exchange, sent, body, lasts=lasts)
        await pass_body(stream, body, chunks=chunks)
        return self._connection.finish(exchange, lasts=lasts)

    def _begin(self, stream: Stream, exchange: Exchange, sent: Response, body: Body, *, lasts: bool) -> None:
        exchange.answered = True
        fields = list(sent.headers)
        if body.framing is not Framing.NONE or sent.status == 204:  # of HEAD and 304 it is that of another answer
            fields = list(without(fields, _LENGTH))
            if body.framing is not Framing.CHUNKED or exchange.request.version == b"1.1":
                fields += framing_headers(body)
        if not lasts:
            fields.append((b"Connection", b"close"))
        stream.send(replace(sent, headers=tuple(fields)).to_bytes())

    async def _read_mapped(
        self, stream: Stream, exchange: Exchange, response: Response, body: Body, rule: Rule, kind: str
    ) -> bytes:
        """A body that holds addresses, mapped."""
        limit = self._connection.config.max_body
        data = await read_body(stream, body, limit)
        if not data:
            return data
        data = decode(data, coding_of(response.headers), limit)
        return await self._connection.mapper.body(rule, data, kind, exchange.ends, exchange.request.summary)

    async def _tunnel(self, stream: Stream, exchange: Exchange, response: Response) -> None:
        """CONNECT was allowed by the operator and by the server: what follows is nobody's business."""
        if self._connection.client.buffered:
            raise ProtocolError("the client says more before the server has agreed", reason="bytes_before_upgrade")
        sent = await self.outward(response, exchange)
        stream.send(replace(sent, headers=without(sent.headers, _LENGTH)).to_bytes())
        exchange.answered = True
        self._connection.flow.splice()

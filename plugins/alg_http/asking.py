"""`Asking`: from the head of a request to what the server is asked: who may ask, what the request is about, its fields and
its body as the server shall see them.
"""

from __future__ import annotations

from dataclasses import replace

from alg.plugin import PolicyError, ProtocolError, Stream
from alg_http import admission, handshake, refusals
from alg_http.connection import Connection
from alg_http.content import decode
from alg_http.exchange import Exchange
from alg_http.fields import asking_for_plain, of_rewritten, request_fields
from alg_http.framing import Body, framing_headers, pass_body, read_body, request_body
from alg_http.handshake import Offer
from alg_http.heads import Header, Request, end_to_end, lowered, tokens, without
from alg_http.mapping import body_kind, coding_of, ends_of
from alg_http.origins import Origin, own_origin, parse_authority
from alg_http.rules import Part, Rule
from alg_http.websocket import own_offer, reads_frames

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SCHEMES = (b"http", b"https", b"ws", b"wss")


class Asking:
    """What becomes of requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, request: Request) -> Exchange | None:
        """What is to be asked of the server; None: the request was refused, and answered.

        Raises:
            ProtocolError: the request is malformed; the connection ends.
        """
        connection = self._connection
        config, flow = connection.config, connection.flow
        request, outside = self._name(request)
        admission.check_target(request)
        body = request_body(request)
        if request.method == b"CONNECT" and not body.is_empty:
            # It means nothing (RFC 9110 section 9.3.6): for who does not read it, it is the next request, which nobody judged.
            raise ProtocolError("the client sent CONNECT with a body", reason="bad_target")
        try:
            ends = ends_of(config, outside, flow.client, flow.server)
            admission.admit(config, request, outside, known=ends.known)
            offer = self._offer(request)
        except PolicyError as error:
            self._refuse(request, body, error)
            return None
        kept = replace(request, headers=end_to_end(request.headers))
        fields = request_fields(kept, ends, connection.mapper, config, flow.client.peer.address)
        rule = config.rule(Part.RESPONSE, request.path)
        if rule is not None:
            fields = asking_for_plain(fields)
        persistent = _persists(request) and offer is None
        if offer is not None:
            fields += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
            if reads_frames(config, request):
                fields, offer = own_offer(fields, offer)
        elif not persistent:
            fields.append((b"Connection", b"close"))
        sent = replace(request, headers=without(fields, (b"content-length",)))
        return Exchange(request, sent, ends, body, rule, offer, persistent)

    def _name(self, request: Request) -> tuple[Request, Origin]:
        """The request with its target in origin form, and how the client calls us (RFC 9112 section 3.2.2)."""
        client = self._connection.flow.client
        hosts = request.values(b"host")
        outside = parse_authority(hosts[0], secure=client.secure) if hosts and hosts[0] else own_origin(client)
        scheme, absolute, rest = request.target.partition(b"://")
        if not absolute or scheme.lower() not in _SCHEMES or request.method == b"CONNECT":
            return request, outside
        end = next((at for at, byte in enumerate(rest) if byte in b"/?"), len(rest))
        path = rest[end:]
        target = path if path.startswith(b"/") else b"/" + path
        return replace(request, target=target), parse_authority(rest[:end], secure=client.secure)

    def _offer(self, request: Request) -> Offer | None:
        """What a WebSocket handshake offers; None if the request is another one. Other upgrades are not passed on."""
        connection = self._connection
        if asked := [each for each in tokens(request.headers, b"upgrade") if each != b"websocket"]:
            words = f"the client would like to upgrade to {asked[0][:40]!a}, which is not offered here"
            connection.flow.log("not_offered", words)
        headers = lowered(request.headers)
        if not handshake.is_upgrade(headers):
            return None
        offer = handshake.check_request(request.method, request.version, headers)
        if connection.client.buffered:
            # It cannot know yet whether there will be a WebSocket; to a server that refuses, this would be a request.
            raise ProtocolError("the client says more before the server has agreed", reason="bytes_before_upgrade")
        admission.admit_page(connection.config, request)
        return offer

    def _refuse(self, request: Request, body: Body, error: PolicyError) -> None:
        """Answer ourselves. The connection lives on where nothing of the request is left to come."""
        flow = self._connection.flow
        close = not body.is_empty or not _persists(request) or bool(tokens(request.headers, b"upgrade"))
        status = refusals.status_of(error, by_server=False)
        flow.log(error.reason, f"{status}: {error}")
        answer = refusals.refuse(status, error.reason, close=close, head=request.method == b"HEAD")
        self._connection.client.reply(answer)
        if close:
            flow.close()

    async def send(self, stream: Stream, exchange: Exchange) -> None:
        """Send the request on, body and all."""
        config = self._connection.config
        rule = config.rule(Part.REQUEST, exchange.request.path)
        kind = body_kind(exchange.request.headers, rule) if not exchange.body.is_empty else None
        if rule is not None and kind is not None:
            await self._send_mapped(stream, exchange, rule, kind)
        else:
            fields = (*exchange.sent.headers, *framing_headers(exchange.body))
            stream.send(replace(exchange.sent, headers=fields).to_bytes())
            await pass_body(stream, exchange.body)
        exchange.uploaded = True

    async def _send_mapped(self, stream: Stream, exchange: Exchange, rule: Rule, kind: str) -> None:
        """A request whose body may hold addresses of ours."""
        fields: tuple[Header, ...] = exchange.sent.headers
        limit = self._connection.config.max_body
        if tokens(fields, b"expect"):
            stream.reply(_CONTINUE)
            fields = without(fields, (b"expect",))
        data = await read_body(stream, exchange.body, limit)
        if data:
            data = decode(data, coding_of(fields), limit)
            data = self._connection.mapper.body_inward(rule, data, kind, exchange.ends)
        fields = (*of_rewritten(fields), (b"Content-Length", b"%d" % len(data)))
        stream.send(replace(exchange.sent, headers=fields).to_bytes() + data)


def _persists(request: Request) -> bool:
    """Whether the client may ask for more on its connection (RFC 9112 section 9.3); of HTTP/1.0 it is not expected."""
    return request.version == b"1.1" and b"close" not in tokens(request.headers, b"connection")

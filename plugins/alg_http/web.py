"""`WebExchange`: the same rules and the same mapping for hosts that parse HTTP themselves. What is about one hop, and how
bodies are framed, is theirs.
"""

from __future__ import annotations

from dataclasses import replace

from alg.plugin import AlgError, HttpExchange, HttpRequest, HttpResponse, Leg, ProtocolError, Side, Ways
from alg_http import admission, handshake, refusals
from alg_http.config import HttpConfig
from alg_http.content import decode
from alg_http.fields import asking_for_plain, of_rewritten, request_fields, response_fields
from alg_http.heads import Request, Response, lowered, without
from alg_http.mapping import Mapper, body_kind, coding_of, ends_of
from alg_http.origins import own_origin, parse_authority
from alg_http.rules import Part

_UPGRADES = frozenset((b"upgrade", b"http2-settings"))


class WebExchange(HttpExchange):
    """One exchange between two legs."""

    def __init__(self, config: HttpConfig, client: Leg, server: Leg, ways: Ways) -> None:
        self._config = config
        self._client = client
        self._server = server
        self._mapper = Mapper(config, ways)
        self._asked = Request(b"GET", b"/", b"1.1")
        self._offer: handshake.Offer | None = None
        self._ends = ends_of(config, own_origin(client), client, server)
        self._by_server = False

    def request(self, request: HttpRequest) -> HttpRequest:
        """See `HttpExchange`."""
        asked = self._asked = Request(request.method, request.target, b"1.1", request.headers)
        hosts = asked.values(b"host")
        if hosts and hosts[0]:
            outside = parse_authority(hosts[0], secure=self._client.secure)
            self._ends = ends_of(self._config, outside, self._client, self._server)
        admission.check_target(asked)
        admission.admit(self._config, asked, self._ends.outside, known=self._ends.known)
        self._judge_upgrade(asked, request.body)
        client = self._client.peer.address
        fields = request_fields(asked, self._ends, self._mapper, self._config, client)
        if self._offer is None:
            fields = list(without(fields, _UPGRADES))
        if self._config.rule(Part.RESPONSE, asked.path) is not None:
            fields = asking_for_plain(fields)
        rule = self._config.rule(Part.REQUEST, asked.path)
        kind = body_kind(request.headers, rule)
        if rule is None or kind is None or not request.body:
            return replace(request, headers=tuple(fields))
        body = decode(request.body, coding_of(request.headers), self._config.max_body)
        body = self._mapper.body_inward(rule, body, kind, self._ends)
        return replace(request, headers=of_rewritten(fields), body=body)

    def _judge_upgrade(self, asked: Request, body: bytes) -> None:
        headers = lowered(asked.headers)
        if not handshake.is_upgrade(headers):
            return
        self._offer = handshake.check_request(asked.method, asked.version, headers)
        if body:
            raise ProtocolError("the WebSocket request has a body", reason="bad_upgrade")
        admission.admit_page(self._config, asked)

    async def response(self, response: HttpResponse) -> HttpResponse:
        """See `HttpExchange`."""
        self._by_server = True
        if response.status == 101:
            if self._offer is None:
                raise ProtocolError("the server switches protocols, and nobody has asked for it", reason="fake_upgrade")
            handshake.check_response(self._offer, lowered(response.headers))
        answer = Response(response.status, headers=response.headers)
        fields = await response_fields(answer, self._ends, self._mapper)
        rule = self._config.rule(Part.RESPONSE, self._asked.path)
        kind = body_kind(response.headers, rule)
        if rule is None or kind is None or not response.body:
            return replace(response, headers=tuple(fields))
        body = decode(response.body, coding_of(response.headers), self._config.max_body)
        body = await self._mapper.body(rule, body, kind, self._ends, self._asked.summary)
        return replace(response, headers=of_rewritten(fields), body=body)

    async def message(self, side: Side, text: bytes) -> bytes:
        """See `HttpExchange`."""
        rule = self._config.rule(Part.MESSAGE, self._asked.path)
        return text if rule is None else await self._mapper.message(rule, side, text, self._ends)

    def status(self, error: AlgError) -> int:
        """See `HttpExchange`."""
        return refusals.status_of(error, by_server=self._by_server)

"""`Web`: HTTP and WebSocket in mitmproxy: its hooks ask a plugin for HTTP what becomes of each request, answer and message.
The parsing is mitmproxy's, the rules and the mapping are the plugin's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.connection import Connection

from alg.core.addresses import name_of
from alg.core.errors import AlgError, PolicyError, as_error
from alg.core.machines import make_plugin
from alg.core.model import Connect, Endpoint, Leg, Side, TlsInfo
from alg.core.web import HeaderField, HttpExchange, HttpRequest, HttpResponse
from alg.mitm import compat
from alg.mitm.legs import endpoint_of
from alg.mitm.services import Services
from alg.mitm.settings import Treatment, is_for_http
from alg.mitm.shared import SharedServers

_COMMENT_LINES = 40


class Web:
    """The HTTP flows of one mitmproxy."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.shared = SharedServers(services)
        self._exchanges: dict[str, HttpExchange] = {}
        """By mitmproxy's number of the flow."""

    def _treatment(self, flow: http.HTTPFlow) -> Treatment | None:
        """How a flow is treated: only where clients speak to us, and not through us, as their server."""
        mode = flow.client_conn.proxy_mode
        if not isinstance(mode, compat.mode_specs.ReverseMode):
            return None
        shared = self.shared.server(mode)
        treatment = shared.treatment if shared else self._services.settings.treatment(mode.address[1])
        return treatment if treatment is not None and is_for_http(treatment.plugin) else None

    def begins(self, flow: http.HTTPFlow) -> None:
        """A request begins: it goes on when it was judged, which is when it is whole, whatever `stream_large_bodies` says."""
        if self._treatment(flow) is not None:
            compat.hold_bodies(flow)

    def response_begins(self, flow: http.HTTPFlow) -> None:
        """The same for an answer, whatever addons before us have said."""
        if flow.id in self._exchanges and flow.response is not None:
            flow.response.stream = False

    def _passed(self, flow: http.HTTPFlow, message: http.Message) -> bool:
        """Whether another addon has let a message stream, before anybody has judged it: that ends the connection."""
        if not message.stream:
            return False
        self.write(flow, "streamed", "another addon has let a body pass that nobody has judged")
        self.forget(flow)
        flow.kill()
        return True

    async def request(self, flow: http.HTTPFlow) -> None:
        """A request is complete: judge it, and map what is in it."""
        treatment = self._treatment(flow)
        if treatment is None or flow.response is not None or self._passed(flow, flow.request):
            return
        try:
            client, server = _leg(flow.client_conn), self._server_leg(flow)
            ways = _Ways(self, flow, treatment, client, server)
            exchange = make_plugin(treatment.plugin, treatment.config).http(client, server, ways)
            assert exchange is not None, "it is a plugin for HTTP"
            self._exchanges[flow.id] = exchange
            self._ask(flow, exchange, client)
        except Exception as problem:  # noqa: BLE001 - mitmproxy would log it, and let the request pass
            self._refuse(flow, as_error(problem))

    def _server_leg(self, flow: http.HTTPFlow) -> Leg:
        """The leg toward the server, which mitmproxy may yet have to connect to."""
        conn = flow.server_conn
        mode = flow.client_conn.proxy_mode
        assert isinstance(mode, compat.mode_specs.ReverseMode), "only there flows are treated"
        host, port = mode.address
        tls = TlsInfo("") if mode.scheme == "https" else None
        if conn.peername and conn.sockname:
            return Leg(endpoint_of(conn.sockname), endpoint_of(conn.peername), tls, name=name_of(host))
        local = endpoint_of(flow.client_conn.sockname)
        if (shared := self.shared.server(mode)) is not None:
            return Leg(local, shared.target, tls, name=name_of(host))
        if name_of(host) is not None:
            raise PolicyError(
                f"{host} is a name; set connection_strategy=eager, so that its address is known", reason="lazy"
            )
        return Leg(local, Endpoint.parse(host, port), tls)

    def _ask(self, flow: http.HTTPFlow, exchange: HttpExchange, client: Leg) -> None:
        given = flow.request
        headers = _fields(given.headers, host=_called(flow, client))
        asked = HttpRequest(given.data.method, given.data.path, headers, given.raw_content or b"")
        mapped = exchange.request(asked)
        _write(given, mapped.headers, mapped.body, changed=mapped.body != asked.body)

    async def response(self, flow: http.HTTPFlow) -> None:
        """An answer is complete: judge it, and map what is in it."""
        exchange = self._exchanges.get(flow.id)
        if exchange is None or flow.response is None or self._passed(flow, flow.response):
            return
        try:
            given = flow.response
            heard = HttpResponse(given.status_code, tuple(given.headers.fields), given.raw_content or b"")
            mapped = await exchange.response(heard)
            _write(given, mapped.headers, mapped.body, changed=mapped.body != heard.body)
        except Exception as problem:  # noqa: BLE001 - as above
            self._refuse(flow, as_error(problem))
        if flow.websocket is None:
            self.forget(flow)

    async def message(self, flow: http.HTTPFlow) -> None:
        """A WebSocket message is complete: map what is in it."""
        exchange = self._exchanges.get(flow.id)
        assert flow.websocket is not None, "mitmproxy says so"
        message = flow.websocket.messages[-1]
        if exchange is None or not message.is_text or message.dropped:
            return
        try:
            side = Side.CLIENT if message.from_client else Side.SERVER
            message.content = await exchange.message(side, message.content)
        except Exception as problem:  # noqa: BLE001 - as above
            message.drop()
            error = as_error(problem)
            self.write(flow, error.reason, str(error))

    def forget(self, flow: http.HTTPFlow) -> None:
        """The exchange is over."""
        self._exchanges.pop(flow.id, None)

    def _refuse(self, flow: http.HTTPFlow, error: AlgError) -> None:
        """Tell the client why it does not get what it asked for; nothing of it goes on."""
        exchange = self._exchanges.pop(flow.id, None)
        status = exchange.status(error) if exchange is not None else 502
        self.write(flow, error.reason, f"{status}: {error}")
        flow.response = http.Response.make(
            status, f"{error.reason}\n", {"Content-Type": "text/plain; charset=us-ascii", "Cache-Control": "no-store"}
        )
        if flow.websocket is not None:
            flow.websocket = None  # this was no true answer: no frames follow

    def write(self, flow: http.HTTPFlow, reason: str, message: str) -> None:
        """Write a record into mitmproxy's event log and the flow's comment."""
        line = self._services.record("http", reason, message)
        flow.comment = "\n".join([*flow.comment.splitlines()[-_COMMENT_LINES:], line])

    def close(self) -> None:
        """mitmproxy ends."""
        self.shared.close()
        self._exchanges.clear()


@dataclass(slots=True)
class _Ways:
    """The way to listeners, for one flow."""

    web: Web
    flow: http.HTTPFlow
    treatment: Treatment
    client: Leg
    server: Leg

    async def expect(self, target: Connect, *, opaque: bool, lifetime: float, announced_by: str) -> Endpoint:
        """See `Ways`."""
        try:
            endpoint = self.web.shared.expect(
                self.treatment, self.client, self.server, target, opaque=opaque, lifetime=lifetime
            )
        except AlgError as error:
            self.web.write(self.flow, error.reason, f"{announced_by} {error}")
            raise
        words = (
            f"{announced_by} {target.target} -> {endpoint} for {self.client.peer.address}, any number, {lifetime:g} s"
        )
        self.web.write(self.flow, "rewrite", words)
        return endpoint

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """See `Ways`."""
        return self.web.shared.leases.target_of(endpoint)


def _leg(conn: Connection) -> Leg:
    assert conn.sockname and conn.peername, "it is connected"
    tls = TlsInfo(conn.tls_version or "", server_name=conn.sni) if conn.tls else None
    return Leg(endpoint_of(conn.sockname), endpoint_of(conn.peername), tls)


def _write(message: http.Message, headers: Iterable[HeaderField], body: bytes, *, changed: bool) -> None:
    """Write what the plugin has made of a message. Of a body that it has read, the fields no longer say how it was coded."""
    was_coded = "content-encoding" in message.headers
    message.headers = http.Headers(headers)
    if changed or (was_coded and "content-encoding" not in message.headers):
        message.content = body


def _called(flow: http.HTTPFlow, client: Leg) -> bytes:
    """What the client calls us. mitmproxy puts the server's name into Host before anybody sees it, unless it is told to
    keep that."""
    if compat.keeps_host() and flow.request.host_header:
        return flow.request.host_header.encode("utf-8", "surrogateescape")
    if flow.client_conn.sni:
        return f"{flow.client_conn.sni}:{client.local.port}".encode("ascii", "replace")
    return str(client.local).encode("ascii")


def _fields(headers: http.Headers, *, host: bytes) -> tuple[HeaderField, ...]:
    return ((b"Host", host), *((name, value) for name, value in headers.fields if name.lower() != b"host"))

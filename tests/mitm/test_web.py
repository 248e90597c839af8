"""HTTP and WebSocket in mitmproxy: its hooks ask the same plugin; what a server names elsewhere gets a reverse proxy of
mitmproxy's own.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from mitmproxy.http import HTTPFlow

from alg.plugin import Connect, Endpoint, HttpExchange, HttpRequest, HttpResponse, Leg, Side, StreamPlugin, Ways
from tests.mitm.conftest import Run
from tests.mitm.rig import proxying
from tests.mitm.web_rig import AGREEING, ASKING, KEY, REVERSE, asked, cdp_options, head_of, json


@pytest.fixture
def cdp(tmp_path: Path) -> dict[str, object]:
    """Options with a profile."""
    return cdp_options(tmp_path)


def test_the_servers_own_address(run: Run, cdp: dict[str, object]) -> None:
    """Becomes the one that the client reached; what else the server names gets a listener, for that client alone."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            client, other = await mitm.connect(), await mitm.listen()
            own = mitm.server.port
            body = b'{"webSocketDebuggerUrl":["ws://127.0.0.1:%d/a","ws://localhost:%d/b"]}' % (own, other.port)
            question, head = await asked(mitm, client, b"/json/version", json(body), b"X-Forwarded-For: 192.0.2.1")
            assert b"\r\nHost: 127.0.0.1:%d\r\n" % own in question
            assert b"accept-encoding: identity" in question.lower()
            assert b"192.0.2.1" not in question
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            told = (await client.reader.readexactly(length)).decode()
            (listener,) = mitm.gateway.web.shared.leases
            assert listener.endpoint is not None
            port = listener.endpoint.port
            assert told == f'{{"webSocketDebuggerUrl":["ws://127.0.0.1:{mitm.ports[0]}/a","ws://127.0.0.1:{port}/b"]}}'
            assert mitm.gateway.records[-1] == "rewrite"
            through = await mitm.connect(port)
            through.say(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            server = await other.accept()
            assert b"\r\nHost: 127.0.0.1:%d\r\n" % other.port in await head_of(server)
            server.say(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/c\r\nContent-Length: 0\r\n\r\n" % other.port
            )
            assert b"\r\nLocation: http://127.0.0.1:%d/c\r\n" % port in await head_of(through)
            stranger = await mitm.connect(port, source="127.0.0.9")
            assert await stranger.until_cut() == b""
            await mitm.until("wrong_peer")
            mitm.gateway.web.close()
            assert not len(mitm.gateway.web.shared.leases)

    run(talk())


def test_rules_hold(run: Run, cdp: dict[str, object]) -> None:
    """What a rule refuses is answered by us, and the server hears nothing."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            client = await mitm.connect()
            client.say(b"GET /secret HTTP/1.1\r\nHost: gw\r\n\r\n")
            assert (await client.line()).startswith(b"HTTP/1.1 403 ")
            assert "path_refused" in mitm.gateway.records

    run(talk())


@pytest.mark.parametrize("true", [True, False])
def test_upgrades(run: Run, cdp: dict[str, object], *, true: bool) -> None:
    """A true answer opens a WebSocket; a fake one is 502, and no frames follow."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            client = await mitm.connect()
            accept = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" if true else b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="
            answer = (
                b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                % accept
            )
            fields = (
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Key: " + KEY,
            )
            _, head = await asked(mitm, client, b"/ws", answer, *fields)
            assert head.startswith(b"HTTP/1.1 101 " if true else b"HTTP/1.1 502 ")
            assert ("fake_upgrade" in mitm.gateway.records) != true
            if true:
                client.say(b"\x88\x80\0\0\0\0")

    run(talk())


def test_elsewhere_nothing_is_touched(run: Run, cdp: dict[str, object]) -> None:
    """Through a proxy that is asked, clients reach what a server names anyway; and a port that nobody named is left alone."""

    async def talk() -> None:
        async with proxying("regular@127.0.0.1:0", options=cdp) as mitm:
            client = await mitm.connect()
            port = mitm.server.port
            client.say(b"GET http://127.0.0.1:%d/secret HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (port, port))
            server = await mitm.server.accept()
            await head_of(server)
            server.say(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % port)
            assert b"\r\nLocation: http://127.0.0.1:%d/\r\n" % port in await head_of(client)
        async with proxying(REVERSE, options={"alg_plugins": ["1=http"]}) as mitm:
            client = await mitm.connect()
            own = mitm.server.port
            answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % own
            _, head = await asked(mitm, client, b"/", answer)
            assert b"\r\nLocation: http://127.0.0.1:%d/\r\n" % own in head

    run(talk())


class OddPlugin(StreamPlugin[None]):
    """For HTTP; fails where the path says so."""

    name = "odd"

    def http(self, client: Leg, server: Leg, ways: Ways) -> HttpExchange:
        """One exchange."""
        return OddExchange(ways)


class OddExchange(HttpExchange):
    """Fails at what the path names."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.path = b""

    def request(self, request: HttpRequest) -> HttpRequest:
        """It may fail here."""
        self.path = request.target
        if self.path == b"/request":
            raise ZeroDivisionError("a defect")
        return HttpRequest(request.method, request.target, request.headers, b"other" if request.body else b"")

    async def response(self, response: HttpResponse) -> HttpResponse:
        """Or here, or ask for what cannot be had."""
        if self.path == b"/response":
            raise ZeroDivisionError("a defect")
        if self.path == b"/third":
            target = Connect(Endpoint.parse("192.0.2.1", 4000))
            await self.ways.expect(target, opaque=True, lifetime=60, announced_by="a test")
        return response

    async def message(self, side: Side, text: bytes) -> bytes:
        """Upper case from clients; from servers it fails."""
        if side is Side.SERVER:
            raise ZeroDivisionError("a defect")
        return text.upper()

    def status(self, error: Exception) -> int:
        """Always the same."""
        return 599


ODD = {"alg_plugins": [f"*={__name__}:OddPlugin"]}


@pytest.mark.parametrize(
    ("path", "reason"),
    [(b"/request", "plugin_failed"), (b"/response", "plugin_failed"), (b"/third", "third_party_address")],
)
def test_what_fails_does_not_pass(run: Run, path: bytes, reason: str) -> None:
    """The client is told so; the answer stays where it is."""

    async def talk() -> None:
        async with proxying(REVERSE, options=ODD) as mitm:
            client = await mitm.connect()
            client.say(b"GET %s HTTP/1.1\r\nHost: gw\r\n\r\n" % path)
            if path != b"/request":
                server = await mitm.server.accept()
                await head_of(server)
                server.say(json(b"secret"))
            head = await head_of(client)
            assert head.startswith(b"HTTP/1.1 599 ")
            body = await client.reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            assert body == reason.encode() + b"\n"
            assert reason in mitm.gateway.records

    run(talk())


def test_bodies_and_messages(run: Run) -> None:
    """What the plugin makes of them is what the other side gets; a message that it fails at is dropped."""

    async def talk() -> None:
        async with proxying(REVERSE, options=ODD) as mitm:
            client = await mitm.connect()
            client.say(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 4\r\n\r\nsome")
            server = await mitm.server.accept()
            assert b"ontent-length: 5\r\n" in (await head_of(server)).lower()
            await server.hear(b"other")
            server.say(b"HTTP/1.1 204 No Content\r\n\r\n")
            await head_of(client)
            client.say(b"GET /ws HTTP/1.1\r\nHost: gw\r\n%s\r\n" % ASKING)
            await head_of(server)
            server.say(AGREEING)
            await head_of(client)
            client.say(b"\x81\x82\0\0\0\0hi")
            first = await server.reader.readexactly(8)
            assert bytes(byte ^ mask for byte, mask in zip(first[6:], first[2:4], strict=True)) == b"HI"
            server.say(b"\x81\x05never\x89\x01p")
            await client.hear(b"\x89\x01p")
            assert "plugin_failed" in mitm.gateway.records
            client.say(b"\x88\x80\0\0\0\0")

    run(talk())


def test_the_way_to_a_listener(run: Run) -> None:
    """`Connect` says where one leads."""

    async def talk() -> None:
        async with proxying(REVERSE, options=ODD) as mitm:
            shared = mitm.gateway.web.shared
            treatment = mitm.gateway.services.settings.treatment(1)
            assert treatment is not None
            client, server = (
                Leg(Endpoint.parse("127.0.0.1", port), Endpoint.parse("127.0.0.1", port + 1)) for port in (5000, 6000)
            )
            target = Connect(Endpoint.parse("127.0.0.1", 7000), tls=True)
            endpoint = shared.expect(treatment, client, server, target, opaque=True, lifetime=0.05)
            assert endpoint == shared.expect(treatment, client, server, target, opaque=True, lifetime=0.05)
            assert shared.leases.target_of(endpoint) == target
            await mitm.until("lease_expired")
            assert not len(shared.leases)

    run(talk())


class StreamingAddon:
    """Has every body pass before it is whole."""

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Those of requests."""
        flow.request.stream = True

    def responseheaders(self, flow: HTTPFlow) -> None:
        """Those of answers."""
        assert flow.response is not None
        flow.response.stream = True


def test_another_addon_that_streams(run: Run, cdp: dict[str, object]) -> None:
    """One that was asked before us: bodies are whole all the same, and what is in their heads is mapped."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            mitm.master.addons.chain.insert(0, addon := StreamingAddon())
            mitm.master.addons.register(addon)
            client = await mitm.connect()
            client.say(b"POST /secret HTTP/1.1\r\nHost: gw\r\nContent-Length: 4\r\n\r\nsome")
            assert (await client.line()).startswith(b"HTTP/1.1 403 ")
            await mitm.server.accept()
            client = await mitm.connect()
            own = mitm.server.port
            answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 4\r\n\r\nsome" % own
            _, head = await asked(mitm, client, b"/", answer)
            assert b"\r\nLocation: http://127.0.0.1:%d/\r\n" % mitm.ports[0] in head

    run(talk())


def test_compressed_bodies(run: Run, cdp: dict[str, object]) -> None:
    """What a server compresses without having been asked is read and mapped; a bomb is not even inflated."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            url = b'{"webSocketDebuggerUrl":"ws://127.0.0.1:%d/"}'
            for body, status in (
                (gzip.compress(url % mitm.server.port), b"200"),
                (gzip.compress(bytes(9 << 20)), b"502"),
            ):
                coded = b"\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json" + coded
                client = await mitm.connect()
                _, head = await asked(mitm, client, b"/json", answer)
                assert head.startswith(b"HTTP/1.1 " + status)
                if status == b"200":
                    assert b"ncoding" not in head
                    await client.hear(url % mitm.ports[0])
            assert mitm.gateway.records[-1] == "body_too_long"

    run(talk())


def test_two_listeners_to_one_target(run: Run) -> None:
    """For clients that reach us at two addresses: when one is closed, who comes to the other is treated as before."""

    async def talk() -> None:
        async with proxying(REVERSE, options=ODD) as mitm:
            shared = mitm.gateway.web.shared
            treatment = mitm.gateway.services.settings.treatment(1)
            assert treatment is not None
            server = Leg(Endpoint.parse("127.0.0.1", 5000), Endpoint.parse("127.0.0.1", 6000))
            target = Connect(Endpoint.parse("127.0.0.1", 7000))
            for address in ("127.0.0.1", "127.0.0.2"):
                client = Leg(Endpoint.parse(address, 5000), Endpoint.parse(address, 6000))
                shared.expect(treatment, client, server, target, opaque=False, lifetime=60)
            first, second = shared.open
            assert first.mode == second.mode
            first.close()
            assert (shared.server(first.mode), shared.server(second.mode)) == (None, second)
            second.close()
            assert shared.server(second.mode) is None

    run(talk())

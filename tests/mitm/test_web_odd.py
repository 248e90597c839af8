"""HTTP in mitmproxy, where it would not do as the plugin wants: names that it looks up, bodies that it streams or leaves
compressed, messages that it cuts; and rules, which hold as long as a connection.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from mitmproxy import http

from alg.core.model import TlsInfo
from alg.plugin import Connect, Endpoint, Leg
from tests.mitm.conftest import Run
from tests.mitm.rig import proxying
from tests.mitm.web_rig import AGREEING, ASKING, HTTP, REVERSE, asked, cdp_options, head_of, json


@pytest.fixture
def cdp(tmp_path: Path) -> dict[str, object]:
    """Options with a profile."""
    return cdp_options(tmp_path)


def test_a_name_is_never_looked_up(run: Run, tmp_path: Path) -> None:
    """A listener for a host that the operator has given an address leads there; the server hears its name."""
    config = tmp_path / "alg.toml"
    config.write_text('[http.options]\nhosts = { "inner.invalid" = "127.0.0.1" }\n', "utf-8")

    async def talk() -> None:
        async with proxying(REVERSE, options={**HTTP, "alg_config": str(config)}) as mitm:
            client, other = await mitm.connect(), await mitm.listen()
            place = b"http://inner.invalid:%d/c" % other.port
            answer = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place
            await asked(mitm, client, b"/", answer)
            (listener,) = mitm.gateway.web.shared.leases
            assert listener.endpoint is not None
            through = await mitm.connect(listener.endpoint.port)
            through.say(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"\r\nHost: inner.invalid:%d\r\n" % other.port in await head_of(await other.accept())
            mitm.gateway.web.close()

    run(talk())


def test_rules_hold_as_long_as_the_connection(run: Run, cdp: dict[str, object]) -> None:
    """What came through a listener is judged when that is closed, too, and when another to the same target is."""

    async def talk() -> None:
        async with proxying(REVERSE, options={**cdp, "alg_plugins": ["1=http"]}) as mitm:
            shared, other = mitm.gateway.web.shared, await mitm.listen()
            treatment = mitm.gateway.services.settings.treatment(1)
            assert treatment is not None
            target = Connect(Endpoint.parse("127.0.0.1", other.port))
            server = Leg(Endpoint.parse("127.0.0.1", 6000), Endpoint.parse("127.0.0.1", 6001))
            ends = Endpoint.parse("127.0.0.1", 5000), Endpoint.parse("127.0.0.1", 5001)
            plain = shared.expect(treatment, Leg(*ends), server, target, opaque=False, lifetime=60)
            shared.expect(treatment, Leg(*ends, TlsInfo("")), server, target, opaque=False, lifetime=0.05)
            await mitm.until("lease_expired")
            through = await mitm.connect(plain.port)
            through.say(b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
            peer = await other.accept()
            await head_of(peer)
            peer.say(json(b"{}"))
            assert (await head_of(through)).startswith(b"HTTP/1.1 200 ")
            await through.hear(b"{}")
            mitm.gateway.web.close()
            through.say(b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await through.line()).startswith(b"HTTP/1.1 403 ")

    run(talk())


def test_a_compressed_body_without_addresses(run: Run, cdp: dict[str, object]) -> None:
    """It was read, so its fields no longer say that it is compressed: then it is not."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp) as mitm:
            client, body = await mitm.connect(), gzip.compress(b'{"Browser":"Chrome"}')
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
            answer += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            _, head = await asked(mitm, client, b"/json/version", answer)
            assert b"content-encoding" not in head.lower()
            assert b"\r\ncontent-length: 20\r\n" in head.lower()
            await client.hear(b'{"Browser":"Chrome"}')

    run(talk())


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_not_streamed(run: Run, cdp: dict[str, object], *, chunked: bool) -> None:
    """With `stream_large_bodies` too, requests are judged first and answers are mapped."""

    async def talk() -> None:
        async with proxying(REVERSE, options={**cdp, "stream_large_bodies": "8"}) as mitm:
            client = await mitm.connect()
            body = b'{"webSocketDebuggerUrl":"ws://127.0.0.1:%d/a"}'
            answer = json(body % mitm.server.port)
            if chunked:
                answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                answer += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body % mitm.server.port), body % mitm.server.port)
            await asked(mitm, client, b"/json", answer)
            told = body % mitm.ports[0]
            await client.hear(b"%x\r\n%s\r\n0\r\n\r\n" % (len(told), told) if chunked else told)
            length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 9"
            sent = b"9\r\n123456789\r\n0\r\n\r\n" if chunked else b"123456789"
            client.say(b"POST /secret HTTP/1.1\r\nHost: gw\r\n%s\r\n\r\n%s" % (length, sent))
            assert (await client.line()).startswith(b"HTTP/1.1 403 ")

    run(talk())


class Streamer:
    """Another addon, which has answers streamed."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """An answer begins."""
        assert flow.response is not None
        flow.response.stream = True


def test_what_another_addon_streams_is_not_silent(run: Run, cdp: dict[str, object]) -> None:
    """Then nobody has judged it: a record says so, and the connection ends."""

    async def talk() -> None:
        async with proxying(REVERSE, options=cdp, addons=(Streamer(),)) as mitm:
            client = await mitm.connect()
            await asked(mitm, client, b"/", json(b"{}"))
            await mitm.until("streamed")
            await client.until_cut()

    run(talk())


def test_long_messages_stay_text(run: Run, tmp_path: Path) -> None:
    """mitmproxy cuts a message that has another length in pieces, through characters too: it must not come to that."""
    config = tmp_path / "alg.toml"
    config.write_text('[[http.options.rules]]\npath = "/ws"\njson = ["url"]\npart = "message"\n', "utf-8")

    async def talk() -> None:
        async with proxying(REVERSE, options={**HTTP, "alg_config": str(config)}) as mitm:
            client = await mitm.connect()
            client.say(b"GET /ws HTTP/1.1\r\nHost: gw\r\n%s\r\n" % ASKING)
            server = await mitm.server.accept()
            await head_of(server)
            server.say(AGREEING)
            await head_of(client)
            said = '{"words":"' + "ü" * 9000 + '","url":"ws://%s/"}'
            text = (said % f"0.0.0.0:{mitm.server.port}").encode()
            server.say(b"\x81\x7e%s%s" % (len(text).to_bytes(2, "big"), text))
            wanted = (said % f"127.0.0.1:{mitm.ports[0]}").encode()
            await client.hear(b"\x81\x7e%s%s" % (len(wanted).to_bytes(2, "big"), wanted))
            client.say(b"\x88\x80\0\0\0\0")

    run(talk())

"""Through another proxy to the server: what it is asked, what it may refuse, and what comes when it says nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from alg_ftp import FtpPlugin

from alg.core.model import Endpoint
from alg.core.plugin import StreamPlugin
from alg.settings import Proxy, Times
from tests.conftest import Run
from tests.relay.peers import CLIENT, SERVER, THIRD, Host, Peer
from tests.relay.rig import FtpPair, Rig, port_line, relaying
from tests.relay.test_datagram_leases import AnnouncingStreamPlugin

GRANTED = b"\x05\x00\x00\x01" + bytes(6)


@dataclass
class Chained:
    """A relay whose servers are behind a proxy; the test speaks for the proxy."""

    rig: Rig
    proxy: Host

    async def asked(self, client: Peer, request: bytes, answer: bytes) -> Peer:
        """The proxy is asked for this, and says that."""
        leg = await self.proxy.accept()
        assert await leg.exactly(len(request)) == request
        await leg.send(answer)
        self.rig.host.untouched()
        assert client.sock.fileno() >= 0
        return leg

    async def client(self) -> Peer:
        """Somebody who comes."""
        return await Peer.connect(self.rig.at)

    async def ftp(self) -> FtpPair:
        """An FTP session through the proxy, greeted."""
        client = await self.client()
        server = await self.asked(client, b"\x05\x01\x00", b"\x05\x00")
        assert await server.exactly(10) == self.connect_request()
        await server.send(GRANTED + b"220 hello\r\n")
        assert await client.line() == b"220 hello\r\n"
        return FtpPair(client, server)

    def connect_request(self, target: Endpoint | None = None) -> bytes:
        """Greeting and request of SOCKS5 come apart: this is the request, for an IPv4 address."""
        target = target or self.rig.host.endpoint
        return b"\x05\x01\x00\x01" + target.address.packed + target.port.to_bytes(2)


@asynccontextmanager
async def chained(
    scheme: str = "socks5",
    plugin: type[StreamPlugin[object]] | None = None,
    *,
    user: str | None = None,
    password: str | None = None,
    times: Times | None = None,
) -> AsyncIterator[Chained]:
    """Run it; on leaving, all must be given back."""
    with Host(THIRD) as proxy:
        via = Proxy(scheme, THIRD, proxy.endpoint.port, user, password)
        async with relaying(plugin, via=via, times=times) as rig:
            yield Chained(rig, proxy)
            await rig.at_rest()


async def passes(client: Peer, server: Peer) -> None:
    """Bytes go both ways, and so do the ends."""
    await client.send(b"hello")
    assert await server.exactly(5) == b"hello"
    await server.send(b"world")
    server.fin()
    assert await client.rest() == b"world"
    client.fin()
    assert await server.rest() == b""
    client.close()
    server.close()


@pytest.mark.parametrize("pieces", [[GRANTED + b"220 early\r\n"], [GRANTED[:3], GRANTED[3:] + b"220 early\r\n"]])
def test_socks5(run: Run, pieces: list[bytes]) -> None:
    """What the server says behind the proxy's own bytes is the client's, in one piece with them or not."""

    async def work() -> None:
        async with chained() as stage:
            client = await stage.client()
            leg = await stage.asked(client, b"\x05\x01\x00", b"\x05\x00")
            assert await leg.exactly(10) == stage.connect_request()
            for piece in pieces:
                await leg.send(piece)
            assert await client.line() == b"220 early\r\n"
            assert stage.rig.host.untouched(), "we have gone to the server ourselves"
            await passes(client, leg)

    run(work())


def test_socks5_with_a_password(run: Run) -> None:
    """RFC 1929."""

    async def work() -> None:
        async with chained(user="me", password="secret") as stage:
            client = await stage.client()
            leg = await stage.asked(client, b"\x05\x02\x00\x02", b"\x05\x02")
            assert await leg.exactly(11) == b"\x01\x02me\x06secret"
            await leg.send(b"\x01\x00")
            assert await leg.exactly(10) == stage.connect_request()
            await leg.send(GRANTED)
            await passes(client, leg)

    run(work())


def test_socks4(run: Run) -> None:
    """Its user's name."""

    async def work() -> None:
        async with chained("socks4", user="me") as stage:
            client, target = await stage.client(), stage.rig.host.endpoint
            request = b"\x04\x01" + target.port.to_bytes(2) + target.address.packed + b"me\x00"
            await passes(client, await stage.asked(client, request, b"\x00\x5a" + bytes(6)))

    run(work())


def test_http_connect(run: Run) -> None:
    """Basic authentication; any 2xx will do."""

    async def work() -> None:
        async with chained("http", user="me", password="secret") as stage:
            client, target = await stage.client(), stage.rig.host.endpoint
            words = b64encode(b"me:secret")
            request = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n"
            leg = await stage.asked(
                client, request % (b"%s" % str(target).encode(), str(target).encode(), words), b"HTTP/1.1 "
            )
            await leg.send(b"200 fine\r\nX: y\r\n\r\n220 early\r\n")
            assert await client.line() == b"220 early\r\n"
            await passes(client, leg)

    run(work())


@pytest.mark.parametrize(
    ("scheme", "request_size", "answer", "words", "reason"),
    [
        ("socks5", 3, b"\x05\xff", "another way to know who we are", "proxy_failed"),
        ("socks4", 9, b"\x00\x5b" + bytes(6), "code 91", "proxy_failed"),
        ("http", 1, b"HTTP/1.1 407 Who are you\r\n\r\n", "407 Who are you", "proxy_refused"),
        ("http", 1, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway", "proxy_failed"),
        ("http", 1, b"220 I am an FTP server\r\n\r\n", "speaks no HTTP", "proxy_failed"),
        ("http", 1, b"x" * 20000, "longer than 16384 bytes", "proxy_failed"),
        ("http", 1, b"", "it hung up", "proxy_failed"),
    ],
)
def test_refusals(run: Run, scheme: str, request_size: int, answer: bytes, words: str, reason: str) -> None:
    """The client is let go, with a record that names the proxy; nobody goes to the server by another way."""

    async def work() -> None:
        async with chained(scheme) as stage:
            client = await stage.client()
            leg = await stage.proxy.accept()
            await leg.exactly(request_size)
            await leg.send(answer)
            if not answer:
                leg.fin()
            data, _ = await client.until_cut()
            assert data == b""
            note = await stage.rig.notes.wait(reason)
            assert f"the proxy {scheme}://{THIRD}:{stage.proxy.endpoint.port}: " in note.message
            assert words in note.message
            assert stage.rig.host.untouched()
            client.close()
            leg.close()

    run(work())


def test_a_proxy_that_says_nothing(run: Run) -> None:
    """There is one time for all of it."""

    async def work() -> None:
        async with chained(times=Times(connect=0.3)) as stage:
            client = await stage.client()
            leg = await stage.asked(client, b"\x05\x01\x00", b"\x05")
            assert (await client.until_cut())[0] == b""
            note = await stage.rig.notes.wait("connect_timeout")
            assert f"no answer from the proxy socks5://{THIRD}:{stage.proxy.endpoint.port} within 0.3 s" in note.message
            client.close()
            leg.close()

    run(work())


def test_a_proxy_that_is_not_there(run: Run) -> None:
    """Its name is no host's, or nobody listens there."""

    async def work() -> None:
        for name, reason in (("nobody.invalid", "not_resolved"), (SERVER, "connect_refused")):
            async with relaying(via=Proxy("socks5", name, 9)) as rig:
                with await Peer.connect(rig.at) as client:
                    assert (await client.until_cut())[0] == b""
                    note = await rig.notes.wait(reason)
                    assert "the proxy" in note.message
                await rig.at_rest()

    run(work())


def test_data_connections_take_the_same_way(run: Run) -> None:
    """FTP: where the server's passive reply leads, the proxy is asked for."""

    async def work() -> None:
        async with chained(plugin=FtpPlugin) as stage:
            pair = await stage.ftp()
            with Host(SERVER) as data:
                listener = await pair.passive(data.endpoint)
                with await Peer.connect(listener) as at_client:
                    leg = await stage.asked(at_client, b"\x05\x01\x00", b"\x05\x00")
                    assert await leg.exactly(10) == stage.connect_request(data.endpoint)
                    await leg.send(GRANTED + b"content")
                    leg.fin()
                    assert await at_client.rest() == b"content"
                    assert data.untouched()
                leg.close()
            pair.close()

    run(work())


def test_datagrams_cannot_take_it(run: Run) -> None:
    """What is announced over UDP is not spoken to past the proxy."""

    async def work() -> None:
        async with chained(plugin=AnnouncingStreamPlugin) as stage:
            client = await stage.client()
            server = await stage.asked(client, b"\x05\x01\x00", b"\x05\x00")
            await server.exactly(10)
            await server.send(GRANTED)
            await client.send(b"client %s 9000 1 60\n" % SERVER.encode())
            assert await client.line() == b"no not_through_proxy\n"
            client.close()
            server.close()

    run(work())


def test_active_mode_cannot_take_it(run: Run) -> None:
    """A server behind the proxy could not come to us, and shall not be told where we are: the client hears so, and may go on."""

    async def work() -> None:
        async with chained(plugin=FtpPlugin) as stage:
            pair = await stage.ftp()
            answer = await pair.refused(port_line(Endpoint.parse(CLIENT, 5000)).strip())
            assert answer.startswith(b"425 "), answer
            await stage.rig.notes.wait("not_through_proxy")
            assert await pair.say(b"NOOP", b"200 fine") == b"200 fine\r\n"
            pair.close()

    run(work())

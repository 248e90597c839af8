"""Modes in which clients reach the server's listeners through the proxy anyway: nothing is rewritten for them, and the
data connection is known for what it is, whatever its first bytes look like, and even if there are none.
"""

from __future__ import annotations

import socket
import struct

import pytest

from tests.mitm.conftest import Run
from tests.mitm.rig import HOST, Mitm, Peer, Server, proxying

SOCKS, CONNECT = "socks5@127.0.0.1:0", "regular@127.0.0.1:0"
MODES = pytest.mark.parametrize("mode", [SOCKS, CONNECT], ids=["socks5", "CONNECT"])


async def tunnel(mitm: Mitm, mode: str, port: int, source: str = HOST) -> Peer:
    """A client that was led to a port of this host."""
    client = await mitm.connect(source=source)
    if mode == SOCKS:
        client.say(b"\x05\x01\x00")
        await client.hear(b"\x05\x00")
        client.say(b"\x05\x01\x00\x01" + socket.inet_aton(HOST) + struct.pack("!H", port))
        assert (await client.reader.readexactly(10))[1] == 0
    else:
        client.say(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port)
        assert b" 200 " in await client.line()
        while await client.line() != b"\r\n":
            pass
    return client


async def session(mitm: Mitm, mode: str) -> tuple[Peer, Peer, Server, Peer]:
    """After PASV: the client, the server, its data listener, and the client's data connection, led there."""
    client = await tunnel(mitm, mode, mitm.server.port)
    server = await mitm.server.accept()
    server.say(b"220 ready\r\n")
    await client.hear(b"220 ready\r\n")
    client.say(b"PASV\r\n")
    await server.hear(b"PASV\r\n")
    data = await mitm.listen()
    reply = b"227 Entering Passive Mode (127,0,0,1,%d,%d).\r\n" % divmod(data.port, 256)
    server.say(reply)
    await client.hear(reply)
    assert "watch" in mitm.gateway.records
    return client, server, data, await tunnel(mitm, mode, data.port)


@MODES
@pytest.mark.parametrize(
    "content", [b"the quick brown fox\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""]
)
def test_upload_is_not_guessed(run: Run, mode: str, content: bytes) -> None:
    """mitmproxy alone takes these for HTTP or TLS, or waits for ever for the first byte."""

    async def work() -> None:
        async with proxying(mode) as mitm:
            _, _, data, sender = await session(mitm, mode)
            receiver = await data.accept()
            sender.say(content)
            sender.end()
            assert await receiver.until_cut() == content
            receiver.close()
            assert await sender.rest() == b""  # and no reset
            await mitm.until("flow_close")
            assert mitm.flows[-1].error is None
            assert mitm.flows[-1].metadata["alg"]["role"] == "data"

    run(work())


@MODES
def test_empty_download(run: Run, mode: str) -> None:
    """The server says nothing and hangs up; the client hears of it."""

    async def work() -> None:
        async with proxying(mode) as mitm:
            _, _, data, receiver = await session(mitm, mode)
            (await data.accept()).close()
            assert await receiver.rest() == b""

    run(work())


@MODES
def test_active(run: Run, mode: str) -> None:
    """The server could not reach the client: it is led there by a listener of ours."""

    async def work() -> None:
        async with proxying(mode) as mitm:
            client = await tunnel(mitm, mode, mitm.server.port)
            server = await mitm.server.accept()
            server.say(b"220 ready\r\n")
            await client.hear(b"220 ready\r\n")
            listener = await mitm.listen()
            client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(listener.port, 256))
            high, low = (int(number) for number in (await server.line()).strip().split(b",")[-2:])
            assert high * 256 + low != listener.port
            sender = await mitm.connect(high * 256 + low)
            receiver = await listener.accept()
            sender.say(b"data")
            await receiver.hear(b"data")

    run(work())


def test_other_connections_are_none_of_ours(run: Run) -> None:
    """A port that nobody announced is treated by mitmproxy as ever."""

    async def work() -> None:
        async with proxying(SOCKS) as mitm:
            await session(mitm, SOCKS)
            other = await mitm.listen()
            client = await tunnel(mitm, SOCKS, other.port)
            server = await other.accept()
            server.say(b"hello")
            await client.hear(b"hello")
            assert "alg" not in mitm.flows[-1].metadata

    run(work())


def test_a_stranger_does_not_come_through_a_lease(run: Run) -> None:
    """T16: whoever asks for an announced port from elsewhere gets what mitmproxy gives him, and uses nothing up."""

    async def work() -> None:
        async with proxying(SOCKS) as mitm:
            client = await tunnel(mitm, SOCKS, mitm.server.port)
            server = await mitm.server.accept()
            server.say(b"220 ready\r\n")
            await client.hear(b"220 ready\r\n")
            data = await mitm.listen()
            client.say(b"EPSV\r\n")
            await server.hear(b"EPSV\r\n")
            server.say(b"229 (|||%d|)\r\n" % data.port)
            await client.line()
            stranger = await tunnel(mitm, SOCKS, data.port, source="127.0.0.7")
            (await data.accept()).say(b"x")
            await stranger.hear(b"x")
            assert "alg" not in mitm.flows[-1].metadata
            assert "wrong_peer" not in mitm.gateway.records  # it did not come for the lease
            receiver = await tunnel(mitm, SOCKS, data.port)
            (await data.accept()).say(b"y")
            await receiver.hear(b"y")
            assert mitm.flows[-1].metadata["alg"]["role"] == "data"

    run(work())


def test_a_port_of_control_channels_is_not_watched(run: Run) -> None:
    """A server that announces one would have its client's next session pass unread."""

    async def work() -> None:
        async with proxying(SOCKS) as mitm:
            client = await tunnel(mitm, SOCKS, mitm.server.port)
            server = await mitm.server.accept()
            server.say(b"220 ready\r\n")
            await client.hear(b"220 ready\r\n")
            client.say(b"EPSV\r\n")
            await server.hear(b"EPSV\r\n")
            server.say(b"229 (|||%d|)\r\n" % mitm.server.port)
            assert (await client.line()).startswith(b"425 ")
            assert "no_listener" in mitm.gateway.records

    run(work())


@pytest.mark.parametrize("option", ["ignore_hosts", "allow_hosts"])
def test_ignored_hosts_are_left_alone(run: Run, option: str) -> None:
    """mitmproxy's own options say so, and it asks its own addons after us."""

    async def work() -> None:
        pattern = "127.0.0.1" if option == "ignore_hosts" else "example"
        async with proxying(SOCKS, options={option: [pattern]}) as mitm:
            client = await tunnel(mitm, SOCKS, mitm.server.port)
            server = await mitm.server.accept()
            server.say(b"220 ready\r\n")
            await client.hear(b"220 ready\r\n")
            assert mitm.gateway.records == []

    run(work())

"""T19: a lease dies with its session, however that ends: within 100 ms nothing listens at the leased port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from alg.core.model import Endpoint
from alg.settings import Times
from tests.conftest import Run
from tests.relay.peers import OTHER, SERVER, Host, Peer, refused
from tests.relay.rig import FtpPair, relaying, relaying_ftp
from tests.relay.toys import ToyPlugin


async def gone(told: Endpoint, seconds: float = 0.1) -> None:
    """Nothing listens there any more within that time. Who knocks is not expected there, so he uses nothing up."""
    async with asyncio.timeout(seconds):
        while await refused(told, OTHER) != "refused":
            pass


async def quits(ftp: FtpPair) -> None:
    """QUIT, answered, and the server hangs up."""
    assert await ftp.say(b"QUIT", b"221 bye") == b"221 bye\r\n"
    ftp.server.close()


async def client_fin(ftp: FtpPair) -> None:
    """The client hangs up, and then the server does."""
    ftp.client.fin()
    assert await ftp.server.rest() == b""
    ftp.server.close()


async def client_reset(ftp: FtpPair) -> None:
    """The client resets."""
    ftp.client.reset()


async def server_reset(ftp: FtpPair) -> None:
    """The server resets."""
    ftp.server.reset()


async def server_closes(ftp: FtpPair) -> None:
    """The server hangs up without a word."""
    ftp.server.close()


async def nonsense(ftp: FtpPair) -> None:
    """The client breaks the protocol."""
    await ftp.client.send(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("end", [quits, client_fin, client_reset, server_reset, server_closes, nonsense])
@pytest.mark.parametrize("mode", ["passive", "active"])
def test_lease_dies_with_its_session(run: Run, mode: str, end: Callable[[FtpPair], Awaitable[None]]) -> None:
    """When the control connection ends, the port it was promised is closed at once, and all is given back."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data, Host(str(ftp.client.sock.getsockname()[0])) as active:
                told = await (ftp.passive(data.endpoint) if mode == "passive" else ftp.active(active.endpoint))
                assert await refused(told, OTHER) == "reset"
                await end(ftp)
                await gone(told)
                assert data.untouched()
                assert active.untouched()
            ftp.close()
            await rig.at_rest()

    run(work())


def test_lease_dies_with_an_idle_session(run: Run) -> None:
    """Nobody says anything for the idle time: the session ends, the client is told so, and the port is closed."""

    async def work() -> None:
        async with relaying_ftp(times=Times(idle=0.2)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                await rig.notes.wait("idle")
                await gone(told)
            assert (await ftp.client.line()).startswith(b"421 ")
            ftp.close()
            await rig.at_rest()

    run(work())


def test_lease_dies_with_a_plugin_that_fails(run: Run) -> None:
    """A plugin that raises loses its session, its lease too; nothing that came after it passes."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                await client.send(b"open %s\n" % data.endpoint.to_bytes(b" "))
                address, port = (await client.line()).split()
                told = Endpoint.parse(address, port)
                assert await refused(told, OTHER) == "reset"
                await client.send(b"raise\nsecret\n")
                await gone(told)
                assert await client.line() == b"sorry, plugin_failed\n"
                assert (await server.until_cut())[0] == b""
            await rig.notes.wait("plugin_failed")
            await rig.at_rest()

    run(work())


def test_lease_dies_when_the_gateway_stops(run: Run) -> None:
    """Whoever waits in front of a lease finds nothing there once the relay is closed."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                rig.relay.close()
                assert await refused(told) == "refused"
            assert (await ftp.client.line()).startswith(b"421 ")
            ftp.close()
            await rig.at_rest()

    run(work())


def test_running_transfer_outlives_its_control_connection(run: Run) -> None:
    """What came through before the end is no lease any more: the transfer completes without its control connection."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told) as client, await data.accept() as server:
                    await server.send(b"first ")
                    await quits(ftp)
                    await rig.notes.wait("session_close")
                    assert len(rig.relay.sessions) == 1
                    await server.send(b"second")
                    server.fin()
                    assert await client.rest() == b"first second"
            ftp.close()
            await rig.at_rest()

    run(work())

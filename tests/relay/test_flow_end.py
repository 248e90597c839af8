"""The end of a flow: last words arrive, what was cut off looks cut off, and a plugin that fails passes nothing on."""

from __future__ import annotations

import asyncio
import os

import pytest

from alg.core.model import Endpoint, Side, TlsPolicy
from alg.settings import ServerTls, Times
from tests.conftest import Run
from tests.relay.peers import SERVER, Host, Peer, refused
from tests.relay.rig import Rig, relaying, relaying_ftp
from tests.relay.toys import ToyPlugin, UnbornPlugin, UpperPlugin

LONG = os.urandom(512 * 1024) * 8
"""More than the kernel holds for a peer that does not read."""
LINE = b"x" * 99 + b"\n"


async def turns() -> None:
    """Let the relay do what there is to do."""
    for _ in range(50):
        await asyncio.sleep(0)


async def after(seconds: float) -> None:
    """Nobody does anything meanwhile."""
    over = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, over.set_result, None)
    await over


async def fill(rig: Rig, sender: Peer, side: Side) -> bytes:
    """Have the sender send until something is queued for that side; return what it sent."""
    (session,) = rig.relay.sessions
    assert session.master is not None
    leg, sent = session.master.legs[side], 0
    while not leg.queued:
        await sender.send(LINE * 80)
        sent += 80
        await turns()
    return LINE * sent


def test_last_words_reach_a_slow_client(run: Run) -> None:
    """The server hangs up behind words that the client has not taken yet: it gets them all, however long it waits."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            await turns()
            with client, server:
                sent = await fill(rig, server, Side.CLIENT)
                server.close()
                await after(0.8)  # longer than the relay would linger
                assert await client.rest() == sent
            await rig.at_rest()

    run(work())


def test_side_that_vanishes_behind_its_end_takes_nothing_away(run: Run) -> None:
    """Both have ended, and bytes are queued both ways; when the server resets, the client still gets all of its own."""

    async def work() -> None:
        async with relaying(ToyPlugin, receive_buffer=4096) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            with client, server:
                await turns()
                await fill(rig, client, Side.SERVER)
                down = await fill(rig, server, Side.CLIENT)
                client.fin()
                server.fin()
                await turns()
                server.reset()
                assert await client.rest() == down
            await rig.at_rest()

    run(work())


def test_client_that_has_ended_gets_all_that_is_queued(run: Run) -> None:
    """A client that asked, said its last word and reads slowly still gets the whole of a long answer."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            with client, server:
                await client.send(b"all of it\n")
                client.fin()
                assert await server.rest() == b"all of it\n"
                sending = asyncio.ensure_future(server.send(LONG))
                got = await client.exactly(len(LONG) // 2)
                await sending
                server.close()
                assert got + await client.rest() == LONG
            await rig.at_rest()

    run(work())


def test_server_that_resets_after_its_end_takes_nothing_away(run: Run) -> None:
    """Both sides have ended; a reset behind the end does not destroy what is on its way to the other side."""

    async def work() -> None:
        async with relaying(splice=False) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            with client, server:
                client.fin()
                assert await server.rest() == b""
                sending = asyncio.ensure_future(server.send(LONG))
                got = await client.exactly(len(LONG) - (200 << 10))
                await sending
                server.fin()
                got += await client.exactly(1)
                server.reset()
                assert got + await client.rest() == LONG
            await rig.at_rest()

    run(work())


def test_failing_plugin_passes_nothing_on(run: Run) -> None:
    """A plugin that raises ends its session: the client is told, and neither side gets another byte."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                await client.send(b"raise\nnever seen\n")
                assert await client.rest() == b"sorry, plugin_failed\n"
                assert (await server.until_cut())[0] == b""
            assert "told to" in (await rig.notes.wait("plugin_failed")).message
            await rig.at_rest()

    run(work())


def test_spliced_flow_of_a_plugin_is_cut_by_a_reset(run: Run) -> None:
    """After `splice` a server's reset resets the client: what was cut off must not look complete."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client:
                await client.send(b"splice\nraw")
                assert await server.exactly(3) == b"raw"
                await server.send(b"partial")
                assert await client.receive() == b"partial"
                server.reset()
                assert await client.until_cut() == (b"", "reset")
            await rig.at_rest()

    run(work())


def test_plugin_closes_its_flow(run: Run) -> None:
    """`flow.close` is an orderly end for both sides, also when the client goes on talking."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                await server.send(b"bye")
                assert await client.receive() == b"bye"
                await client.send(b"close\n")
                assert await client.rest() == b""
                assert await server.rest() == b""
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize(("side", "reason"), [(b"client", b"no_certificate"), (b"server", b"no_tls")])
def test_tls_that_there_is_not(run: Run, side: bytes, reason: bytes) -> None:
    """A plugin that asks for TLS where the route has none gets an error, and its session ends with it."""

    async def work() -> None:
        async with relaying(ToyPlugin, server_tls=ServerTls(TlsPolicy.NEVER)) as rig:
            client, server = await rig.pair()
            with client, server:
                await client.send(b"tls %s\n" % side)
                assert (await client.rest()).removeprefix(b"go ahead\n") == b"sorry, %s\n" % reason
                assert (await server.until_cut())[0] == b""
            await rig.at_rest()

    run(work())


def test_client_that_never_hears_the_last_word(run: Run) -> None:
    """A client that goes on talking after an abort is read and ignored for a while, then cut."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                await client.send(b"raise\n")
                assert await client.line() == b"sorry, plugin_failed\n"
                await client.send(b"and another thing\n")
                async with asyncio.timeout(2.0):
                    await rig.relay.wait_idle()
            await rig.at_rest()

    run(work())


def test_half_closed_flow_that_stops_is_idle(run: Run) -> None:
    """F06: both sides are silent behind a half-close: the idle time ends it, with a reset, and nothing is left."""

    async def work() -> None:
        async with relaying(times=Times(idle=0.2)) as rig:
            client, server = await rig.pair()
            with client, server:
                client.fin()
                assert await server.rest() == b""
                assert (await client.until_cut())[1] == "reset"
                assert (await rig.notes.wait("idle")).session == 1
            await rig.at_rest()

    run(work())


def test_idle_client_that_takes_nothing_is_cut(run: Run) -> None:
    """A client that never takes its last words holds its session for the idle time, and no longer."""

    async def work() -> None:
        async with relaying(ToyPlugin, times=Times(idle=0.3)) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            with client:
                with server:
                    pouring = asyncio.ensure_future(server.send(LONG * 4))
                    await client.exactly(1)
                    await asyncio.wait([pouring], timeout=8)
                    assert isinstance(pouring.exception(), OSError)
                await rig.at_rest()

    run(work())


def plugin_name(plugin: type) -> str:
    """How a plugin that is not installed is named."""
    return f"{plugin.__module__}:{plugin.__name__}"


def test_related_flow_with_a_plugin_of_its_own(run: Run) -> None:
    """An expectation may name the plugin for what comes through: one side treated, the other opaque."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                await client.send(b"open %s %s\n" % (data.endpoint.to_bytes(b" "), plugin_name(UpperPlugin).encode()))
                told = Endpoint.parse(*(await client.line()).split())
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    await outer.send(b"shout")
                    assert await inner.receive() == b"SHOUT"
                    await inner.send(b"whisper")
                    assert await outer.receive() == b"whisper"
                    outer.fin()
                    assert await inner.rest() == b""
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("name", ["nosuch", plugin_name(UnbornPlugin)])
def test_related_flow_whose_plugin_cannot_be_made(run: Run, name: str) -> None:
    """No such plugin, or one that fails at birth: the data connection is cut, on both sides, and the session lives."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                await client.send(b"open %s %s\n" % (data.endpoint.to_bytes(b" "), name.encode()))
                told = Endpoint.parse(*(await client.line()).split())
                assert await refused(told) == "reset"
                with await data.accept() as outer:
                    assert (await outer.until_cut())[0] == b""
                await client.send(b"go on\n")
                assert await server.line() == b"go on\n"
            await rig.at_rest()

    run(work())


def test_ftp_client_is_told_that_it_was_idle(run: Run) -> None:
    """The 421 of an idle session says so, and does not blame a crowd."""

    async def work() -> None:
        async with relaying_ftp(times=Times(idle=0.2)) as rig:
            ftp = await rig.ftp()
            assert await ftp.client.rest() == b"421 Nothing was said for too long; closing the connection.\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())

"""What was cut off must not look complete: where bytes of an opaque stream were dropped, its reader sees a reset."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from alg_http import HttpPlugin

from alg.core.errors import AlgError
from alg.core.model import Side
from tests.conftest import Run
from tests.relay.peers import DEADLINE, Peer
from tests.relay.rig import Rig, relaying
from tests.relay.test_flow_end import turns
from tests.relay.toys import BothWaysPlugin, FromServerPlugin, UpperPlugin

BULK = 16 << 20


def test_upload_that_the_client_breaks_off(run: Run) -> None:
    """The client resets in the middle of the opaque upload of a flow whose other direction is treated."""

    async def work() -> None:
        async with relaying(UpperPlugin) as rig:
            client, server = await rig.pair()
            with server:
                await client.send(b"partial")
                assert await server.exactly(7) == b"partial"
                client.reset()
                assert await server.until_cut() == (b"", "reset")
            await rig.at_rest()

    run(work())


def test_upload_that_the_client_completes(run: Run) -> None:
    """The same with an orderly end: the server sees that, and the treated direction goes on."""

    async def work() -> None:
        async with relaying(UpperPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                await client.send(b"all of it")
                client.fin()
                assert await server.until_cut() == (b"all of it", "end")
                await server.send(b"thanks")
                server.close()
                assert await client.rest() == b"THANKS"
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("splice", [False, True], ids=["copy", "splice"])
def test_close_while_an_upload_is_under_way(run: Run, splice: bool) -> None:
    """A plugin closes the flow while the relay holds bytes of the upload: who did not get them sees no orderly end."""

    async def work() -> None:
        async with relaying(FromServerPlugin, splice=splice) as rig:
            client, server = await rig.pair()
            with client, server:
                pouring = asyncio.ensure_future(pour(client))
                await server.exactly(BULK)
                received = await until_stuck(rig)
                server.fin()
                got, how = await server.until_cut()
                assert how == "reset" or BULK + len(got) >= received, f"{how} after {len(got)} of {received - BULK}"
                await pouring
            await rig.at_rest()

    run(work())


def test_queue_that_a_client_does_not_take(run: Run) -> None:
    """A session is ended while much is queued for a client that reads nothing: what is dropped must not look complete."""

    async def work() -> None:
        async with relaying(BothWaysPlugin) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            with client, server:
                pouring = asyncio.ensure_future(pour(server))
                await client.exactly(65536)
                await until_full(rig)
                (session,) = rig.relay.sessions
                session.end(AlgError("idle", reason="idle"))
                await rig.at_rest()
                assert (await client.until_cut())[1] == "reset"
                await pouring

    run(work())


def test_a_plugin_says_that_its_client_was_cut_off(run: Run) -> None:
    """An answer in chunks, to who takes the end of the connection for that of the answer: the server goes between two."""

    async def work() -> None:
        async with relaying(HttpPlugin) as rig:
            client, server = await rig.pair()
            with client:
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert await server.line() == b"GET / HTTP/1.1\r\n"
                await server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
                await client.exactly(len(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome"))
                server.close()
                assert await client.until_cut() == (b"", "reset")
            await rig.at_rest()

    run(work())


async def pour(source: Peer) -> None:
    """Send until the connection breaks."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while source.sock.fileno() >= 0:
            await loop.sock_sendall(source.sock, bytes(1 << 20))


async def until_stuck(rig: Rig) -> int:
    """Wait until the server's leg takes no more of the upload; return how much of it the relay has received."""
    (session,) = rig.relay.sessions
    assert session.master is not None
    client, server = (session.master.legs[side] for side in Side)
    async with asyncio.timeout(DEADLINE):
        while client.reading or client.received == server.sent:
            await turns()
    return client.received


async def until_full(rig: Rig) -> None:
    """Wait until bytes are queued for the client, and the server is not read."""
    (session,) = rig.relay.sessions
    assert session.master is not None
    client, server = (session.master.legs[side] for side in Side)
    async with asyncio.timeout(DEADLINE):
        while server.reading or not client.queued:
            await turns()

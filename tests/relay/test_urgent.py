"""Urgent bytes: no tier of a pump may stumble over one, whichever way it carries."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import pytest

from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying
from tests.relay.test_flow_end import after

IDLE_SECONDS = 0.3
IDLE_SHARE = 0.3
"""Of one processor, at most, while nothing is said; a direction that cannot sleep takes all of it."""


@pytest.mark.parametrize("splice", [False, True], ids=["copy", "splice"])
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_urgent_byte_behind_bulk(run: Run, splice: bool, up: bool) -> None:
    """An urgent byte behind bulk arrives in its place, what follows it too, and nobody is kept busy by it."""

    async def work() -> None:
        async with relaying(splice=splice) as rig:
            client, server = await rig.pair()
            with client, server:
                source, sink = (client, server) if up else (server, client)
                sink.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
                await pass_bulk(source, sink)
                source.sock.send(b"!", socket.MSG_OOB)
                await source.send(b"behind")
                assert await sink.exactly(7) == b"!behind"
                assert await idle_share() < IDLE_SHARE
                await pass_bulk(source, sink)
            await rig.at_rest()

    run(work())


def test_urgent_byte_with_nothing_behind_it(run: Run) -> None:
    """An urgent byte alone passes at once, and the direction can sleep again."""

    async def work() -> None:
        async with relaying() as rig:
            client, server = await rig.pair()
            with client, server:
                server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
                await pass_bulk(client, server)
                client.sock.send(b"!", socket.MSG_OOB)
                assert await server.exactly(1) == b"!"
                assert await idle_share() < IDLE_SHARE
                client.fin()
                assert await server.rest() == b""
            await rig.at_rest()

    run(work())


async def pass_bulk(source: Peer, sink: Peer) -> None:
    """Send so much that it is spliced where that may be."""
    block = os.urandom(8 << 20)
    sending = asyncio.ensure_future(source.send(block))
    assert await sink.exactly(len(block)) == block
    await sending


async def idle_share() -> float:
    """The share of one processor that this process takes while nothing is said."""
    busy, began = time.process_time(), time.monotonic()
    await after(IDLE_SECONDS)
    return (time.process_time() - busy) / (time.monotonic() - began)

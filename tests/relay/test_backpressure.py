"""Backpressure of treated flows: a peer that does not read holds back whom it concerns, and nobody for ever."""

from __future__ import annotations

import asyncio

import pytest

from alg.core.model import Side
from alg.core.plugin import StreamPlugin
from alg.relay.flow import PIECE, REPLIES_HIGH_WATER
from alg.relay.leg import LegSocket
from tests.conftest import Run
from tests.relay.peers import DEADLINE, Peer
from tests.relay.rig import Rig, relaying
from tests.relay.test_flow_end import turns
from tests.relay.toys import LONG_ANSWER, BothWaysPlugin, FromServerPlugin, TalkativePlugin

QUESTIONS = 4 << 20
TIMES = 8
"""How much longer the answers are: together much more than kernel and relay hold."""


@pytest.mark.parametrize("plugin", [None, FromServerPlugin, BothWaysPlugin], ids=["opaque", "mixed", "treated"])
def test_two_peers_that_write_before_they_read(run: Run, plugin: type[StreamPlugin[object]] | None) -> None:
    """A server that does not read while it answers, and a client that asks on meanwhile, both get to their end."""

    async def work() -> None:
        async with relaying(plugin) as rig:
            client, server = await rig.pair()
            with client, server:
                tasks = [asyncio.ensure_future(answer(server)), asyncio.ensure_future(ask(client))]
                count = 0
                while piece := await client.receive():
                    count += len(piece)
                assert count == QUESTIONS * TIMES
                await asyncio.gather(*tasks)
            await rig.at_rest()

    run(work())


async def answer(server: Peer) -> None:
    """Answer each piece at length, all of it before the next is read."""
    while data := await server.receive():
        await server.send(data * TIMES)
    server.fin()


async def ask(client: Peer) -> None:
    """Ask, without a pause."""
    await client.send(bytes(QUESTIONS))
    client.fin()


def test_replies_of_ours_to_a_client_that_does_not_read(run: Run) -> None:
    """A client that has us answer, and reads nothing, is not read any more either; when it reads, it gets all answers."""

    async def work() -> None:
        async with relaying(TalkativePlugin) as rig:
            client, server = await rig.pair(receive_buffer=4096)
            lines = 256 * 1024
            with client, server:
                asking = asyncio.ensure_future(client.send(b"\n" * lines))
                leg = await held_back(rig, Side.CLIENT)
                assert REPLIES_HIGH_WATER <= leg.queued < REPLIES_HIGH_WATER + PIECE * len(LONG_ANSWER)
                assert await client.exactly(lines * len(LONG_ANSWER)) == LONG_ANSWER * lines
                await asking
                client.close()
                assert await server.rest() == b""
            await rig.at_rest()

    run(work())


async def held_back(rig: Rig, side: Side) -> LegSocket:
    """Wait until that side is not read because of what waits for it; return its leg."""
    await turns()
    (session,) = rig.relay.sessions
    assert session.master is not None
    leg = session.master.legs[side]
    async with asyncio.timeout(DEADLINE):
        while leg.reading or not leg.queued:
            await turns()
    return leg

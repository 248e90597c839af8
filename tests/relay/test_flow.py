"""Relayed flows: order, half-close, bounded memory, and what a broken leg does to the other. Copied and spliced."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from alg.relay.leg import HIGH_WATER
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying

SIZE = 64 << 20
PIECE = os.urandom(1 << 20)
TIMES = SIZE // len(PIECE)
EXPECTED = SIZE, hashlib.sha256(PIECE * TIMES).hexdigest()
WAYS = ["client", "server"]

splicing = pytest.mark.parametrize("splice", [True, False], ids=["splice", "copy"])
from_either_side = pytest.mark.parametrize("way", WAYS)


async def pour(peer: Peer) -> None:
    """Send 64 MiB, and then the end."""
    for _ in range(TIMES):
        await peer.send(PIECE)
    peer.fin()


@splicing
@from_either_side
def test_half_close_keeps_the_other_direction_open(run: Run, way: str, splice: bool) -> None:
    """F03, F04: who has said its last word still gets the whole answer of 64 MiB, and the counts are right."""

    async def work() -> None:
        async with relaying(splice=splice) as rig:
            client, server = await rig.pair()
            asker, answerer = (client, server) if way == "client" else (server, client)
            with client, server:
                await asker.send(b"all of it, please")
                asker.fin()
                assert await answerer.rest() == b"all of it, please"
                _, got = await asyncio.gather(pour(answerer), asker.digest())
                assert got == EXPECTED
            note = await rig.notes.wait("session_close")
            counts = note.fields["bytes_up"], note.fields["bytes_down"]
            assert counts == ((17, SIZE) if way == "client" else (SIZE, 17))
            await rig.at_rest()

    run(work())


@splicing
def test_both_directions_at_once(run: Run, splice: bool) -> None:
    """64 MiB each way at the same time arrive complete and in order."""

    async def work() -> None:
        async with relaying(splice=splice) as rig:
            client, server = await rig.pair()
            with client, server:
                _, _, down, up = await asyncio.gather(pour(client), pour(server), client.digest(), server.digest())
                assert down == up == EXPECTED
            await rig.at_rest()

    run(work())


@splicing
@from_either_side
def test_reset_cuts_the_other_side(run: Run, way: str, splice: bool) -> None:
    """F01, F02: a reset in the middle of a transfer resets the other side within a second, which has got a prefix."""

    async def work() -> None:
        async with relaying(splice=splice) as rig:
            client, server = await rig.pair()
            sender, receiver = (client, server) if way == "client" else (server, client)
            for _ in range(8):
                sending = asyncio.ensure_future(sender.send(PIECE))
                assert await receiver.exactly(len(PIECE)) == PIECE
                await sending
            await sender.send(PIECE[:100_000])
            sender.reset()
            async with asyncio.timeout(1.0):
                got, how = await receiver.until_cut()
            receiver.close()
            assert how == "reset"
            assert PIECE[:100_000].startswith(got)
            note = await rig.notes.wait("session_close")
            assert f"the {way} is gone" in note.message
            await rig.at_rest()

    run(work())


@splicing
@from_either_side
def test_reset_by_the_receiver_cuts_the_sender(run: Run, way: str, splice: bool) -> None:
    """F01, F02: who stops taking by a reset in the middle makes the sender see it within a second."""

    async def work() -> None:
        async with relaying(splice=splice) as rig:
            client, server = await rig.pair()
            receiver, sender = (client, server) if way == "client" else (server, client)

            async def send_until_cut() -> None:
                while True:
                    await sender.send(PIECE)

            sending = asyncio.ensure_future(send_until_cut())
            await receiver.exactly(8 << 20)
            receiver.reset()
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                async with asyncio.timeout(1.0):
                    await sending
            sender.close()
            await rig.at_rest()

    run(work())


@splicing
def test_slow_reader_holds_back_its_writer_only(run: Run, splice: bool) -> None:
    """T80: what a reader does not take stays with its writer: the relay holds a bounded amount, and nothing is lost."""

    async def work() -> None:
        async with relaying(splice=splice, receive_buffer=65536) as rig:
            client, server = await rig.pair()
            with client, server:
                sending = asyncio.ensure_future(pour(client))
                other, its_server = await rig.pair()
                with other, its_server:
                    for _ in range(100):  # the relay has its turn with the first flow at each of these
                        await other.send(b"ping")
                        assert await its_server.receive() == b"ping"
                assert not sending.done()
                session = min(rig.relay.sessions, key=lambda each: each.number)
                assert session.master is not None
                held = sum(leg.queued for leg in session.master.legs.values())
                assert held <= 4 * HIGH_WATER, f"{held} bytes are held"
                assert session.traffic < SIZE // 2
                assert await server.digest() == EXPECTED
                await sending
            await rig.at_rest()

    run(work())

"""One opaque direction: copying and splicing take turns, and neither loses, adds or reorders a byte."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from alg.relay.leg import LegSocket
from alg.relay.pipes import PipePool
from alg.relay.poller import LoopWatcher, Poller, Watcher
from alg.relay.pump import BULK, Pump
from tests.conftest import Run
from tests.relay.peers import Peer


@dataclass
class Direction:
    """A pump with a peer at each end."""

    source: Peer
    sink: Peer
    pump: Pump
    pool: PipePool
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Future[OSError] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def connection(buffer: int = 0) -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    return near, far


@contextlib.contextmanager
def direction(watcher: Watcher, pool: PipePool | None = None, *, buffer: int = 0) -> Iterator[Direction]:
    """Set one up and take it down."""
    loop = asyncio.get_running_loop()
    pool = pool or PipePool()
    (in_near, in_far), (out_near, out_far) = connection(), connection(buffer)
    source, sink = LegSocket(loop, watcher, in_near), LegSocket(loop, watcher, out_near)
    made = Direction(Peer(in_far), Peer(out_far), Pump(source, sink, pool, lambda: made.ended.set()), pool)
    source.on_lost = sink.on_lost = made.lost.set_result
    made.pump.start()
    try:
        yield made
    finally:
        made.pump.stop()
        for leg in (source, sink):
            leg.close()
        for peer in (made.source, made.sink):
            peer.close()
        pool.close()
        watcher.close()


@pytest.fixture(params=[Poller, LoopWatcher])
def make_watcher(request: pytest.FixtureRequest) -> type[Poller | LoopWatcher]:
    """Either way to watch sockets."""
    kind: type[Poller | LoopWatcher] = request.param
    return kind


def test_bulk_leaves_python_and_small_pieces_come_back(run: Run, make_watcher: type[Poller | LoopWatcher]) -> None:
    """Copy, splice, copy, splice: the mode follows the traffic, and every byte arrives in order."""

    async def work() -> None:
        with direction(make_watcher(asyncio.get_running_loop())) as one:
            for _ in range(2):
                block = os.urandom(4 << 20)
                sending = asyncio.ensure_future(one.source.send(block))
                assert await one.sink.exactly(len(block)) == block
                await sending
                assert one.pump.splicing
                for _ in range(40):
                    await one.source.send(b"small")
                    assert await one.sink.exactly(5) == b"small"
                assert not one.pump.splicing
            one.source.fin()
            await one.ended.wait()
            assert one.pump.source.received == one.pump.sink.sent == 2 * ((4 << 20) + 200)

    run(work())


def test_any_mixture_of_sizes_arrives(run: Run) -> None:
    """Pieces from one byte to a megabyte, seeded, to a slow reader: what comes out is what went in."""

    async def work() -> None:
        dice = random.Random(17)
        sizes = [dice.choice([1, 100, BULK - 1, BULK, BULK + 1, 1 << 20]) for _ in range(80)]
        blob = os.urandom(sum(sizes))
        with direction(Poller(asyncio.get_running_loop()), buffer=65536) as one:

            async def send() -> None:
                at = 0
                for size in sizes:
                    await one.source.send(blob[at : at + size])
                    at += size
                one.source.fin()

            sending = asyncio.ensure_future(send())
            got = await one.sink.exactly(len(blob))
            await sending
            assert got == blob
            await one.ended.wait()

    run(work())


@pytest.mark.parametrize("pool", [PipePool(available=False), PipePool(limit=0)], ids=["switched-off", "no-pipe-left"])
def test_without_a_pipe_bulk_is_copied(run: Run, pool: PipePool) -> None:
    """No splice, or no pipe for it: the same bytes arrive."""

    async def work() -> None:
        with direction(Poller(asyncio.get_running_loop()), pool, buffer=16384) as one:
            block = os.urandom(8 << 20)
            sending = asyncio.ensure_future(one.source.send(block))
            assert await one.sink.exactly(len(block)) == block
            await sending
            assert pool.open == 0

    run(work())


def test_pipe_of_a_broken_flow_is_not_pooled(run: Run) -> None:
    """What is in a pipe when its flow breaks must not come out of the next flow."""

    async def work() -> None:
        pool = PipePool()
        with direction(Poller(asyncio.get_running_loop()), pool, buffer=4096) as one:
            pouring = asyncio.ensure_future(one.source.send(os.urandom(64 << 20)))
            await one.sink.exactly(8 << 20)
            one.sink.reset()
            await one.lost
            one.pump.stop()
            assert pool.open == 0
            pouring.cancel()
            await asyncio.wait([pouring])

    run(work())


def test_pipes_are_pooled_up_to_their_limit() -> None:
    """An empty pipe is used again; beyond the limit there is none; closed is closed."""
    pool = PipePool(limit=2)
    first, second = pool.take(), pool.take()
    assert first is not None
    assert second is not None
    assert pool.take() is None
    pool.give_back(first)
    assert pool.take() is first
    pool.discard(first)
    pool.give_back(second)
    assert pool.open == 1
    pool.close()
    assert pool.open == 0

"""Bytes that pass unread by count, on real sockets: by `splice` and without, with TLS on any leg, to any end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from alg.core.model import Side
from alg.relay.leg import RECEIVE_SIZE
from tests.conftest import Run
from tests.relay.peers import DEADLINE, Peer
from tests.relay.rig import Rig, relaying
from tests.relay.test_flow_end import turns
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import covering, pair
from tests.relay.toys import BothWaysPlugin, CountingPlugin

MUCH = 64 << 20
BLOCK = os.urandom(1 << 20)
LEGS = pytest.mark.parametrize(
    ("client", "server"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["", "client", "server", "both"],
)
UPWARDS = pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])


@asynccontextmanager
async def counting(client: bool = False, server: bool = False, *, splice: bool = True) -> AsyncIterator[Rig]:
    """A relay with the plugin; its legs are TLS where that is said."""
    if client or server:
        async with covering(client, server, CountingPlugin) as rig:
            yield rig
    else:
        async with relaying(CountingPlugin, splice=splice) as rig:
            yield rig


def contents(size: int) -> list[bytes]:
    """So many bytes, in pieces."""
    return [BLOCK] * (size // len(BLOCK)) + ([BLOCK[: size % len(BLOCK)]] if size % len(BLOCK) else [])


async def pour(peer: Peer, size: int, behind: bytes) -> None:
    """Announce so many bytes, and send them, with what comes behind them in one piece with the last."""
    pieces = contents(size)
    await peer.send(b"%d\n" % size)
    for piece in pieces[:-1]:
        await peer.send(piece)
    await peer.send(pieces[-1] + behind)


async def drink(peer: Peer, size: int) -> None:
    """Get what was poured."""
    assert await peer.line() == b"%d\n" % size
    got, meant, count = hashlib.sha256(), hashlib.sha256(), 0
    for piece in contents(size):
        meant.update(piece)
    while count < size:
        piece = await peer.receive()
        assert piece, f"the end came after {count} bytes"
        got.update(piece[: size - count])
        peer._buffer, count = piece[size - count :], count + len(piece[: size - count])
    assert got.digest() == meant.digest()


async def passes(one: Peer, other: Peer, size: int) -> None:
    """So many bytes pass, and what is behind them is read: a line of it is answered."""
    pouring = asyncio.ensure_future(pour(one, size, b"deadline 99\n3\nabc"))
    await drink(other, size)
    assert await other.exactly(5) == b"3\nabc"
    assert await one.line() == b"set\n"
    await pouring


@UPWARDS
@LEGS
@pytest.mark.parametrize("size", [1, 65536, RECEIVE_SIZE, RECEIVE_SIZE + 1])
def test_as_many_bytes_as_were_said(run: Run, size: int, client: bool, server: bool, upwards: bool) -> None:
    """One, and about as many as a read takes; once more behind it."""

    async def work() -> None:
        async with counting(client, server) as rig:
            near, far = await pair(rig, client, server)
            with near, far:
                one, other = (near, far) if upwards else (far, near)
                await passes(one, other, size)
                await passes(other, one, size)
                await passes(one, other, 1)
            await rig.at_rest()

    run(work())


@LEGS
def test_many_bytes(run: Run, client: bool, server: bool) -> None:
    """64 MiB arrive, with what is behind them; in the clear by `splice`."""

    async def work() -> None:
        async with counting(client, server) as rig:
            near, far = await pair(rig, client, server)
            with near, far:
                await passes(near, far, MUCH)
                (session,) = rig.relay.sessions
                assert (rig.relay.services.pipes.open > 0) == (not client and not server)
                assert session.traffic == MUCH + len(b"%d\ndeadline 99\n3\nabc" % MUCH)
            await rig.at_rest()

    run(work())


def test_many_bytes_without_splice(run: Run) -> None:
    """They are copied."""

    async def work() -> None:
        async with counting(splice=False) as rig:
            near, far = await rig.pair()
            with near, far:
                await passes(far, near, MUCH)
                assert rig.relay.services.pipes.open == 0
            await rig.at_rest()

    run(work())


def waiting(sock: socket.socket) -> int:
    """How many bytes there are to be read."""
    try:
        return len(sock.recv(1 << 16, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def test_a_record_is_read_as_one(run: Run) -> None:
    """Whoever asks for a byte of a TLS record gets all of it: to read it byte by byte would take the loop for long."""

    async def work() -> None:
        async with covering(True, False, BothWaysPlugin) as rig:
            near, far = await pair(rig, True, False)
            assert isinstance(near, TlsPeer)
            with near, far:
                await near.send(b"hello")
                assert await far.exactly(5) == b"hello"
                (session,) = rig.relay.sessions
                assert session.master is not None
                leg = session.master.legs[Side.CLIENT]
                leg.pause()
                record = near.sealed(bytes(16384))
                await near.raw(record)
                async with asyncio.timeout(DEADLINE):
                    while waiting(leg.sock) < len(record):
                        await turns()
                assert leg.receive(1) == 16384
            await rig.at_rest()

    run(work())


@UPWARDS
@pytest.mark.parametrize("covered", [False, True], ids=["clear", "tls"])
def test_an_end_before_all_has_passed(run: Run, upwards: bool, covered: bool) -> None:
    """Whoever gets the rest is cut off; only a client that said too little is told why."""

    async def work() -> None:
        async with counting(covered, covered) as rig:
            near, far = await pair(rig, covered, covered)
            with near, far:
                one, other = (near, far) if upwards else (far, near)
                await one.send(b"5\nab")
                assert await other.exactly(4) == b"5\nab"
                one.fin()
                assert await other.until_cut() == (b"", "reset")
                words, _ = await one.until_cut()
                assert words == (b"sorry, truncated\n" if upwards else b"")
            await rig.notes.wait("truncated")
            await rig.at_rest()

    run(work())


@UPWARDS
@pytest.mark.parametrize("size", [5, MUCH], ids=["few", "many"])
@pytest.mark.parametrize("who", ["source", "sink"])
def test_a_peer_that_is_lost_in_the_middle(run: Run, who: str, size: int, upwards: bool) -> None:
    """The other one sees a reset, and no pipe is pooled that still holds bytes."""

    async def work() -> None:
        async with counting() as rig:
            near, far = await rig.pair()
            with near, far:
                one, other = (near, far) if upwards else (far, near)
                await one.send(b"%d\n" % size)
                pouring = asyncio.ensure_future(one.send(bytes(size // 2)))
                assert await other.line() == b"%d\n" % size
                await other.exactly(size // 4)
                if who == "source":
                    pouring.cancel()
                    await asyncio.wait([pouring])
                    one.reset()
                    _, how = await other.until_cut()
                    assert how == "reset"
                else:
                    other.reset()
                    await asyncio.gather(pouring, return_exceptions=True)
                    words, _ = await one.until_cut()
                    assert words in (b"", b"sorry, server_lost\n")
            await rig.at_rest()

    run(work())


def test_a_sink_that_does_not_read_holds_the_source_back(run: Run) -> None:
    """The relay keeps no more than a pipe's content of 64 MiB; when the sink reads, it gets them all."""

    async def work() -> None:
        async with relaying(CountingPlugin, receive_buffer=65536) as rig:
            near, far = await rig.pair()
            with near, far:
                await passes(near, far, 1)
                pouring = asyncio.ensure_future(pour(near, MUCH, b""))
                (session,) = rig.relay.sessions
                assert session.master is not None
                client, server = session.master.legs[Side.CLIENT], session.master.legs[Side.SERVER]
                async with asyncio.timeout(DEADLINE):
                    while client.received < RECEIVE_SIZE or client.reading:
                        await turns()
                assert not pouring.done()
                assert client.received - server.sent <= 1 << 20
                await drink(far, MUCH)
                await pouring
            await rig.at_rest()

    run(work())


@UPWARDS
def test_a_flow_that_is_closed_in_the_middle(run: Run, upwards: bool) -> None:
    """Whoever gets the rest sees a reset; the other one an orderly end."""

    async def work() -> None:
        async with counting() as rig:
            near, far = await rig.pair()
            with near, far:
                one, other = (near, far) if upwards else (far, near)
                await one.send(b"5\nab")
                assert await other.exactly(4) == b"5\nab"
                await other.send(b"close\n")
                assert await other.until_cut() == (b"", "reset")
                assert await one.until_cut() == (b"", "end")
            await rig.at_rest()

    run(work())

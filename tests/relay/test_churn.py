"""Peers that vanish, over and over: nothing slopes up, and an honest session beside it is not disturbed."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from alg_ftp import FtpConfig

from alg.core.model import Endpoint
from alg.settings import Times
from tests.conftest import Run, open_descriptors
from tests.relay.peers import CLIENT, DEADLINE, OTHER, SERVER, Host, Peer, refused
from tests.relay.rig import FtpPair, Rig, relaying, relaying_ftp

SOON = 0.5
"""Seconds of all deadlines that a session of FTP begins here; that of the last words (LINGER) is the same."""


@contextmanager
def hanging_up(host: Host) -> Iterator[None]:
    """Whoever comes to that host is accepted and closed."""

    def accept() -> None:
        with suppress(BlockingIOError):
            while True:
                host.sock.accept()[0].close()

    loop = asyncio.get_running_loop()
    loop.add_reader(host.sock.fileno(), accept)
    yield
    loop.remove_reader(host.sock.fileno())


@pytest.mark.parametrize("word", [b"", b"USER x\r\n"], ids=["silent", "talking"])
def test_connect_and_vanish(run: Run, word: bytes) -> None:
    """T85: 1,000 clients connect and reset, with and without a word: all is given back, an honest session is served."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            honest = await rig.ftp(OTHER)
            with hanging_up(rig.host):
                for _ in range(10):
                    peers = await asyncio.gather(*(Peer.connect(rig.at) for _ in range(100)))
                    for peer in peers:
                        if word:
                            await peer.send(word)
                        peer.reset()
                    assert await honest.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
                async with asyncio.timeout(DEADLINE):
                    while len(rig.relay.sessions) > 1:
                        await honest.say(b"NOOP", b"200 ok")
            honest.close()
            await rig.at_rest()
            assert not rig.notes.of("accept_failed")

    run(work())


def test_connect_and_vanish_at_a_lease(run: Run) -> None:
    """T85: 300 strangers who reset at a lease do not use it up; the client then completes."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                for _ in range(300):
                    try:
                        (await Peer.connect(told, OTHER)).reset()
                    except ConnectionResetError:
                        continue
                with await Peer.connect(told, CLIENT) as client, await data.accept() as server:
                    await server.send(b"mine")
                    assert await client.exactly(4) == b"mine"
            ftp.close()
            await rig.at_rest()

    run(work())


async def by_quit(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """QUIT, then the server hangs up everywhere."""
    await ftp.client.send(b"QUIT\r\n")
    await ftp.server.line()
    await ftp.server.send(b"221 bye\r\n")
    server.close()
    ftp.server.close()
    await ftp.client.rest()


async def by_abort(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """ABOR: the server resets the data connection and answers."""
    await ftp.client.send(b"\xff\xf4\xff\xf2ABOR\r\n")
    assert await ftp.server.line() == b"\xff\xf4\xff\xf2ABOR\r\n"
    server.reset()
    await ftp.server.send(b"426 aborted\r\n226 ok\r\n")
    await ftp.client.line()
    assert await ftp.client.line() == b"226 ok\r\n"


async def by_data_fin(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """The client closes the data connection."""
    client.close()


async def by_data_reset(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """The client resets the data connection."""
    client.reset()


async def by_control_fin(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """The client closes the control connection, and then the server does."""
    ftp.client.close()
    await ftp.server.until_cut()
    ftp.server.close()
    server.close()


async def by_control_reset(ftp: FtpPair, client: Peer, server: Peer) -> None:
    """The client resets the control connection."""
    ftp.client.reset()
    await ftp.server.until_cut()


async def deadlines_gone_by(rig: Rig) -> None:
    """Wait until the deadlines that were begun so far have come: one that is begun now comes behind all of them."""
    gone_by = asyncio.Event()
    rig.relay.services.timeouts(SOON).begin(gone_by.set)
    await gone_by.wait()


ENDS: list[Callable[[FtpPair, Peer, Peer], Awaitable[None]]] = [
    *(by_quit, by_abort, by_data_fin, by_data_reset, by_control_fin, by_control_reset)
]


async def cycle(rig: Rig, end: Callable[[FtpPair, Peer, Peer], Awaitable[None]]) -> None:
    """One session that ends in the middle of a transfer."""
    ftp = await rig.ftp()
    with Host(SERVER) as data:
        told = await ftp.passive(data.endpoint)
        with await Peer.connect(told) as client, await data.accept() as server:
            assert await ftp.say(b"RETR file", b"150 here it comes") == b"150 here it comes\r\n"
            await server.send(bytes(300_000))
            await client.exactly(100_000)
            await end(ftp, client, server)
    ftp.close()
    await rig.at_rest()


def test_ends_in_the_middle_of_a_transfer(run: Run) -> None:
    """T86: 200 sessions, each ended in another way in mid-transfer: descriptors and memory do not slope up."""

    async def work() -> None:
        # Deadlines that were cancelled are forgotten when they would have come: soon, here.
        async with relaying_ftp(config=FtpConfig(data_lifetime=SOON), times=Times(connect=SOON)) as rig:
            rig.notes.keep = 0
            for end in ENDS:
                await cycle(rig, end)
            gc.collect()
            descriptors = len(open_descriptors())
            tracemalloc.start(1)
            try:
                for end in ENDS * 5:
                    await cycle(rig, end)
                await deadlines_gone_by(rig)
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
                for end in ENDS * 28:
                    await cycle(rig, end)
                await deadlines_gone_by(rig)
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert len(open_descriptors()) == descriptors
            assert (after - before) / (28 * len(ENDS)) < 300, f"{after - before} bytes more"

    run(work())


def test_clients_killed_in_the_middle_of_bulk(run: Run) -> None:
    """Bulk that stands in pipes when its client resets never comes out of another session's flow (T73)."""

    async def work() -> None:
        async with relaying(receive_buffer=0) as rig:
            for number in range(30):
                token = b"%03d" % number * 100_000
                client, server = await rig.pair(receive_buffer=4096)
                pouring = asyncio.ensure_future(server.send(token * 20))
                got = await client.exactly(1_000_000)
                assert token * 20 == got + (token * 20)[len(got) :]
                client.reset()
                await asyncio.wait([pouring])
                assert pouring.exception() is None or isinstance(pouring.exception(), OSError)
                server.close()
            await rig.at_rest()

    run(work())


def test_wrong_peers_are_counted_one_by_one(run: Run) -> None:
    """Each stranger at a lease makes one record, with who and where."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told: Endpoint = await ftp.passive(data.endpoint)
                for _ in range(5):
                    await refused(told, OTHER)
            notes = rig.notes.of("wrong_peer")
            assert [str(note.fields["listener"]) for note in notes] == [str(told)] * 5
            assert all(str(note.fields["peer"]).startswith(OTHER) for note in notes)
            ftp.close()
            await rig.at_rest()

    run(work())

"""F14, F15: no descriptors are left in the whole process: accepting pauses, and goes on when there are some again."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alg.core.model import Endpoint
from tests.conftest import Run
from tests.relay.peers import CLIENT, SERVER, Host, Peer
from tests.relay.rig import Rig, relaying_ftp


@contextmanager
def none_left() -> Iterator[None]:
    """Nobody in this process gets another descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def knock(rig: Rig, at: Endpoint) -> Peer:
    """Connect while no descriptor is left; the relay cannot accept, says so once and does not spin."""
    sock = socket.socket()
    sock.bind((CLIENT, 0))
    with none_left():
        sock.connect((str(at.address), at.port))
        await rig.notes.wait("accept_failed")
        used = time.process_time()
        with_nothing_to_do = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.3, with_nothing_to_do.set_result, None)
        await with_nothing_to_do
        assert time.process_time() - used < 0.15
        assert len(rig.notes.of("accept_failed")) == 1
    return Peer(sock)


def test_public_listener_waits_for_better_times(run: Run) -> None:
    """A client that cannot be accepted is served a second later, when there are descriptors again."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            with await knock(rig, rig.at) as client, await rig.host.accept() as server:
                await server.send(b"220 at last\r\n")
                assert await client.line() == b"220 at last\r\n"
            await rig.at_rest()

    run(work())


def test_lease_waits_for_better_times(run: Run) -> None:
    """The same for a data connection; the lease is not used up by it."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await knock(rig, told) as client, await data.accept() as server:
                    await server.send(b"at last")
                    assert await client.exactly(7) == b"at last"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_upstream_without_a_descriptor_is_refused(run: Run) -> None:
    """F15: the client was accepted with the last descriptor: it is told at once, and no session stays half-built."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            sock = socket.socket()
            sock.bind((CLIENT, 0))
            spare = os.dup(0)
            with none_left():
                os.close(spare)
                sock.connect((str(rig.at.address), rig.at.port))
                with Peer(sock) as client:
                    assert await client.rest() == b"421 The server cannot be reached; try again later.\r\n"
            await rig.notes.wait("connect_failed")
            await rig.at_rest()

    run(work())


def test_passive_without_a_descriptor_is_425(run: Run) -> None:
    """F15: no descriptor for a listener: 425, the control connection goes on."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                numbers = divmod(data.endpoint.port, 256)
                with none_left():
                    answer = await ftp.say(b"PASV", b"227 (127,0,0,5,%d,%d)" % numbers)
                assert answer.startswith(b"425 ")
                assert rig.relay.services.ports.taken == 0
                await ftp.passive(data.endpoint)
            ftp.close()
            await rig.at_rest()

    run(work())

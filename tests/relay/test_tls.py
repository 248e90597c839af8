"""TLS on the legs of a flow: from the first byte or later, on one leg or both, in bulk, and with a peer that does not read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl

import pytest

from alg.core.model import Side
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.test_flow_end import turns
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import VERSIONS, asking, covering, pair, secure_client, secure_server

BULK = os.urandom(1 << 20) * 3
CELLS = pytest.mark.parametrize(
    ("client", "server"), [(True, False), (False, True), (True, True)], ids=["client", "server", "both"]
)


async def exchange(one: Peer, other: Peer, data: bytes) -> None:
    """Both say all of it at once, and end; each gets what the other said, and an orderly end."""

    async def say(peer: Peer) -> None:
        await peer.send(data)
        peer.fin()

    heard = await asyncio.gather(one.digest(), other.digest(), say(one), say(other))
    assert heard[0] == heard[1] == (len(data), hashlib.sha256(data).hexdigest())


@VERSIONS
@CELLS
def test_bulk_both_ways(run: Run, client: bool, server: bool, version: ssl.TLSVersion) -> None:
    """TLS from the first byte, on either leg or both: equal SHA-256 both ways at once, close_notify at each end."""

    async def work() -> None:
        async with covering(client, server) as rig:
            near, far = await pair(rig, client, server, version)
            with near, far:
                await exchange(near, far, BULK)
            await rig.at_rest()
            assert [note.reason for note in rig.notes.all] == ["session_open", "session_close"]
            assert rig.notes.all[-1].fields["bytes_up"] == rig.notes.all[-1].fields["bytes_down"] == len(BULK)

    run(work())


@VERSIONS
def test_tls_begins_when_the_plugin_says_so(run: Run, version: ssl.TLSVersion) -> None:
    """Explicit: first the server's leg, then the client's, in the middle of a session; then all that is said is covered."""

    async def work() -> None:
        async with asking() as rig:
            near, far = await rig.pair()
            await near.send(b"in the clear\n")
            assert await far.line() == b"in the clear\n"
            far = await secure_server(near, far, pki.server(version=version))
            near = await secure_client(near, pki.client(version=version))
            assert isinstance(near, TlsPeer)
            assert near.tls.version() == ("TLSv1.2" if version is pki.V12 else "TLSv1.3")
            with near, far:
                await near.send(b"covered\n")
                assert await far.line() == b"covered\n"
                await near.send(b"splice\n")
                await exchange(near, far, BULK)
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("covered", [Side.CLIENT, Side.SERVER])
def test_peer_that_does_not_read(run: Run, covered: Side) -> None:
    """Backpressure: what waits for a peer under TLS stays below a bound, and the sender has to wait; nothing is lost."""

    async def work() -> None:
        client = covered is Side.CLIENT
        async with covering(client, not client) as rig:
            near, far = await pair(rig, client, not client)
            with near, far:
                sending = asyncio.ensure_future(far.send(BULK * 8))
                await turns()
                (session,) = rig.relay.sessions
                assert session.master is not None
                leg = session.master.legs[Side.CLIENT]
                while not leg.queued:
                    await turns()
                for _ in range(20):
                    await turns()
                    assert leg.queued < 1 << 20
                assert not sending.done()
                assert await near.exactly(len(BULK) * 8) == BULK * 8
                await sending
            await rig.at_rest()

    run(work())


def test_data_together_with_the_end_of_the_handshake(run: Run) -> None:
    """What a client sends in the same segment as its Finished is read, though the socket holds nothing more."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            with TlsPeer(near, pki.client(), name=pki.NAME) as tls, far:
                while True:
                    try:
                        tls.tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await tls.flush()
                        await tls.feed()
                await tls.raw(tls.outgoing.read() + tls.sealed(b"at once") + tls.goodbye())
                assert await far.rest() == b"at once"
            await rig.at_rest()

    run(work())


def test_data_together_with_close_notify(run: Run) -> None:
    """Data and the end in one segment: both arrive, also where the connection itself stays open."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await pair(rig, True, False)
            assert isinstance(near, TlsPeer)
            with near, far:
                await near.raw(near.sealed(b"last words") + near.goodbye())
                assert await far.rest() == b"last words"
                await far.send(b"and the answer")
                far.fin()
                assert await near.rest() == b"and the answer"
            await rig.at_rest()

    run(work())


def test_hello_byte_by_byte(run: Run) -> None:
    """A hello that comes a byte at a time, and the rest of the handshake as well, is read all the same."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            tls = TlsPeer(near, pki.client(), name=pki.NAME)
            with tls, far:
                while True:
                    try:
                        tls.tls.do_handshake()
                        done = True
                    except ssl.SSLWantReadError:
                        done = False
                    for byte in tls.outgoing.read():
                        await tls.raw(bytes([byte]))
                        await asyncio.sleep(0)
                    if done:
                        break
                    await tls.feed()
                await tls.send(b"here")
                assert await far.exactly(4) == b"here"
            await rig.at_rest()

    run(work())


def test_what_a_server_says_during_the_handshake_of_the_client(run: Run) -> None:
    """It waits in its socket until the client's leg is covered: nothing is written in the clear, and nothing is lost."""

    async def work() -> None:
        async with asking() as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(b"tls client\n")
                assert await near.line() == b"go ahead\n"
                await far.send(b"meanwhile\n")
                await turns()
                tls = await TlsPeer.cover(near)
                assert await tls.exactly(15) in (b"done\nmeanwhile\n", b"meanwhile\ndone\n")
            await rig.at_rest()

    run(work())

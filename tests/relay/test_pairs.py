"""Data connections both of whose legs come to us, or both of which we dial (FTP in another mode on each side)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from alg_ftp import FtpConfig
from alg_ftp.config import DataMode

from alg.core.model import Endpoint
from alg.settings import Times
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, THIRD, Host, Peer, refused
from tests.relay.rig import FtpPair, Rig, endpoint_in, port_line, relaying_ftp
from tests.relay.test_flow_end import turns

ACTIVE, PASSIVE = FtpConfig(server_data_mode=DataMode.ACTIVE), FtpConfig(server_data_mode=DataMode.PASV)
SHORT = FtpConfig(server_data_mode=DataMode.ACTIVE, data_lifetime=0.4)
ORDERS = pytest.mark.parametrize("first", [CLIENT, SERVER], ids=["client-first", "server-first"])


@asynccontextmanager
async def accepting(config: FtpConfig = ACTIVE) -> AsyncIterator[tuple[Rig, FtpPair, Endpoint, Endpoint]]:
    """A passive client and an active server: where each of them is to come."""
    async with relaying_ftp(config=config) as rig:
        ftp = await rig.ftp()
        await ftp.client.send(b"PASV\r\n")
        for_server = endpoint_in(await ftp.server.line())
        await ftp.server.send(b"200 ok\r\n")
        for_client = endpoint_in(await ftp.client.line())
        assert for_client != for_server
        yield rig, ftp, for_client, for_server
        ftp.close()
        await rig.at_rest()


@ORDERS
def test_both_come(run: Run, first: str) -> None:
    """In either order: what was said before the other came is not lost, and both listeners are closed afterwards."""

    async def work() -> None:
        async with accepting() as (rig, _, for_client, for_server):
            places = {CLIENT: for_client, SERVER: for_server}
            second = SERVER if first == CLIENT else CLIENT
            with await Peer.connect(places[first], first) as one:
                await one.send(b"early")
                await turns()
                with await Peer.connect(places[second], second) as other:
                    assert await other.exactly(5) == b"early"
                    await other.send(b"late")
                    assert await one.exactly(4) == b"late"
                    for source, place in places.items():
                        assert await refused(place, source) == "refused"
            await rig.notes.wait("flow_close")
            assert rig.relay.services.ports.taken == 0

    run(work())


@ORDERS
def test_only_one_comes(run: Run, first: str) -> None:
    """Who waits in vain is cut off when the lease expires, with a record; ports and descriptors are back."""

    async def work() -> None:
        async with accepting(SHORT) as (rig, ftp, for_client, for_server):
            place = for_client if first == CLIENT else for_server
            with await Peer.connect(place, first) as one:
                assert await one.until_cut() == (b"", "reset")
            await rig.notes.wait("lease_expired")
            assert rig.relay.services.ports.taken == 0
            assert rig.relay.services.budget.used == 2
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"

    run(work())


@pytest.mark.parametrize("waits", [None, CLIENT, SERVER], ids=["nobody", "client", "server"])
@pytest.mark.parametrize("at", [CLIENT, SERVER], ids=["at-client", "at-server"])
def test_wrong_peer(run: Run, at: str, waits: str | None) -> None:
    """T16, T17: a stranger at either listener gets a reset and nothing else, whoever waits; then the flow comes about."""

    async def work() -> None:
        async with accepting() as (rig, _, for_client, for_server):
            places = {CLIENT: for_client, SERVER: for_server}
            waiting = await Peer.connect(places[waits], waits) if waits else None
            await turns()
            for stranger in (OTHER, SERVER if at == CLIENT else CLIENT, THIRD):
                assert await refused(places[at], stranger) in ("reset", "refused")
            near = waiting if waits == CLIENT and waiting else await Peer.connect(for_client, CLIENT)
            far = waiting if waits == SERVER and waiting else await Peer.connect(for_server, SERVER)
            with near, far:
                await far.send(b"mine")
                assert await near.exactly(4) == b"mine"
            assert len(rig.notes.of("wrong_peer")) == (0 if waits == at else 3)

    run(work())


@ORDERS
def test_session_ends_while_one_waits(run: Run, first: str) -> None:
    """The one that waits is cut off with its session."""

    async def work() -> None:
        async with accepting() as (rig, ftp, for_client, for_server):
            place = for_client if first == CLIENT else for_server
            with await Peer.connect(place, first) as one:
                await turns()
                ftp.close()
                assert await one.until_cut() == (b"", "reset")
            await rig.at_rest()

    run(work())


def test_one_that_waits_and_goes(run: Run) -> None:
    """A client that came, and went before the server did: the server gets an orderly end of nothing, and the session lives."""

    async def work() -> None:
        async with accepting() as (rig, ftp, for_client, for_server):
            (await Peer.connect(for_client, CLIENT)).close()
            await turns()
            with await Peer.connect(for_server, SERVER) as far:
                assert await far.rest() == b""
            await rig.notes.wait("flow_close")
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"

    run(work())


def test_next_data_command_cuts_off_who_waits(run: Run) -> None:
    """A new PASV gives up the earlier pair of listeners, and whoever waits there."""

    async def work() -> None:
        async with accepting() as (rig, ftp, for_client, _):
            with await Peer.connect(for_client, CLIENT) as one:
                await turns()
                await ftp.client.send(b"PASV\r\n")
                await ftp.server.line()
                assert await one.until_cut() == (b"", "reset")
                await ftp.server.send(b"200 ok\r\n")
                assert endpoint_in(await ftp.client.line()) != for_client
            assert rig.relay.services.ports.taken == 2

    run(work())


async def announce(ftp: FtpPair, near: Endpoint, far: Endpoint) -> None:
    """PORT from the client, PASV toward the server: both listen, and we are to dial both."""
    await ftp.client.send(port_line(near))
    assert await ftp.server.line() == b"PASV\r\n"
    await ftp.server.send(b"227 (127,0,0,5,%d,%d)\r\n" % divmod(far.port, 256))
    assert (await ftp.client.line()).startswith(b"200 ")


def test_both_are_dialled(run: Run) -> None:
    """With the command that needs them, once, the server's first; a second transfer without a new PORT dials nobody."""

    async def work() -> None:
        async with relaying_ftp(config=PASSIVE) as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as near, Host(SERVER) as far:
                await announce(ftp, near.endpoint, far.endpoint)
                assert far.untouched()
                assert await ftp.say(b"RETR x", b"150 go") == b"150 go\r\n"
                with await far.accept() as outer, await near.accept() as inner:
                    await outer.send(b"data")
                    assert await inner.exactly(4) == b"data"
                    await ftp.server.send(b"226 done\r\n")
                    assert await ftp.client.line() == b"226 done\r\n"
                    assert await ftp.say(b"RETR x", b"425 no") == b"425 no\r\n"
                    assert near.untouched()
                    assert far.untouched()
                await rig.notes.wait("flow_close")
            ftp.close()
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("missing", [CLIENT, SERVER], ids=["client", "server"])
def test_refused_dial(run: Run, missing: str) -> None:
    """Where one of them does not listen, the other is cut off or never dialled; all is given back, the session lives."""

    async def work() -> None:
        async with relaying_ftp(config=PASSIVE, times=Times(connect=1.0)) as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as near, Host(SERVER) as far:
                await announce(ftp, near.endpoint, far.endpoint)
                (near if missing == CLIENT else far).close()
                assert await ftp.say(b"RETR x", b"150 go") == b"150 go\r\n"
                if missing == CLIENT:
                    with await far.accept() as outer:
                        assert await outer.until_cut() == (b"", "reset")
                else:
                    await rig.notes.wait("connect_refused")
                    assert near.untouched()
                await rig.notes.wait("connect_refused")
                assert rig.relay.services.budget.used == 2
                assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_transfer_that_ends_after_quit(run: Run) -> None:
    """What runs when the client says QUIT runs on; its record waits for it, and is the only one."""

    async def work() -> None:
        async with relaying_ftp(config=PASSIVE) as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as near, Host(SERVER) as far:
                await announce(ftp, near.endpoint, far.endpoint)
                assert await ftp.say(b"RETR x", b"150 go") == b"150 go\r\n"
                with await far.accept() as outer, await near.accept() as inner:
                    await outer.send(b"some")
                    assert await inner.exactly(4) == b"some"
                    await ftp.server.send(b"226 done\r\n")
                    assert await ftp.client.line() == b"226 done\r\n"
                    assert await ftp.say(b"QUIT", b"221 bye") == b"221 bye\r\n"
                    ftp.close()
                    await outer.send(b" more")
                    outer.fin()
                    assert await inner.rest() == b" more"
                    inner.fin()
            note = await rig.notes.wait("transfer")
            assert (note.fields["code"], note.fields["bytes"]) == (226, len(b"some more"))
            await rig.at_rest()
            assert len(rig.notes.of("transfer")) == 1

    run(work())

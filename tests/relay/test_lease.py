"""Leases on real sockets: who may come through, how often, how long, and from which ports."""

from __future__ import annotations

import socket

from alg_ftp import FtpConfig

from alg.core.addresses import parse_address
from alg.core.model import Endpoint
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, Host, Peer, refused
from tests.relay.rig import port_line, relaying_ftp


def test_passive_transfer_reaches_the_announced_endpoint(run: Run) -> None:
    """PASV: the client is told an endpoint of ours, and who comes there is at the server's, from our server leg."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert str(told.address) == "127.0.0.1"
                with await Peer.connect(told) as client, await data.accept() as server:
                    assert server.peer.address == ftp.server.peer.address
                    await server.send(b"contents")
                    server.fin()
                    assert await client.rest() == b"contents"
            note = (await rig.notes.wait("flow_open")).fields
            assert str(note["target"]) == str(data.endpoint)
            assert (await rig.notes.wait("flow_close")).fields["bytes_down"] == 8
            ftp.close()
            await rig.at_rest()

    run(work())


def test_active_transfer_reaches_the_announced_endpoint(run: Run) -> None:
    """PORT: the server is told an endpoint of ours; the client sees the connection come from where it is connected to."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as data:
                told = await ftp.active(data.endpoint)
                with await Peer.connect(told, SERVER) as server, await data.accept() as client:
                    assert client.peer.address == rig.at.address
                    await client.send(b"contents")
                    client.fin()
                    assert await server.rest() == b"contents"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_wrong_peer_at_a_passive_lease_does_not_use_it_up(run: Run) -> None:
    """T16: who comes first from another address is reset and gets nothing; the client then completes."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert await refused(told, OTHER) == "reset"
                assert data.untouched()
                assert (await rig.notes.wait("wrong_peer")).fields["listener"] == told
                with await Peer.connect(told) as client, await data.accept() as server:
                    await server.send(b"mine")
                    server.fin()
                    assert await client.rest() == b"mine"
            assert len(rig.notes.of("wrong_peer")) == 1
            ftp.close()
            await rig.at_rest()

    run(work())


def test_wrong_peer_at_an_active_lease_does_not_use_it_up(run: Run) -> None:
    """T17: who is not the server is reset at the server's lease; the server then completes."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as data:
                told = await ftp.active(data.endpoint)
                for source in (OTHER, CLIENT):
                    assert await refused(told, source) == "reset"
                assert data.untouched()
                with await Peer.connect(told, SERVER) as server, await data.accept() as client:
                    await server.send(b"mine")
                    server.fin()
                    assert await client.rest() == b"mine"
            assert len(rig.notes.of("wrong_peer")) == 2
            ftp.close()
            await rig.at_rest()

    run(work())


def test_lease_is_good_for_one_connection(run: Run) -> None:
    """T18: once the client has come, the listener is gone; nobody reaches the server a second time."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told), await data.accept():
                    assert await refused(told) == "refused"
                    assert data.untouched()
                    assert rig.relay.services.gate.pending_leases == rig.relay.services.ports.taken == 0
            ftp.close()
            await rig.at_rest()

    run(work())


def test_two_who_wait_at_once_are_not_both_let_in(run: Run) -> None:
    """T18: of two connections in the backlog of a lease one passes, and the other is cut."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                socks = [socket.create_connection((str(told.address), told.port), 2, (CLIENT, 0)) for _ in range(2)]
                first, second = (Peer(sock) for sock in socks)
                with first, second, await data.accept() as server:
                    assert (await second.until_cut())[0] == b""
                    await server.send(b"one")
                    assert await first.receive() == b"one"
                    assert data.untouched()
            ftp.close()
            await rig.at_rest()

    run(work())


def test_lease_expires(run: Run) -> None:
    """T18: nobody came within the lifetime: the listener is gone, its port is back, and a record says so."""

    async def work() -> None:
        async with relaying_ftp(config=FtpConfig(data_lifetime=0.1)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert str(data.endpoint) in (await rig.notes.wait("lease_expired")).message
                assert await refused(told) == "refused"
                assert rig.relay.services.ports.taken == 0
                again = await ftp.passive(data.endpoint)
                with await Peer.connect(again), await data.accept():
                    pass
            ftp.close()
            await rig.at_rest()

    run(work())


def test_second_announcement_replaces_the_first(run: Run) -> None:
    """T60: after a second PASV or a PORT the first port is closed: a session has one data listener at most."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data, Host(CLIENT) as active:
                first = await ftp.passive(data.endpoint)
                second = await ftp.passive(data.endpoint)
                assert await refused(first, OTHER) == "refused"
                assert await refused(second, OTHER) == "reset"
                await ftp.active(active.endpoint)
                assert await refused(second, OTHER) == "refused"
                assert rig.relay.services.gate.pending_leases == 1
            ftp.close()
            await rig.at_rest()

    run(work())


def test_unreachable_target_cuts_the_data_connection(run: Run) -> None:
    """Nobody listens where the server said: the client's data connection is reset, and the session goes on."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                nobody = data.endpoint
            told = await ftp.passive(nobody)
            assert await refused(told) == "reset"
            assert str(nobody) in (await rig.notes.wait("connect_refused")).message
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_low_port_never_reaches_the_server(run: Run) -> None:
    """T02: PORT to a service port is refused locally, nothing goes up, and nothing is opened."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            for port in (0, 1, 20, 21, 22, 25, 1023):
                answer = await ftp.refused(port_line(Endpoint(parse_address(CLIENT), port)).rstrip())
                assert answer.startswith(b"504 "), answer
            assert rig.relay.services.gate.pending_leases == 0
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())

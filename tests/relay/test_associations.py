"""SOCKS5 UDP ASSOCIATE: each datagram goes where it says, if it may; T42: nobody else's, no fragments, and no longer than its connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from alg.core.model import Endpoint
from alg.core.policy import LeaseLimits
from alg.core.socks_datagram import format_datagram, parse_datagram
from alg.settings import Limits, Proxy, Times
from tests.conftest import Run
from tests.relay.asking import asked_relay, greeted, reply, request
from tests.relay.peers import CLIENT, DEADLINE, OTHER, SERVER, THIRD, Peer
from tests.relay.rig import Rig

NOWHERE = Endpoint.parse("0.0.0.0", 0)


@contextmanager
def mouth(address: str) -> Iterator[socket.socket]:
    """A socket for datagrams at that address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        sock.setblocking(False)
        yield sock


def place(sock: socket.socket) -> Endpoint:
    """Where it is."""
    host, port = sock.getsockname()
    return Endpoint.parse(host, port)


async def hear(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    """The next datagram, and from where."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[tuple[bytes, tuple[str, int]]] = loop.create_future()

    def hears() -> None:
        loop.remove_reader(sock)
        heard.set_result(sock.recvfrom(65536))

    loop.add_reader(sock, hears)
    try:
        async with asyncio.timeout(DEADLINE):
            return await heard
    finally:
        loop.remove_reader(sock)


@asynccontextmanager
async def associated() -> AsyncIterator[tuple[Rig, Peer, Endpoint]]:
    """A relay, a client's connection, and where its datagrams go."""
    async with asked_relay() as rig:
        with await greeted(rig) as client:
            await client.send(request(3, NOWHERE))
            code, at = await reply(client)
            assert code == 0
            yield rig, client, at


@pytest.mark.parametrize("payload", [b"question", b"", b"x" * 60000], ids=["some", "empty", "large"])
def test_datagrams_go_both_ways(run: Run, payload: bytes) -> None:
    """What comes back says from where."""

    async def work() -> None:
        async with associated() as (_, client, at):
            with mouth(CLIENT) as mine, mouth(SERVER) as server:
                mine.sendto(format_datagram(place(server), payload), (str(at.address), at.port))
                data, sender = await hear(server)
                assert data == payload
                server.sendto(b"answer:" + payload[:8], sender)
                data, sender = await hear(mine)
                assert Endpoint.parse(*sender) == at
                assert parse_datagram(data) == (SERVER, place(server).port, b"answer:" + payload[:8])
            assert client.sock.fileno() >= 0

    run(work())


@pytest.mark.parametrize("what", ["stranger", "fragment", "forbidden", "second-port"])
def test_what_is_dropped(run: Run, what: str) -> None:
    """A datagram of another host, one of several fragments, one to whom no rule allows, and one from another port."""

    async def work() -> None:
        async with associated() as (rig, _, at):
            with mouth(CLIENT) as mine, mouth(OTHER) as other, mouth(SERVER) as server, mouth(THIRD) as third:
                to = str(at.address), at.port
                if what == "stranger":
                    other.sendto(format_datagram(place(server), b"theirs"), to)
                elif what == "fragment":
                    mine.sendto(b"\0\0\x01" + format_datagram(place(server), b"theirs")[3:], to)
                elif what == "forbidden":
                    mine.sendto(format_datagram(place(third), b"theirs"), to)
                mine.sendto(format_datagram(place(server), b"mine"), to)
                if what == "second-port":
                    with mouth(CLIENT) as second:
                        second.sendto(format_datagram(place(server), b"theirs"), to)
                mine.sendto(format_datagram(place(server), b"more"), to)
                assert [(await hear(server))[0] for _ in range(2)] == [b"mine", b"more"]
                with pytest.raises(BlockingIOError):
                    third.recv(1)
            assert rig.notes.of("datagram_refused" if what in ("fragment", "forbidden") else "stranger")

    run(work())


def test_it_ends_with_its_connection(run: Run) -> None:
    """The port is free, the flows are over."""

    async def work() -> None:
        async with associated() as (rig, client, at):
            with mouth(CLIENT) as mine, mouth(SERVER) as server:
                mine.sendto(format_datagram(place(server), b"question"), (str(at.address), at.port))
                await hear(server)
            client.fin()
            assert await client.until_cut() == (b"", "end")
            await rig.at_rest()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind((str(at.address), at.port))

    run(work())


def test_the_relay_stops(run: Run) -> None:
    """Who has an association is let go."""

    async def work() -> None:
        async with associated() as (rig, client, _):
            rig.relay.close()
            assert await client.until_cut() == (b"", "end")

    run(work())


def test_nothing_goes_past_another_proxy(run: Run) -> None:
    """Where servers are behind one, datagrams have no way to them."""

    async def work() -> None:
        async with asked_relay(via=Proxy("socks5", THIRD, 9)) as rig:
            with await greeted(rig) as client:
                await client.send(request(3, NOWHERE))
                assert (await reply(client))[0] == 7
                note = await rig.notes.wait("not_through_proxy")
                assert f"datagrams cannot go through socks5://{THIRD}:9" in note.message

    run(work())


class TestLeases:
    """Ports for datagrams are leases like others."""

    def test_they_count(self, run: Run) -> None:
        """A client has no more of them than of others, so that the ports are enough for all."""

        async def work() -> None:
            async with asked_relay(limits=Limits(leases=LeaseLimits(per_client=2))) as rig:
                held = [await greeted(rig, OTHER) for _ in range(3)]
                codes = []
                for client in held:
                    await client.send(request(3, NOWHERE))
                    codes.append((await reply(client))[0])
                assert codes == [0, 0, 1]
                assert rig.relay.services.gate.pending_leases == 2
                with await greeted(rig) as client:
                    await client.send(request(3, NOWHERE))
                    assert (await reply(client))[0] == 0
                for client in held:
                    client.close()

        run(work())

    def test_silence_ends_them(self, run: Run) -> None:
        """As it does a session."""

        async def work() -> None:
            async with asked_relay(times=Times(idle=0.3)) as rig:
                with await greeted(rig) as client:
                    await client.send(request(3, NOWHERE))
                    assert (await reply(client))[0] == 0
                    assert (await client.until_cut())[0] == b""
                assert rig.relay.services.ports.taken == 0

        run(work())

    def test_who_speaks_keeps_it(self, run: Run) -> None:
        """For longer than the idle time."""

        async def work() -> None:
            async with asked_relay(times=Times(idle=0.3)) as rig:
                with await greeted(rig) as client, mouth(CLIENT) as mine, mouth(SERVER) as server:
                    await client.send(request(3, NOWHERE))
                    _, at = await reply(client)
                    for _ in range(10):
                        mine.sendto(format_datagram(place(server), b"still here"), (str(at.address), at.port))
                        assert (await hear(server))[0] == b"still here"
                        await asyncio.sleep(0.1)

        run(work())

    @pytest.mark.parametrize("named", [True, False])
    def test_garbage_takes_nothing_over(self, run: Run, named: bool) -> None:
        """T42: somebody else of the address speaks first. Where the client has named its port, nobody else is heard at all."""

        async def work() -> None:
            async with asked_relay() as rig:
                with (
                    await greeted(rig) as client,
                    mouth(CLIENT) as mine,
                    mouth(CLIENT) as theirs,
                    mouth(SERVER) as server,
                ):
                    await client.send(request(3, place(mine) if named else NOWHERE))
                    _, at = await reply(client)
                    to = str(at.address), at.port
                    theirs.sendto(format_datagram(place(server), b"theirs") if named else b"garbage", to)
                    await rig.notes.wait("stranger" if named else "datagram_refused")
                    mine.sendto(format_datagram(place(server), b"mine"), to)
                    assert (await hear(server))[0] == b"mine"

        run(work())

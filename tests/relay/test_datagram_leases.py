"""Related flows over UDP: announced over TCP or UDP, one port or several, and paired for both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from alg.core.model import Endpoint, Realm, Side, Transport
from alg.core.policy import TargetRules
from alg.plugin import AlgError, Binding, DatagramPlugin, Datagrams, Outcome, Stream, StreamPlugin
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import Limits, Route, Upstream
from tests.conftest import Run
from tests.relay.datagram_peers import DatagramPeer
from tests.relay.peers import CLIENT, DEADLINE, SERVER, THIRD, Host, Peer
from tests.relay.rig import Notes
from tests.relay.test_flow_end import turns


class Announcing:
    """`SIDE ADDRESS PORT SPAN LIFETIME [pair]` is answered with the endpoint; `release` gives the last one back."""

    def __init__(self) -> None:
        self.last: Binding | None = None

    async def treat(self, plugin: StreamPlugin[None] | DatagramPlugin[None], line: bytes) -> bytes:
        """Do what it says; return the answer."""
        if line == b"release":
            assert self.last is not None
            self.last.release()
            return b"released\n"
        side, address, port, span, lifetime, *pair = line.decode().split()
        outcomes: list[Outcome] = []
        try:
            self.last = await plugin.flow.expect(
                *(Side(side), Endpoint.parse(address, port)),
                transport=Transport.TCP if pair == ["tcp"] else Transport.UDP,
                span=int(span),
                lifetime=float(lifetime),
                pair=self.last if pair == ["pair"] else None,
                on_end=outcomes.append,
            )
        except AlgError as error:
            return f"no {error.reason}\n".encode()
        return self.last.endpoint.to_bytes(b" ") + b"\n"


class AnnouncingStreamPlugin(StreamPlugin[None]):
    """Over TCP."""

    name = "announcing"

    async def from_client(self, stream: Stream) -> None:
        """Each line."""
        announcing = Announcing()
        async for line in stream.lines(200):
            stream.reply(await announcing.treat(self, line.strip()))

    async def from_server(self, stream: Stream) -> None:
        """It is read, so that the client can be answered."""
        async for line in stream.lines(200):
            stream.send(line)


class AnnouncingDatagramPlugin(DatagramPlugin[None]):
    """Over UDP; what is no announcement goes on."""

    name = "announcing-udp"
    idle = 0.4

    async def from_client(self, datagrams: Datagrams) -> None:
        """Each datagram."""
        announcing = Announcing()
        async for datagram in datagrams:
            if datagram.startswith((b"client", b"server", b"release")):
                datagrams.send(await announcing.treat(self, datagram))
            else:
                datagrams.send(datagram)


class Stage:
    """A relay with a client that announces over TCP."""

    def __init__(self, relay: Relay, notes: Notes, client: Peer) -> None:
        self.relay = relay
        self.notes = notes
        self.client = client

    async def answer(self, line: str) -> bytes:
        """What is answered to an announcement."""
        await self.client.send(line.encode() + b"\n")
        return await self.client.line()

    async def announce(self, line: str) -> Endpoint:
        """The endpoint that is given for it."""
        address, port = (await self.answer(line)).decode().split()
        return Endpoint.parse(address, port)


@asynccontextmanager
async def stage(*, limits: Limits | None = None) -> AsyncIterator[Stage]:
    """Run it; on leaving, all must be given back."""
    with Host(SERVER) as host, Notes() as notes:
        upstream = Upstream(str(host.endpoint.address), host.endpoint.port)
        route = Route(AnnouncingStreamPlugin, None, Endpoint.parse("127.0.0.1", 0), upstream)
        loopback = {side: TargetRules(loopback=True) for side in Side}
        relay = Relay([replace(route, targets=loopback)], Registry(), limits=limits)
        await relay.start()
        client = await Peer.connect(relay.listeners[0].local, CLIENT)
        server = await host.accept()
        try:
            yield Stage(relay, notes, client)
        finally:
            client.close()
            server.close()
            relay.close()
            assert await relay.drain(DEADLINE)
            relay.close()
        services = relay.services
        assert (services.budget.used, services.gate.pending_leases, services.ports.taken) == (0, 0, 0)


def test_datagrams_through_a_lease(run: Run) -> None:
    """There and back, as often as anybody likes; of an end the plugin hears when the session ends."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(CLIENT) as client, DatagramPeer(SERVER) as server:
                at = await here.announce(f"client {SERVER} {server.endpoint.port} 1 60")
                for number in range(3):
                    client.send(b"up %d" % number, at)
                    assert await server.receive() == b"up %d" % number
                    server.answer(b"down")
                    assert await client.receive() == b"down"
                    assert client.sender == (str(at.address), at.port)
                assert server.sender[0] == "127.0.0.1"
                await here.notes.wait("flow_open")
                here.client.reset()
                note = await here.notes.wait("flow_close")
                assert "12 bytes up, 12 bytes down" in note.message

    run(work())


def test_a_wrong_sender_is_not_let_through_and_uses_nothing_up(run: Run) -> None:
    """T37: only the announcer's other side may come; a second flow of the right one is one too many."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(CLIENT) as client, DatagramPeer(CLIENT) as second, DatagramPeer(SERVER) as server:
                at = await here.announce(f"client {SERVER} {server.endpoint.port} 1 60")
                with DatagramPeer(THIRD) as third:
                    third.send(b"evil", at)
                    await here.notes.wait("wrong_peer")
                client.send(b"good", at)
                assert await server.receive() == b"good"
                second.send(b"second", at)
                await here.notes.wait("lease_used")
                assert server.nothing()

    run(work())


def test_two_ports_lead_to_two_ports(run: Run) -> None:
    """RTP and RTCP: even and odd, each to its own; one flow through each."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(SERVER) as rtp, DatagramPeer(SERVER, port=rtp.endpoint.port + 1) as rtcp:
                at = await here.announce(f"client {SERVER} {rtp.endpoint.port} 2 60")
                assert at.port % 2 == 0
                with DatagramPeer(CLIENT) as client, DatagramPeer(CLIENT) as control:
                    client.send(b"media", at)
                    assert await rtp.receive() == b"media"
                    control.send(b"too many", at)
                    await here.notes.wait("lease_used")
                    control.send(b"report", Endpoint(at.address, at.port + 1))
                    assert await rtcp.receive() == b"report"
                    rtcp.answer(b"reply")
                    assert await control.receive() == b"reply"
                    assert control.sender[1] == at.port + 1
                    assert client.nothing() and rtp.nothing()

    run(work())


def test_a_pair_speaks_from_where_it_listens(run: Run) -> None:
    """RFC 4961: each side hears from the port that it speaks to, whoever begins."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(CLIENT) as client, DatagramPeer(SERVER) as server:
                for_server = await here.announce(f"server {CLIENT} {client.endpoint.port} 1 60")
                for_client = await here.announce(f"client {SERVER} {server.endpoint.port} 1 60 pair")
                client.send(b"one", for_client)
                assert await server.receive() == b"one"
                assert server.sender == (str(for_server.address), for_server.port)
                server.send(b"two", for_server)
                assert await client.receive() == b"two"
                assert client.sender == (str(for_client.address), for_client.port)
                assert await here.answer("release") == b"released\n"
                await here.notes.wait("flow_close")

    run(work())


def test_what_is_no_pair(run: Run) -> None:
    """Two bindings for the same side, and one with other ports."""

    async def work() -> None:
        async with stage() as here:
            await here.announce(f"client {SERVER} 4000 1 60")
            assert await here.answer(f"client {SERVER} 4002 1 60 pair") == b"no no_pair\n"
            assert await here.answer(f"server {CLIENT} 4002 2 60 pair") == b"no no_pair\n"
            assert await here.answer("release") == b"released\n"
            assert await here.answer(f"server {CLIENT} 4002 1 60 pair") == b"no no_pair\n"

    run(work())


def test_a_lease_that_nobody_uses_expires(run: Run) -> None:
    """Its port goes back."""

    async def work() -> None:
        async with stage() as here:
            await here.announce(f"client {SERVER} 4000 2 0.1")
            assert here.relay.services.ports.taken == 2
            note = await here.notes.wait("lease_expired")
            assert "udp, 2 ports" in note.message
            assert here.relay.services.ports.taken == 0

    run(work())


def test_a_lease_that_is_used_outlives_its_time_to_come(run: Run) -> None:
    """From then on, silence is what counts."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(CLIENT) as client, DatagramPeer(SERVER) as server:
                at = await here.announce(f"client {SERVER} {server.endpoint.port} 1 0.1")
                client.send(b"x", at)
                assert await server.receive() == b"x"
                await here.announce(f"client {SERVER} 4000 1 0.1")
                await here.notes.wait("lease_expired")  # that of the second
                client.send(b"y", at)
                assert await server.receive() == b"y"

    run(work())


def test_no_port_and_no_descriptor(run: Run) -> None:
    """It is said, and nothing is kept."""

    async def work() -> None:
        async with stage() as here:
            budget = here.relay.services.budget
            budget.descriptors = budget.used + 1
            assert await here.answer(f"client {SERVER} 4000 2 60") == b"no no_descriptors\n"
            with DatagramPeer(CLIENT) as client:
                at = await here.announce(f"client {SERVER} 4000 1 60")
                client.send(b"x", at)
                await here.notes.wait("connect_failed")

    run(work())


def test_a_flow_of_datagrams_announces_others_and_lives_as_long(run: Run) -> None:
    """As SIP does: while media flows, its session is not silent; when it ends, so do they."""

    async def work() -> None:
        with DatagramPeer(SERVER) as host, DatagramPeer(CLIENT) as client, Notes() as notes:
            upstream = Upstream(str(host.endpoint.address), host.endpoint.port)
            route = Route(AnnouncingDatagramPlugin, None, Endpoint.parse("127.0.0.1", 0), upstream)
            realms = {side: Realm() for side in Side}
            loopback = {side: TargetRules(loopback=True) for side in Side}
            relay = Relay([replace(route, targets=loopback, realms=realms)], Registry())
            await relay.start()
            at = relay.listeners[0].local
            client.send(b"client %s 4000 1 60 tcp" % SERVER.encode(), at)
            assert await host.receive() == b"no no_listener\n"
            with DatagramPeer(SERVER) as media:
                client.send(b"client %s %d 1 60" % (SERVER.encode(), media.endpoint.port), at)
                address, port = (await host.receive()).decode().split()
                for _ in range(12):
                    client.send(b"rtp", Endpoint.parse(address, port))
                    assert await media.receive() == b"rtp"
                    pause = asyncio.get_running_loop().create_future()
                    asyncio.get_running_loop().call_later(0.06, pause.set_result, None)
                    await pause
                assert len(relay.datagrams) == 1
                await notes.wait("flow_close")
                client.send(b"client %s %d 1 60" % (SERVER.encode(), media.endpoint.port), at)
                await host.receive()
                client.send(b"release", at)
                assert await host.receive() == b"released\n"
                await turns()
                assert relay.services.ports.taken == 0
            relay.close()
            assert await relay.drain(DEADLINE)
            relay.close()
            assert (relay.services.budget.used, relay.services.gate.pending_leases) == (0, 0)

    run(work())


def test_a_dial_that_fails_uses_nothing_up(run: Run) -> None:
    """Without a descriptor nobody is led on; once there is one again, the lease still holds."""

    async def work() -> None:
        async with stage() as here:
            with DatagramPeer(CLIENT) as client, DatagramPeer(SERVER) as server:
                at = await here.announce(f"client {SERVER} {server.endpoint.port} 1 60")
                budget = here.relay.services.budget
                taken, budget.used = budget.used, budget.descriptors
                client.send(b"first", at)
                note = await here.notes.wait("connect_failed")
                assert "no descriptor is left" in note.message
                budget.used = taken
                client.send(b"second", at)
                assert await server.receive() == b"second"

    run(work())

"""Datagrams that the kernel has come to us: whose they are, from where answers leave, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from alg.core.errors import PolicyError
from alg.core.model import Endpoint
from alg.core.policy import Gate, LeaseLimits
from alg.relay import loops
from alg.settings import Limits
from tests.conftest import Run
from tests.peers.namespaces import CLIENT, GATEWAY_OUTSIDE, SERVER
from tests.relay.datagram_peers import DatagramPeer
from tests.relay.interception import FIRST, NEEDS_ROOT, ThirdLab, between, forge, lab, looping
from tests.relay.test_datagram_leases import AnnouncingDatagramPlugin
from tests.relay.test_datagrams import TalkingPlugin
from tests.relay.test_tftp import ack, data

__all__ = ["lab"]

pytestmark = NEEDS_ROOT


async def said(client: DatagramPeer, server: DatagramPeer, words: bytes, *, to: Endpoint | None = None) -> None:
    """The client says this to a server, who must get it, and answer it; the answer must come from where it spoke to."""
    client.send(words, to or server.endpoint)
    assert await server.receive() == words
    server.answer(words[::-1])
    assert await client.receive() == words[::-1]
    assert client.sender[:2] == (str(server.endpoint.address), server.endpoint.port)


@pytest.mark.parametrize("version", [4, 6])
def test_neither_side_knows_of_us(run: Run, lab: ThirdLab, version: int) -> None:
    """Each client speaks to the server's own address, and is answered from there; the server sees ours."""

    async def work() -> None:
        async with between(lab, version) as hosts:
            with hosts.client() as first, hosts.client() as second, hosts.server() as server:
                await said(first, server, b"one")
                to_first = server.sender
                assert to_first[0] == GATEWAY_OUTSIDE[version]
                await said(second, server, b"two")
                assert server.sender != to_first
                for number in range(20):
                    await said(first, server, b"again %d" % number)
                    assert server.sender == to_first
                with hosts.server(FIRST + 1) as other:
                    await said(first, other, b"elsewhere")
                server.sock.sendto(b"late", to_first)
                assert await first.receive() == b"late"
                assert len(hosts.relay.datagrams) == 3

    run(work())


def test_tftp(run: Run, lab: ThirdLab) -> None:
    """The server answers from another port; the client hears it from the one that it knows."""

    async def work() -> None:
        async with between(lab) as hosts:
            with hosts.client() as client, hosts.server(69) as server, hosts.server(0) as transfer:
                client.send(b"\0\1file\0octet\0", server.endpoint)
                assert await server.receive() == b"\0\1file\0octet\0"
                transfer.sock.sendto(data(1, b"content"), server.sender)
                assert await client.receive() == data(1, b"content")
                assert client.sender == (SERVER[4], 69)
                client.answer(ack(1))
                assert await transfer.receive() == ack(1)

    run(work())


def test_servers_may_see_their_client(run: Run, lab: ThirdLab) -> None:
    """With `keep_client_address`, they see its address; the answers to it come to us."""

    async def work() -> None:
        async with between(lab, keep=True) as hosts:
            with hosts.client() as client, hosts.server() as server:
                await said(client, server, b"who am I")
                assert server.sender[0] == CLIENT[4]
                await said(client, server, b"still me")

    run(work())


def test_what_is_not_allowed_is_not_said(run: Run, lab: ThirdLab) -> None:
    """Nobody hears anything, and there is a record; nothing is kept of it."""

    async def work() -> None:
        async with between(lab, allowed="10.99.0.0/16") as hosts:
            with hosts.client() as client, hosts.server() as server:
                client.send(b"let me in", server.endpoint)
                note = await hosts.notes.wait("datagram_refused")
                assert f"{server.endpoint} leads to no address that this route allows" in note.message
                assert server.nothing() and client.nothing()
                assert len(hosts.relay.datagrams) == 0

    run(work())


def test_what_is_for_us_is_refused(run: Run, lab: ThirdLab) -> None:
    """Who speaks to the listener itself was not intercepted."""

    async def work() -> None:
        async with between(lab, allowed="10.77.0.0/16") as hosts:
            with hosts.client() as client:
                client.send(b"who are you", hosts.at)
                note = await hosts.notes.wait("datagram_refused")
                assert "is this listener itself" in note.message
                assert client.nothing()

    run(work())


def test_loops_are_refused() -> None:
    """What we sent ourselves is refused, from whatever address; what others here send is not ours."""
    gate = Gate(LeaseLimits())
    peer, target = Endpoint.parse("127.0.0.1", 40000), Endpoint.parse("10.77.2.2", 53)
    loops.judge_intercepted(gate, peer, target, ours=False)
    with pytest.raises(PolicyError) as caught:
        loops.judge_intercepted(gate, peer, target, ours=True)
    assert caught.value.reason == "loop"


def test_our_own_datagrams_are_known(run: Run, lab: ThirdLab) -> None:
    """By where each flow speaks to its server from."""

    async def work() -> None:
        async with between(lab) as hosts:
            with hosts.client() as client, hosts.server() as server:
                await said(client, server, b"hello")
                ours, host = Endpoint.parse(*server.sender[:2]), server.endpoint.address
                assert hosts.relay.datagrams.has_dialled(ours, host)
                assert not hosts.relay.datagrams.has_dialled(ours, client.endpoint.address)
                assert not hosts.relay.datagrams.has_dialled(client.endpoint, host)

    run(work())


def test_what_comes_back_to_us_is_not_sent_again(run: Run, lab: ThirdLab) -> None:
    """T15: a router behind us knows no better way than back. The kernel drops what comes in from an address of ours, but not what
    we have sent from a client's: that is a storm, if we do not know it."""

    async def work() -> None:
        with looping(lab, "10.77.9.0/24"):
            async with between(lab, keep=True, allowed="10.77.9.0/24") as hosts:
                with hosts.client() as client:
                    client.send(b"one datagram", Endpoint.parse("10.77.9.9", FIRST))
                    note = await hosts.notes.wait("datagram_refused")
                    assert "is sent by this gateway" in note.message
                    assert len(hosts.relay.datagrams) == 1

    run(work())


@pytest.mark.parametrize(("port", "words"), [(FIRST, b"hello"), (69, b"\0\1file\0octet\0")])
def test_an_ipv4_address_in_the_form_of_an_ipv6_one_is_no_target(
    run: Run, lab: ThirdLab, port: int, words: bytes
) -> None:
    """There is no such address at which to answer."""

    async def work() -> None:
        async with between(lab, 6, allowed="10.77.2.0/24") as hosts:
            with hosts.client() as client, hosts.server_of(4, port) as server:
                forge(lab, client.endpoint, f"::ffff:{SERVER[4]}", port, words)
                note = await hosts.notes.wait("datagram_refused")
                assert "an IPv6 client cannot speak to an IPv4 address" in note.message
                assert server.nothing() and client.nothing()

    run(work())


def test_only_what_comes_in_where_it_is_intercepted(run: Run, lab: ThirdLab) -> None:
    """A stand-in takes nothing from elsewhere, though it has the server's address."""

    async def work() -> None:
        async with between(lab, interfaces=("inside",)) as hosts:
            with hosts.client() as client, hosts.server() as server, hosts.third() as third:
                await said(client, server, b"from inside")
                third.send(b"from elsewhere", server.endpoint)
                await said(client, server, b"from inside again")
                assert server.nothing() and len(hosts.relay.datagrams) == 1

    run(work())


def test_no_descriptor_for_an_answer(run: Run, lab: ThirdLab) -> None:
    """It is told, as where another program has the port."""

    async def work() -> None:
        async with between(lab) as hosts:
            with hosts.client() as client, hosts.server() as server:
                client.send(b"anybody?", server.endpoint)
                assert await server.receive() == b"anybody?"
                budget = hosts.relay.services.budget
                taken, budget.used = budget.used, budget.descriptors
                server.answer(b"yes")
                note = await hosts.notes.wait("datagram_refused")
                assert "no descriptor is left" in note.message
                budget.used = taken
                await said(client, server, b"once more")

    run(work())


def test_a_port_that_another_program_has(run: Run, lab: ThirdLab) -> None:
    """Nothing can be said in the server's name, and a record says why; once it is free, all goes on."""

    async def work() -> None:
        async with between(lab) as hosts:
            with hosts.client() as client, hosts.server() as server:
                with hosts.other_program():
                    client.send(b"anybody?", server.endpoint)
                    assert await server.receive() == b"anybody?"
                    server.answer(b"yes")
                    note = await hosts.notes.wait("datagram_refused")
                    assert note.message.startswith(
                        f"nothing can be said in the name of {server.endpoint}: Address already"
                    )
                    assert client.nothing()
                await said(client, server, b"once more")

    run(work())


def test_flows_make_place(run: Run, lab: ThirdLab) -> None:
    """Where one flow is all that there may be, each client ends the other's, and is served."""

    async def work() -> None:
        async with between(lab, limits=Limits(datagram_flows=1)) as hosts:
            with hosts.client() as first, hosts.client() as second, hosts.server() as server:
                for client in (first, second) * 3:
                    client.send(b"I come", server.endpoint)
                    assert await server.receive() == b"I come"
                    port = server.sender
                    await said(client, server, b"and stay")
                    assert server.sender == port, "it has two flows"
                    assert len(hosts.relay.datagrams) == 1

    run(work())


def test_a_flow_ends_alone(run: Run, lab: ThirdLab) -> None:
    """Others of the same server go on as before."""

    async def work() -> None:
        async with between(lab, plugin=TalkingPlugin) as hosts:
            with hosts.client() as first, hosts.client() as second, hosts.server() as server:
                await said(first, server, b"first")
                await said(second, server, b"second")
                port = server.sender
                first.send(b"close", server.endpoint)
                await hosts.notes.wait("session_close")
                await said(second, server, b"again")
                assert server.sender == port

    run(work())


def test_flows_outlive_the_end_of_their_listener(run: Run, lab: ThirdLab) -> None:
    """When the relay stops, what has begun goes on until it is silent; nothing new begins."""

    async def work() -> None:
        async with between(lab) as hosts:
            with hosts.client() as client, hosts.client() as late, hosts.server() as server:
                client.send(b"before", server.endpoint)
                assert await server.receive() == b"before"
                port = server.sender
                draining = asyncio.ensure_future(hosts.relay.drain(10.0))
                await asyncio.sleep(0)
                late.send(b"too late", server.endpoint)
                await said(client, server, b"after")
                assert server.sender == port
                assert server.nothing() and len(hosts.relay.datagrams) == 1
                hosts.relay.close()
                assert await draining

    run(work())


@pytest.mark.parametrize("span", [1, 3])
def test_what_a_server_announces_stays_as_it_is(run: Run, lab: ThirdLab, span: int) -> None:
    """A lease is at the announced endpoint itself, and at the ports behind it; who comes there reaches the server there."""

    async def work() -> None:
        async with between(lab, plugin=AnnouncingDatagramPlugin) as hosts:
            with hosts.client() as client, hosts.server() as server, hosts.client() as media:
                words = b"client 10.77.2.2 6000 %d 5" % span
                client.send(words, server.endpoint)
                assert await server.receive() == b"10.77.2.2 6000\n"
                for offset in range(span):
                    with hosts.server(6000 + offset) as receiver:
                        await said(media, receiver, b"media %d" % offset)
                        assert receiver.sender[0] == GATEWAY_OUTSIDE[4]
                client.send(words, server.endpoint)
                assert await server.receive() == b"no no_port\n"

    run(work())


def test_what_a_client_announces_stays_as_it_is(run: Run, lab: ThirdLab) -> None:
    """Where servers see their client's address, what it announces is at that address."""

    async def work() -> None:
        async with between(lab, plugin=AnnouncingDatagramPlugin, keep=True) as hosts:
            with (
                hosts.client() as client,
                hosts.server() as server,
                hosts.client() as media,
                hosts.server(7000) as sender,
            ):
                port = media.endpoint.port
                client.send(b"server 10.77.1.2 %d 1 5" % port, server.endpoint)
                assert await server.receive() == b"10.77.1.2 %d\n" % port
                sender.send(b"media", media.endpoint)
                assert await media.receive() == b"media"
                assert media.sender[0] == SERVER[4]

    run(work())


def test_nothing_is_announced_across_ip_versions(run: Run, lab: ThirdLab) -> None:
    """There is no address of the client's family at which to stand for it."""

    async def work() -> None:
        async with between(lab, plugin=AnnouncingDatagramPlugin, announced="fd77:2::/64") as hosts:
            with hosts.client() as client, hosts.server() as server:
                client.send(b"client fd77:2::2 6000 1 5", server.endpoint)
                assert await server.receive() == b"no no_port\n"

    run(work())

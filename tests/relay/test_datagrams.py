"""Flows of datagrams in the relay: whose they are, from where answers leave, how they end, and what goes wrong."""

from __future__ import annotations

import asyncio
import socket

import pytest

from alg.core.errors import AlgError
from alg.core.model import Endpoint, Realm, Side
from alg.plugin import DatagramPlugin, Datagrams
from alg.relay import datagram_sockets
from tests.conftest import Run
from tests.relay.datagram_peers import DatagramPeer, relaying_datagrams
from tests.relay.peers import CLIENT, DEADLINE, OTHER, THIRD
from tests.relay.test_flow_end import turns


class TalkingPlugin(DatagramPlugin[None]):
    """`reply N` is answered with N bytes, `raise` fails, `close` ends, `late` sets a deadline; all else goes on."""

    name = "talking"

    async def from_client(self, datagrams: Datagrams) -> None:
        """Do what it says."""
        async for datagram in datagrams:
            word, _, rest = datagram.partition(b" ")
            if word == b"reply":
                datagrams.reply(b"x" * int(rest))
            elif word == b"raise":
                raise RuntimeError("told to")
            elif word == b"close":
                self.flow.close()
                self.flow.deadline(1)
            elif word == b"late":
                self.flow.deadline(0.05)
                datagrams.send(datagram)
            else:
                datagrams.send(datagram)

    async def from_server(self, datagrams: Datagrams) -> None:
        """It goes on."""
        async for datagram in datagrams:
            datagrams.send(datagram)

    def refusal(self, error: AlgError) -> bytes:
        """Name the reason."""
        return error.reason.encode()


def test_each_client_has_a_flow_of_its_own(run: Run) -> None:
    """By address and port; the server tells them apart by ours, and answers reach who asked."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            with DatagramPeer(CLIENT) as first, DatagramPeer(CLIENT) as second:
                await rig.ask(first, b"one")
                to_first = rig.host.sender
                await rig.ask(second, b"two")
                to_second = rig.host.sender
                assert to_first != to_second
                rig.host.sock.sendto(b"for first", to_first)
                rig.host.sock.sendto(b"", to_second)
                assert (await first.receive(), await second.receive()) == (b"for first", b"")
                assert first.sender == second.sender == ("127.0.0.1", rig.at.port)
                await rig.ask(first, b"again")
                assert rig.host.sender == to_first

    run(work())


@pytest.mark.parametrize(("listen", "at", "host"), [("0.0.0.0", "127.0.0.77", "127.0.0.5"), ("::", "::1", "::1")])
def test_an_answer_leaves_from_the_address_that_was_spoken_to(run: Run, listen: str, at: str, host: str) -> None:
    """Also where the socket is bound to all addresses; a client checks that."""

    async def work() -> None:
        async with relaying_datagrams(listen=listen, host=host) as rig:
            with DatagramPeer("::1" if ":" in at else CLIENT) as client:
                await rig.ask(client, b"x", at=Endpoint.parse(at, rig.at.port))
                rig.host.answer(b"y")
                assert await client.receive() == b"y"
                assert client.sender[0] == at

    run(work())


def test_one_client_that_speaks_to_two_addresses_has_two_flows(run: Run) -> None:
    """Each is answered from its own."""

    async def work() -> None:
        async with relaying_datagrams(listen="0.0.0.0") as rig:
            with DatagramPeer() as client:
                for at in ("127.0.0.77", "127.0.0.78"):
                    await rig.ask(client, b"x", at=Endpoint.parse(at, rig.at.port))
                    rig.host.answer(b"y")
                    assert await client.receive() == b"y"
                    assert client.sender[0] == at
                assert len(rig.relay.datagrams) == 2

    run(work())


def test_the_server_is_spoken_to_from_the_realm_s_address(run: Run) -> None:
    """As over TCP."""

    async def work() -> None:
        realms = {Side.CLIENT: Realm(), Side.SERVER: Realm(bind=Endpoint.parse("127.0.0.44", 0).address)}
        async with relaying_datagrams(realms=realms) as rig:
            with DatagramPeer() as client:
                await rig.ask(client, b"x")
                assert rig.host.sender[0] == "127.0.0.44"

    run(work())


def test_the_biggest_datagram_passes_whole(run: Run) -> None:
    """Of IPv4."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            with DatagramPeer() as client:
                await rig.ask(client, b"x" * 65507)
                rig.host.answer(b"y" * 65507)
                assert await client.receive() == b"y" * 65507

    run(work())


def test_silence_ends_a_flow_and_a_datagram_keeps_it(run: Run) -> None:
    """The record says how much it was; nothing is left of it."""

    async def work() -> None:
        async with relaying_datagrams(idle=0.3) as rig:
            with DatagramPeer() as client:
                await rig.ask(client, b"abc")
                rig.host.answer(b"de")
                assert await client.receive() == b"de"
                note = await rig.notes.wait("session_close")
                assert "3 bytes up, 2 bytes down, silent for 0.3 s" in note.message
                assert note.fields["milliseconds"] >= 300  # type: ignore[operator]
                assert len(rig.relay.datagrams) == 0

    run(work())


def test_what_is_never_answered_is_counted_only(run: Run) -> None:
    """Anybody can have us begin flows: one record a second."""

    async def work() -> None:
        async with relaying_datagrams(idle=0.1) as rig:
            for _ in range(5):
                with DatagramPeer() as client:
                    await rig.ask(client, b"x")
            await rig.notes.wait("unanswered")
            async with asyncio.timeout(DEADLINE):
                await rig.relay.datagrams.wait_idle()
            assert len(rig.notes.of("unanswered")) == 1
            assert rig.notes.of("session_open") == rig.notes.of("session_close") == []

    run(work())


def test_questions_that_are_answered_are_counted_only(run: Run) -> None:
    """Clients that do not speak again may be made up: one record a second, with what one of them said."""

    async def work() -> None:
        async with relaying_datagrams(idle=0.1) as rig:
            for _ in range(5):
                with DatagramPeer() as client:
                    await rig.ask(client, b"x")
                    rig.host.answer(b"yes")
                    assert await client.receive() == b"yes"
            async with asyncio.timeout(DEADLINE):
                await rig.relay.datagrams.wait_idle()
            assert len(rig.notes.all) == 1
            note = await rig.notes.wait("session_close")
            assert "1 bytes up, 3 bytes down" in note.message
            with DatagramPeer() as client:
                await rig.ask(client, b"x")
                rig.host.answer(b"yes")
                assert await client.receive() == b"yes"
                await rig.ask(client, b"and?")
                assert (await rig.notes.wait("session_open")).message == f"{client.endpoint} -> {rig.host.endpoint}"

    run(work())


def test_f36_an_upstream_that_is_not_there_is_recorded_once_and_may_come_back(run: Run) -> None:
    """F36: ICMP port unreachable, thousands of times; then somebody listens there, and the same flow goes on."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            at = rig.host.endpoint
            rig.host.sock.close()
            with DatagramPeer() as client:
                for _ in range(2000):
                    client.send(b"x", rig.at)
                    await asyncio.sleep(0)
                note = await rig.notes.wait("server_unreachable")
                assert "Connection refused" in note.message
                with DatagramPeer(str(at.address), port=at.port) as rig.host:
                    client.send(b"hello", rig.at)
                    while await rig.host.receive() != b"hello":
                        pass
                    rig.host.answer(b"back")
                    assert await client.receive() == b"back"
                assert len(rig.notes.of("server_unreachable")) <= 3

    run(work())


def test_f36_a_plugin_tells_its_client_that_the_server_is_not_there(run: Run) -> None:
    """As long as that has never answered; and in no more bytes than the client sent."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            rig.host.sock.close()
            with DatagramPeer() as client:
                client.send(b"anybody there?", rig.at)
                await rig.notes.wait("unanswered")
                assert client.nothing()  # `connect_refused` is longer than what it sent
                client.send(b"anybody there at all?", rig.at)
                assert await client.receive() == b"connect_refused"
                assert len(rig.relay.datagrams) == 0

    run(work())


def test_t96_nobody_gets_more_than_he_sent_before_a_server_has_answered(run: Run) -> None:
    """T96: the sender may be forged. Afterwards he is known."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            with DatagramPeer() as client:
                client.send(b"reply 9", rig.at)
                client.send(b"reply 7", rig.at)
                assert await client.receive() == b"x" * 7
                await rig.ask(client, b"hello")
                rig.host.answer(b"ok")
                assert await client.receive() == b"ok"
                client.send(b"reply 9", rig.at)
                assert await client.receive() == b"x" * 9

    run(work())


def test_t96_answers_of_our_own_are_ten_a_second(run: Run) -> None:
    """T96: for all unknown senders together."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            peers = [DatagramPeer() for _ in range(40)]
            try:
                for peer in peers:
                    peer.send(b"reply 7", rig.at)
                await turns()
                assert 10 <= sum(not peer.nothing() for peer in peers) <= 12
            finally:
                for peer in peers:
                    peer.sock.close()

    run(work())


def test_a_plugin_that_fails_ends_its_flow_and_no_other(run: Run) -> None:
    """Nothing passes; the next datagram begins a new flow."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer() as other:
                await rig.ask(client, b"hello")
                await rig.ask(other, b"hello")
                rig.host.answer(b"ok")
                assert await other.receive() == b"ok"
                client.send(b"raise", rig.at)
                note = await rig.notes.wait("unanswered")
                assert "RuntimeError" in note.message
                await rig.ask(other, b"still here")
                assert rig.host.nothing()
                await rig.ask(client, b"hello again")

    run(work())


def test_a_plugin_ends_its_flow_and_sets_deadlines(run: Run) -> None:
    """What it asks for after the end goes nowhere; who is late is told."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            with DatagramPeer() as client:
                await rig.ask(client, b"hello")
                client.send(b"close", rig.at)
                await rig.notes.wait("unanswered")
                assert len(rig.relay.datagrams) == 0
                await rig.ask(client, b"late")
                rig.host.answer(b"ok")
                assert await client.receive() == b"ok"
                assert await client.receive() == b"too_slow"
                await rig.notes.wait("too_slow")

    run(work())


def test_a_plugin_that_cannot_be_made_is_no_flow(run: Run) -> None:
    """It is refused without a word."""

    async def work() -> None:
        class UnbornPlugin(TalkingPlugin):
            def __init__(self, config: None) -> None:
                raise RuntimeError("cannot be made")

        class SyncPlugin(TalkingPlugin):
            def from_client(self, datagrams: Datagrams) -> None:  # type: ignore[override]
                """It lacks its `async`."""

        for plugin, reason in ((UnbornPlugin, "datagram_refused"), (SyncPlugin, "unanswered")):
            async with relaying_datagrams(plugin) as rig:
                with DatagramPeer() as client:
                    client.send(b"x", rig.at)
                    assert "SyncPlugin" not in (await rig.notes.wait(reason)).message
                    assert len(rig.relay.datagrams) == 0 and client.nothing() and rig.host.nothing()

    run(work())


def test_a_way_that_there_is_not_is_no_flow(run: Run) -> None:
    """The realm's address is none of ours: it is said, and gives back what it took."""

    async def work() -> None:
        realms = {Side.CLIENT: Realm(), Side.SERVER: Realm(bind=Endpoint.parse("192.0.2.1", 0).address)}
        async with relaying_datagrams(realms=realms) as rig:
            with DatagramPeer() as client:
                client.send(b"x", rig.at)
                assert "Cannot assign" in (await rig.notes.wait("datagram_refused")).message
                assert rig.relay.services.budget.used == 0

    run(work())


def test_a_stranger_is_not_heard(run: Run) -> None:
    """T75: what comes from elsewhere than the server never reaches the client."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            with (
                DatagramPeer() as client,
                DatagramPeer(THIRD) as third,
                DatagramPeer(str(rig.host.endpoint.address)) as near,
            ):
                await rig.ask(client, b"x")
                ours = rig.host.sender
                third.sock.sendto(b"evil", ours)
                near.sock.sendto(b"evil", ours)
                rig.host.answer(b"good")
                assert await client.receive() == b"good"
                assert client.nothing()

    run(work())


def test_draining_lets_a_flow_finish(run: Run) -> None:
    """Answers still come; a new client is not taken."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            with DatagramPeer() as client, DatagramPeer(OTHER) as other:
                await rig.ask(client, b"x")
                draining = asyncio.ensure_future(rig.relay.drain(DEADLINE))
                await turns()
                other.send(b"new", rig.at)
                await rig.ask(client, b"more")
                rig.host.answer(b"answer")
                assert await client.receive() == b"answer"
                assert rig.host.nothing()
                rig.relay.datagrams.close()
                assert await draining

    run(work())


def test_stopping_tells_clients_in_their_protocol(run: Run) -> None:
    """Whom a server has answered."""

    async def work() -> None:
        async with relaying_datagrams(TalkingPlugin) as rig:
            with DatagramPeer() as client:
                await rig.ask(client, b"x")
                rig.host.answer(b"y")
                assert await client.receive() == b"y"
                rig.relay.close()
                assert await client.receive() == b"stopped"

    run(work())


def test_a_socket_for_datagrams_is_exclusive() -> None:
    """T56: over UDP, SO_REUSEADDR would let anybody share it."""
    with datagram_sockets.listen(Endpoint.parse("127.0.0.1", 0)) as sock:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            assert sock.getsockopt(socket.SOL_SOCKET, option) == 0
        with socket.socket(type=socket.SOCK_DGRAM) as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                squatter.bind(sock.getsockname())


def test_what_is_sent_to_all_is_not_for_us(run: Run) -> None:
    """Nobody could answer as whom it was sent to."""

    async def work() -> None:
        async with relaying_datagrams(listen="0.0.0.0") as rig:
            with DatagramPeer(CLIENT) as client:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                client.send(b"to all", Endpoint.parse("127.255.255.255", rig.at.port))
                await rig.ask(client, b"to one", at=Endpoint.parse("127.0.0.1", rig.at.port))
                assert len(rig.relay.datagrams) == 1

    run(work())

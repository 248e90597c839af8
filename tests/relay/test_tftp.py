"""TFTP through the relay: the server answers from another port, and who has no part in a transfer gets none (T75)."""

from __future__ import annotations

import pytest
from alg_tftp import TftpConfig, TftpPlugin

from tests.conftest import Run
from tests.relay.datagram_peers import DatagramPeer, DatagramRig, relaying_datagrams
from tests.relay.peers import CLIENT, SERVER, THIRD
from tests.relay.test_flow_end import turns

REQUEST = b"\0\1file\0octet\0"
STRANGER = b"\0\5\0\5unknown TID\0"


def data(number: int, content: bytes) -> bytes:
    """A DATA packet."""
    return b"\0\3%c%c" % divmod(number, 256) + content


def ack(number: int) -> bytes:
    """An ACK packet."""
    return b"\0\4%c%c" % divmod(number, 256)


async def block(client: DatagramPeer, rig: DatagramRig, server: DatagramPeer, number: int, content: bytes) -> None:
    """One block of a file that is read, and its acknowledgement."""
    server.sock.sendto(data(number, content), rig.host.sender)
    assert await client.receive() == data(number, content)
    client.answer(ack(number))
    assert await server.receive() == ack(number)


def test_the_answer_comes_from_another_port(run: Run) -> None:
    """The client hears all of it from the port that it asked; what it says goes to the port of the first answer."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as transfer:
                await rig.ask(client, REQUEST)
                for number in range(1, 50):
                    await block(client, rig, transfer, number, b"x" * 512)
                    assert client.sender == ("127.0.0.1", rig.at.port)
                await block(client, rig, transfer, 50, b"end")
                assert rig.host.nothing()

    run(work())


@pytest.mark.parametrize("packet", [data(2, b"evil"), ack(1), b"\0\6blksize\x008\0"])
def test_t75_a_stranger_is_told_so_and_the_transfer_goes_on(run: Run, packet: bytes) -> None:
    """T75, RFC 1350 section 4: from another address, and from another port of the server."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as transfer:
                await rig.ask(client, REQUEST)
                await block(client, rig, transfer, 1, b"x" * 512)
                for address in (THIRD, SERVER):
                    with DatagramPeer(address) as stranger:
                        stranger.sock.sendto(packet, rig.host.sender)
                        assert await stranger.receive() == STRANGER
                        assert len(STRANGER) <= 18
                        stranger.answer(b"\0\5\0\0no\0")
                        await turns()
                        assert stranger.nothing() and client.nothing() and transfer.nothing()
                await block(client, rig, transfer, 2, b"end")
                assert rig.notes.of("stranger")

    run(work())


def test_t75_a_stranger_who_is_first_does_not_fix_the_port(run: Run) -> None:
    """From another address; the server's first answer does."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as transfer, DatagramPeer(THIRD) as stranger:
                await rig.ask(client, REQUEST)
                stranger.sock.sendto(data(1, b"evil"), rig.host.sender)
                assert await stranger.receive() == STRANGER
                await block(client, rig, transfer, 1, b"good")

    run(work())


def test_t96_strangers_are_answered_ten_times_a_second(run: Run) -> None:
    """T96: however often they come."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(THIRD) as stranger:
                await rig.ask(client, REQUEST)
                for _ in range(50):
                    stranger.sock.sendto(data(1, b"evil"), rig.host.sender)
                await turns()
                answers = 0
                while not stranger.nothing():
                    await stranger.receive()
                    answers += 1
                assert 10 <= answers <= 12

    run(work())


def test_a_stranger_who_has_gone_ends_nothing(run: Run) -> None:
    """F36: the ICMP error that our answer to him brings is not about the server."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as transfer:
                await rig.ask(client, REQUEST)
                with DatagramPeer(THIRD) as stranger:
                    stranger.sock.sendto(data(1, b"evil"), rig.host.sender)
                await turns()
                await block(client, rig, transfer, 1, b"good")
                assert rig.notes.of("server_unreachable") == []

    run(work())


def test_f36_a_server_that_is_not_there_is_told_in_an_error(run: Run) -> None:
    """F36: the client need not wait for its time to be over."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            rig.host.sock.close()
            with DatagramPeer() as client:
                client.send(REQUEST, rig.at)
                assert await client.receive() == b"\0\5\0\0connect_\0"

    run(work())


def test_f36_a_transfer_s_server_that_goes_is_recorded(run: Run) -> None:
    """F36: after its first answer; the silence that follows ends the flow."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin, idle=0.3) as rig:
            with DatagramPeer() as client:
                with DatagramPeer(SERVER) as transfer:
                    await rig.ask(client, REQUEST)
                    await block(client, rig, transfer, 1, b"x" * 512)
                client.answer(ack(1))
                await rig.notes.wait("server_unreachable")
                client.answer(ack(1))
                await rig.notes.wait("session_close")

    run(work())


def test_one_port_begins_one_transfer_after_the_other(run: Run) -> None:
    """As tftp-hpa does: each has a port of its own toward the server, and old answers do not reach it."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as first, DatagramPeer(SERVER) as second:
                await rig.ask(client, REQUEST)
                before = rig.host.sender
                await block(client, rig, first, 1, b"end")
                await rig.ask(client, REQUEST)
                assert rig.host.sender != before
                first.sock.sendto(data(1, b"late"), before)
                await turns()
                await block(client, rig, second, 1, b"new")
                assert len(rig.relay.datagrams) == 1

    run(work())


def test_a_transfer_is_forgotten_after_its_dally(run: Run) -> None:
    """Until then its end can be said again."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin, config=TftpConfig(dally=0.3), idle=0.8) as rig:
            with DatagramPeer(CLIENT) as client, DatagramPeer(SERVER) as transfer:
                await rig.ask(client, REQUEST)
                await block(client, rig, transfer, 1, b"end")
                await block(client, rig, transfer, 1, b"end")
                note = await rig.notes.wait("session_close")
                assert "silent for 0.3 s" in note.message

    run(work())


def test_a_flood_of_bad_requests_is_one_record_a_second(run: Run) -> None:
    """T96: each from another port, as if from another host."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            for _ in range(40):
                with DatagramPeer() as client:
                    client.send(b"\0\1file\0mail\0", rig.at)
                    await turns()
            note = await rig.notes.wait("bad_request")
            assert "mode 'mail'" in note.message or "mode b'mail'" in note.message
            assert len(rig.notes.of("bad_request")) <= 3
            assert len(rig.relay.datagrams) == 0

    run(work())


def test_the_same_request_again_after_an_error(run: Run) -> None:
    """It begins another transfer: an ERROR is not sent again (RFC 1350 section 2), and the file may be there by now."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin) as rig:
            with DatagramPeer() as client, DatagramPeer(SERVER) as transfer:
                for _ in range(3):
                    await rig.ask(client, REQUEST)
                    transfer.sock.sendto(b"\0\5\0\1not yet\0", rig.host.sender)
                    assert await client.receive() == b"\0\5\0\1not yet\0"
                await rig.ask(client, REQUEST)
                await block(client, rig, transfer, 1, b"end")

    run(work())


def test_t96_strangers_who_are_not_answered_cost_no_answer(run: Run) -> None:
    """Of the ten a second none is left out for an ERROR, to which nothing is said."""

    async def work() -> None:
        async with relaying_datagrams(TftpPlugin, config=TftpConfig(read_only=True)) as rig:
            with DatagramPeer() as client, DatagramPeer(THIRD) as stranger, DatagramPeer() as writer:
                await rig.ask(client, REQUEST)
                for _ in range(12):
                    stranger.sock.sendto(b"\0\5\0\0x\0", rig.host.sender)
                await rig.notes.wait("stranger")
                await turns()
                writer.send(b"\0\2file\0octet\0", rig.at)
                assert (await writer.receive())[:4] == b"\0\5\0\2"

    run(work())

"""FTP through mitmproxy, with real sockets: what is rewritten, what becomes a flow, what a person sees."""

from __future__ import annotations

import re

import pytest

from tests.mitm.conftest import Run
from tests.mitm.rig import Mitm, Peer, Server, proxying

BIG = bytes(range(256)) * 2000


async def greet(mitm: Mitm) -> tuple[Peer, Peer]:
    """A session after the greeting."""
    client, server = await mitm.pair()
    server.say(b"220 ready\r\n")
    await client.hear(b"220 ready\r\n")
    return client, server


async def passive(client: Peer, server: Peer, port: int) -> int:
    """PASV; the port that the client is told."""
    client.say(b"PASV\r\n")
    await server.hear(b"PASV\r\n")
    server.say(b"227 Entering Passive Mode (127,0,0,1,%d,%d).\r\n" % divmod(port, 256))
    told = re.search(rb"\((\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\)", await client.line())
    assert told is not None
    numbers = [int(number) for number in told.groups()]
    assert numbers[:4] == [127, 0, 0, 1]
    return numbers[4] * 256 + numbers[5]


async def transfer(mitm: Mitm, client: Peer, server: Peer, content: bytes) -> None:
    """A whole passive download."""
    data = await mitm.listen()
    port = await passive(client, server, data.port)
    assert port != data.port
    client.say(b"RETR file\r\n")
    await server.hear(b"RETR file\r\n")
    receiver = await mitm.connect(port)
    sender = await data.accept()
    server.say(b"150 here\r\n")
    sender.say(content)
    sender.end()
    assert await receiver.rest() == content
    receiver.close()
    server.say(b"226 done\r\n")
    await client.hear(b"150 here\r\n226 done\r\n")
    await mitm.until("transfer")


def test_passive_download(run: Run) -> None:
    """Control channel and data channel are flows, one message for each line; the rewrite stands in the comment."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            await transfer(mitm, client, server, b"some data")
            control, data = mitm.flows
            assert [(message.from_client, message.content[:4]) for message in control.messages] == [
                *((False, b"220 "), (True, b"PASV"), (False, b"227 ")),
                *((True, b"RETR"), (False, b"150 "), (False, b"226 ")),
            ]
            assert control.comment.startswith("ftp#1 control\nrewrite 227 127.0.0.1:")
            assert control.metadata["alg"]["role"] == "control"
            assert [message.content for message in data.messages] == [b"some data"]
            assert data.metadata["alg"] == {
                "protocol": "ftp",
                "session": 1,
                "role": "data",
                "user": "",
                "command": "RETR",
                "path": "file",
                "upload": 0,
            }
            assert "RETR 'file'" in mitm.watcher.comments[-1]  # as it was at the end: so it is saved
            assert "0 bytes up, 9 bytes down" in data.comment
            assert data.comment.startswith("ftp#1 '' RETR 'file': 9 bytes in ")
            assert mitm.watcher.ended == [data]

    run(work())


def test_active_download(run: Run) -> None:
    """The server connects to us, we connect to the client; the flow still goes from client to server."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            listener = await mitm.listen()
            client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(listener.port, 256))
            told = await server.line()
            high, low = (int(number) for number in told.strip().split(b",")[-2:])
            server.say(b"200 ok\r\n")
            sender = await mitm.connect(high * 256 + low)
            receiver = await listener.accept()
            sender.say(BIG)
            sender.end()
            assert await receiver.rest() == BIG
            receiver.close()
            await mitm.until("flow_close")
            data = mitm.flows[1]
            assert data.client_conn.peername is not None
            assert data.client_conn.peername[1] == listener.port
            assert all(not message.from_client for message in data.messages)

    run(work())


def test_command_in_pieces_and_commands_in_one(run: Run) -> None:
    """A unit is a line, however it was cut."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            for number in range(6):
                client.say(b"NOOP\r\n"[number : number + 1])
                await client.writer.drain()
            await server.hear(b"NOOP\r\n")
            client.say(b"NOOP\r\nPWD\r\n")
            await server.hear(b"NOOP\r\nPWD\r\n")
            assert [message.content for message in mitm.flows[0].messages][1:] == [b"NOOP\r\n", b"NOOP\r\n", b"PWD\r\n"]

    run(work())


@pytest.mark.parametrize(
    ("options", "kept"), [({}, 65536), ({"alg_data_preview": 0}, 0), ({"alg_keep_data": True}, len(BIG))]
)
def test_preview(run: Run, options: dict[str, object], kept: int) -> None:
    """Of a data channel so much is kept, and all of it with the option; all of it arrives in any case."""

    async def work() -> None:
        async with proxying(options=options) as mitm:
            client, server = await greet(mitm)
            await transfer(mitm, client, server, BIG)
            assert sum(len(message.content) for message in mitm.flows[1].messages) == kept
            assert f"{len(BIG)} bytes down" in mitm.flows[1].comment

    run(work())


def test_unreachable_server(run: Run) -> None:
    """The client of a reverse proxy is told so, in its protocol."""

    async def work() -> None:
        gone = await Server().open()
        gone.close()
        async with proxying(server_port=gone.port) as mitm:
            client = await mitm.connect()
            assert (await client.rest()).startswith(b"421 The server cannot be reached")

    run(work())


def test_third_party(run: Run) -> None:
    """A bounce is refused and recorded, and the session goes on."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            client.say(b"PORT 192,0,2,9,200,1\r\n")
            assert (await client.line()).startswith(b"504 ")
            assert "third_party_address" in mitm.gateway.records
            client.say(b"NOOP\r\n")
            await server.hear(b"NOOP\r\n")

    run(work())


def test_mitmproxys_own_listener_is_no_target(run: Run) -> None:
    """Whoever announces it is refused."""

    async def work() -> None:
        async with proxying() as mitm:
            client, _ = await greet(mitm)
            client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(mitm.ports[0], 256))
            assert (await client.line()).startswith(b"504 ")
            assert "self_target" in mitm.gateway.records

    run(work())


def test_wrong_peer(run: Run) -> None:
    """Another host is reset, and the lease is still good."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            port = await passive(client, server, data.port)
            stranger = await mitm.connect(port, source="127.0.0.7")
            assert await stranger.until_cut() == b""
            assert "wrong_peer" in mitm.gateway.records
            receiver = await mitm.connect(port)
            sender = await data.accept()
            sender.say(b"x")
            await receiver.hear(b"x")

    run(work())


def test_lease_ends_with_its_session(run: Run) -> None:
    """Nobody can come any more."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            port = await passive(client, server, 40000)
            client.close()
            assert await server.rest() == b""
            server.close()
            await mitm.until("session_close")
            with pytest.raises(ConnectionRefusedError):
                await mitm.connect(port)

    run(work())


def test_reset_of_a_data_channel_is_no_end(run: Run) -> None:
    """A download that broke must not look complete."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            receiver = await mitm.connect(await passive(client, server, data.port))
            sender = await data.accept()
            sender.say(b"half of")
            await receiver.hear(b"half of")
            sender.reset()
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())


def test_data_keeps_the_control_channel_alive(run: Run) -> None:
    """However long a transfer takes, its control channel is not idle."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            receiver = await mitm.connect(await passive(client, server, data.port))
            sender = await data.accept()
            connections = mitm.master.addons.get("proxyserver").connections
            watchdog = connections[mitm.flows[0].client_conn.id].timeout_watchdog
            watchdog.last_activity = 0.0
            sender.say(b"x")
            await receiver.hear(b"x")
            assert watchdog.last_activity > 0

    run(work())

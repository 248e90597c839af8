"""TLS at its edges: a handshake that waits, one that nobody asks for, one that an addon takes away, records that are broken."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path

import pytest
from mitmproxy.tls import ClientHelloData

from alg.plugin import Side, Stream, StreamPlugin
from tests import pki
from tests.mitm.conftest import Run
from tests.mitm.rig import DEADLINE
from tests.mitm.test_tls import greeted, through_socks
from tests.mitm.tls_rig import covering
from tests.relay.peers import SERVER, Host
from tests.relay.peers import Peer as RawPeer
from tests.relay.rig import endpoint_in
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS


class Ignores:
    """Wants TLS of clients to pass as it is."""

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """As mitmproxy's own example does."""
        data.ignore_connection = True


@pytest.mark.parametrize("mode", ["reverse", "socks5"])
def test_tls_that_is_to_pass_unread_ends_the_session(run: Run, tmp_path: Path, mode: str) -> None:
    """It cannot be told from what was to be judged."""

    async def work() -> None:
        async with covering(tmp_path, *(("socks5@127.0.0.1:0",) if mode == "socks5" else ())) as rig:
            rig.mitm.master.addons.add(Ignores())
            near, far = await (through_socks(rig) if mode == "socks5" else greeted(rig))
            with near, far:
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                server: RawPeer = far
                if mode == "reverse":
                    server = await TlsPeer.serve(far)
                assert (await near.line()).startswith(b"234 ")
                covered = TlsPeer(near, pki.client(), name=pki.NAME)
                with pytest.raises(ssl.SSLWantReadError):
                    covered.tls.do_handshake()
                hello = covered.outgoing.read()
                await covered.raw(hello)
                assert hello not in await plain_until_cut(server)
                await plain_until_cut(near)
            await rig.mitm.until("tls_ignored")

    run(work())


class SecuringPlugin(StreamPlugin[None]):
    """Has the server's leg in TLS at the first line, and nobody else's."""

    name = "securing"

    async def from_client(self, stream: Stream) -> None:
        """Each line passes."""
        line = await stream.read_line(100)
        await self.flow.start_tls(Side.SERVER)
        stream.send(line)

    async def from_server(self, stream: Stream) -> None:
        """Nothing comes."""
        await stream.read_line(100)


def test_what_is_said_to_a_server_begins_its_handshake(run: Run, tmp_path: Path) -> None:
    """It does not wait for a client's handshake that never comes."""

    async def work() -> None:
        plugins = {"alg_plugins": [f"*={__name__}:SecuringPlugin"]}
        async with covering(tmp_path, "socks5@127.0.0.1:0", options=plugins) as rig:
            near = await RawPeer.connect(rig.at)
            await near.send(b"\x05\x01\x00")
            assert await near.exactly(2) == b"\x05\x00"
            await near.send(b"\x05\x01\x00\x01" + socket.inet_aton(SERVER) + struct.pack("!H", rig.host.endpoint.port))
            assert (await near.exactly(10))[1] == 0
            with near, await rig.host.accept() as far:
                await near.send(b"hello\r\n")
                server = await TlsPeer.serve(far)
                assert await server.line() == b"hello\r\n"

    run(work())


class ClientFirst:
    """Does not want the server's certificate for the client's."""

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """As a user's script may."""
        data.establish_server_tls_first = False


def test_implicit_without_the_servers_certificate(run: Run, tmp_path: Path) -> None:
    """The server's handshake begins when the client's is done."""

    async def work() -> None:
        async with covering(tmp_path) as rig:
            rig.mitm.master.addons.add(ClientFirst())
            rig.mitm.master.options.update(alg_plugins=[f"{rig.host.endpoint.port}=ftps"])
            near = await RawPeer.connect(rig.at)
            far = await rig.host.accept()
            with await TlsPeer.cover(near) as client, await TlsPeer.serve(far) as server:
                await server.send(b"220 hello\r\n")
                assert await client.line() == b"220 hello\r\n"

    run(work())


@VERSIONS
def test_a_broken_record_ends_the_session(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Nothing more can be said to that client: its server is not left waiting."""

    async def work() -> None:
        async with covering(tmp_path) as rig:
            near, far = await greeted(rig)
            with near, far:
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                server = await TlsPeer.serve(far)
                assert (await near.line()).startswith(b"234 ")
                client = await TlsPeer.cover(near, pki.client(version=version))
                await client.send(b"NOOP\r\n")
                assert await server.line() == b"NOOP\r\n"
                await client.raw(b"\x17\x03\x03\x00\x20" + bytes(32))
                await plain_until_cut(server)
                await plain_until_cut(client)
            assert "tls_failed" in rig.mitm.gateway.records

    run(work())


async def until_gone(peer: TlsPeer) -> None:
    """Wait until the other end has no socket any more, and not only said that it is done."""
    async with asyncio.timeout(DEADLINE):
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.raw(b"x")
                await asyncio.sleep(0)


async def serving(data: Host) -> TlsPeer:
    """The server's end of a data channel."""
    return await TlsPeer.serve(await data.accept())


@VERSIONS
def test_a_data_channel_is_over_when_both_have_said_goodbye(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Also if neither of them closes its connection."""

    async def work() -> None:
        async with covering(tmp_path) as rig:
            near, far = await greeted(rig)
            with near, far, Host(SERVER) as data:
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                server = await TlsPeer.serve(far)
                assert (await near.line()).startswith(b"234 ")
                client = await TlsPeer.cover(near, pki.client(version=version))
                reply = b"227 (127,0,0,5,%d,%d)\r\n" % divmod(data.endpoint.port, 256)
                for command in (b"PBSZ 0\r\n", b"PROT P\r\n", b"PASV\r\n"):
                    await client.send(command)
                while await server.line() != b"PASV\r\n":
                    await server.send(b"200 ok\r\n")
                await server.send(reply)
                while not (told := await client.line()).startswith(b"227"):
                    pass
                plain = await RawPeer.connect(endpoint_in(told))
                sender, receiver = await asyncio.gather(
                    serving(data), TlsPeer.cover(plain, pki.client(version=version))
                )
                with sender, receiver:
                    await sender.send(b"all")
                    await sender.raw(sender.goodbye())
                    assert await receiver.rest() == b"all"
                    await receiver.raw(receiver.goodbye())
                    await until_gone(receiver)
                    await until_gone(sender)

    run(work())

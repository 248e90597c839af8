"""What goes wrong at the edges: flows that are killed or time out, leases whose session ended meanwhile, addons that meddle."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path

import pytest
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.tcp import TCPFlow
from mitmproxy.tls import ClientHelloData

from alg.core.commands import OpenBinding
from alg.core.events import CommandFailed
from alg.core.model import Endpoint, Expectation
from alg.mitm.compat import stands_for_servers
from alg.plugin import Side, Stream, StreamPlugin
from tests import pki
from tests.mitm.conftest import Run
from tests.mitm.rig import DEADLINE, HOST, Mitm, Peer, proxying
from tests.mitm.test_ftp import greet, passive
from tests.mitm.test_tls import greeted, through_socks
from tests.mitm.tls_rig import covering
from tests.relay.peers import SERVER, Host
from tests.relay.peers import Peer as RawPeer
from tests.relay.rig import endpoint_in
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS


async def active(client: Peer, server: Peer, port: int) -> int:
    """PORT; the port that the server is told."""
    client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(port, 256))
    high, low = (int(number) for number in (await server.line()).strip().split(b",")[-2:])
    return high * 256 + low


async def download(mitm: Mitm, client: Peer, server: Peer) -> tuple[Peer, Peer]:
    """Both ends of a passive data channel on which something has passed: the server's, the client's."""
    data = await mitm.listen()
    receiver = await mitm.connect(await passive(client, server, data.port))
    sender = await data.accept()
    sender.say(b"half of")
    await receiver.hear(b"half of")
    return sender, receiver


class KillsData:
    """Kills data channels as soon as they begin."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, getattr(self, f"_{hook}"))
        self._seen = 0

    def _client_connected(self, client: Client) -> None:
        self._seen += 1
        if self._seen > 1:
            client.error = "killed"

    def _tcp_start(self, flow: TCPFlow) -> None:
        self._seen += 1
        if self._seen > 1:
            flow.kill()


@pytest.mark.parametrize("hook", ["client_connected", "tcp_start"])
def test_both_legs_of_a_killed_data_channel_end(run: Run, hook: str) -> None:
    """Also the server's, which had come to us before."""

    async def work() -> None:
        async with proxying(addons=(KillsData(hook),)) as mitm:
            client, server = await greet(mitm)
            listener = await mitm.listen()
            sender = await mitm.connect(await active(client, server, listener.port))
            assert await (await listener.accept()).until_cut() == b""
            assert await sender.until_cut() == b""

    run(work())


def test_killed_by_hand(run: Run) -> None:
    """A person kills a data channel of which nothing is shown any more: nothing passes from there on."""

    async def work() -> None:
        async with proxying(options={"alg_data_preview": 1}) as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            mitm.flows[1].kill()
            sender.say(b" more")
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())


def test_idle_data_channel_is_no_complete_one(run: Run) -> None:
    """mitmproxy closes what is idle; whoever receives must not take that for the end of the file."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            sender = await mitm.connect(await passive(client, server, data.port))
            receiver = await data.accept()
            sender.say(b"half of")
            await receiver.hear(b"half of")
            connections = mitm.master.addons.get("proxyserver").connections
            await connections[mitm.flows[1].client_conn.id].on_timeout()
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())


def test_a_timed_out_flow_is_shown_as_over(run: Run) -> None:
    """Whoever watches flows hears of the end, and it is no live flow any more."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            connections = mitm.master.addons.get("proxyserver").connections
            await connections[mitm.flows[0].client_conn.id].on_timeout()
            await client.until_cut()
            await server.until_cut()
            server.close()
            await mitm.until("session_close")
            assert not mitm.flows[0].live

    run(work())


class KillsReply:
    """Kills the flow at a 200."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        if flow.messages[-1].content.startswith(b"200"):
            flow.kill()


def test_leases_that_were_never_opened_are_given_back(run: Run) -> None:
    """A session that ends before its plugin's wish is carried out; its client has all its leases again."""

    async def work() -> None:
        async with proxying(addons=(KillsReply(),)) as mitm:
            client, server = await greet(mitm)
            client.say(b"NOOP\r\nPASV\r\n")
            await server.hear(b"NOOP\r\nPASV\r\n")
            server.say(b"200 ok\r\n227 Entering Passive Mode (127,0,0,1,200,1).\r\n")
            await client.until_cut()
            await mitm.until("killed")
            assert mitm.gateway.services.gate.pending_leases == 0

    run(work())


class Texter:
    """Sets a message to what is no bytes."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would, by mistake."""
        if flow.messages[-1].content.startswith(b"SITE"):
            flow.messages[-1].content = "SITE"


def test_a_message_that_is_no_bytes_ends_the_session(run: Run) -> None:
    """It is not left out in silence."""

    async def work() -> None:
        async with proxying(addons=(Texter(),)) as mitm:
            client, server = await greet(mitm)
            client.say(b"SITE x\r\nNOOP\r\n")
            assert await server.until_cut() == b""
            await mitm.until("hook_failed")

    run(work())


@pytest.mark.parametrize("to_client", [True, False])
def test_inject_behind_the_end(run: Run, caplog: pytest.LogCaptureFixture, to_client: bool) -> None:
    """What is injected behind an end goes nowhere, and what comes the other way still passes."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            ending, other = (sender, receiver) if to_client else (receiver, sender)
            ending.end()
            assert await other.rest() == b""
            mitm.master.commands.call("inject.tcp", mitm.flows[1], to_client, b"too late")
            other.say(b"ok")
            await ending.hear(b"ok")
            other.end()
            assert await ending.rest() == b""
            await mitm.until("flow_close")
            assert "crashed" not in caplog.text

    run(work())


def test_inject_behind_the_end_of_a_control_channel(run: Run) -> None:
    """A client that will say nothing more still hears the replies."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            client.say(b"STAT\r\n")
            client.end()
            await server.hear(b"STAT\r\n")
            mitm.master.commands.call("inject.tcp", mitm.flows[0], False, b"NOOP\r\n")
            server.say(b"211 ok\r\n")
            await client.hear(b"211 ok\r\n")

    run(work())


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


class KillsSite:
    """Kills a flow in which somebody says SITE."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        if flow.messages[-1].content.startswith(b"SITE"):
            flow.kill()


def test_nothing_comes_through_a_session_that_was_ended(run: Run) -> None:
    """A data channel whose client was still being dialled when its session was ended for a reason."""

    async def work() -> None:
        async with proxying(addons=(KillsSite(),)) as mitm:
            client, server = await greet(mitm)
            with socket.socket() as full:
                full.bind((HOST, 0))
                full.listen(0)
                held = [await mitm.connect(full.getsockname()[1])]  # its queue is full: whoever comes next has to wait
                sender = await mitm.connect(await active(client, server, full.getsockname()[1]))
                sender.say(b"secret")
                server.say(b"200 ok\r\n")
                await client.hear(b"200 ok\r\n")
                client.say(b"SITE x\r\n")
                await client.until_cut()
                await mitm.until("killed")
                full.setblocking(False)
                loop = asyncio.get_running_loop()
                first, _ = await loop.sock_accept(full)
                second, _ = await asyncio.wait_for(loop.sock_accept(full), DEADLINE)
                with first, second, contextlib.suppress(ConnectionResetError):
                    assert await loop.sock_recv(second, 100) == b""
                assert held

    run(work())


def test_a_listener_is_closed_if_its_session_ended_while_it_was_opened(run: Run) -> None:
    """No listener outlives its session."""

    async def work() -> None:
        async with proxying() as mitm:
            client, _ = await greet(mitm)
            (session,) = mitm.gateway.sessions.open.values()
            assert session.core is not None and session.master is not None
            expectation = Expectation.usual(Side.CLIENT, Endpoint.parse(HOST, 40000))
            lease = session.core.lease(expectation, session.legs)
            opening = asyncio.ensure_future(
                session.open_binding(OpenBinding(lease.number, expectation), session.master)
            )
            if not mitm.gateway.services.ports_taken:  # an eager task is there already
                await asyncio.sleep(0)  # up to where it waits
            session.master.gone()
            assert isinstance(await opening, CommandFailed)
            assert mitm.gateway.services.ports_taken == 0
            client.close()

    run(work())


def test_a_listener_of_mitmproxy_that_came_later_is_no_target(run: Run) -> None:
    """A person adds a mode while a session is open."""

    async def work() -> None:
        async with proxying() as mitm:
            client, _ = await greet(mitm)
            servers = mitm.master.addons.get("proxyserver").servers
            modes = [*mitm.master.options.mode, "socks5@127.0.0.1:0"]
            await servers.update([ProxyMode.parse(mode) for mode in modes])
            client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(mitm.ports[1], 256))
            assert (await client.line())[:1] in b"45"
            assert "self_target" in mitm.gateway.records

    run(work())


@pytest.mark.parametrize("mode", ["transparent", "local", "wireguard"])
def test_an_address_that_we_only_stand_for_is_no_source(mode: str) -> None:
    """Where a client does not know of us, our end of its connection is the server's address."""
    assert stands_for_servers(ProxyMode.parse(mode))
    assert not stands_for_servers(ProxyMode.parse("socks5"))


async def until_gone(peer: TlsPeer) -> None:
    """Wait until the other end has no socket any more, and not only said that it is done."""
    async with asyncio.timeout(DEADLINE):
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.raw(b"x")
                await asyncio.sleep(0)


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


async def serving(data: Host) -> TlsPeer:
    """The server's end of a data channel."""
    return await TlsPeer.serve(await data.accept())


class Holds:
    """Holds back what a data channel says."""

    def __init__(self) -> None:
        self.held = asyncio.Event()

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a person would, by an interception filter."""
        if flow.messages[-1].content.endswith(b"more"):
            flow.intercept()
            self.held.set()


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_held_back_until_after_the_end(run: Run, kill: bool, broken: bool) -> None:
    """What is resumed arrives, what is killed does not; and neither hides that the sender broke off meanwhile."""

    async def work() -> None:
        holds = Holds()
        async with proxying(addons=(holds,)) as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            sender.say(b" more")
            async with asyncio.timeout(DEADLINE):
                await holds.held.wait()
            sender.reset() if broken else sender.end()
            client.say(b"NOOP\r\n")
            await server.hear(b"NOOP\r\n")
            mitm.master.commands.call("flow.kill" if kill else "flow.resume", [mitm.flows[1]])
            if kill or broken:
                with pytest.raises(ConnectionError):
                    await receiver.rest()
            else:
                assert await receiver.rest() == b" more"

    run(work())

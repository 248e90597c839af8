"""FTPS through mitmproxy, from end to end in this process: every cell of control and data, injections, refusals."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from pathlib import Path

import pytest
from mitmproxy.tcp import TCPFlow

from alg.core.model import Endpoint
from tests import pki
from tests.mitm.conftest import Run
from tests.mitm.tls_rig import TlsMitm, covering
from tests.relay.ftp_peers import FILE, Server, ftps, protect, say, transfer
from tests.relay.peers import DEADLINE, SERVER, Peer
from tests.relay.tls_peer import TlsPeer, TruncatedError, plain_until_cut
from tests.relay.tls_rig import VERSIONS

MODES = pytest.mark.parametrize("mode", ["PASV", "EPSV", "PORT", "EPRT"])


@VERSIONS
@MODES
@pytest.mark.parametrize(
    ("client", "server", "level"),
    [
        *((True, server, level) for server in (True, False) for level in (b"P", b"C")),
        (False, True, b"P"),
    ],
    ids=["both-P", "both-C", "client-P", "client-C", "server-P"],
)
def test_transfers(
    run: Run, tmp_path: Path, client: bool, server: bool, level: bytes, mode: str, version: ssl.TLSVersion
) -> None:
    """Up and down, in each mode: equal bytes, TLS where it should be, its session resumed, and nobody's end cut short."""
    policy = ("client" if client else "require") if server else "never"

    async def work() -> None:
        async with (
            covering(tmp_path, config=f'[ftp.server]\ntls = "{policy}"\n') as rig,
            ftps(rig, client, server, version=version) as (control, far),  # type: ignore[arg-type]
        ):
            if client:
                await protect(control, level)
            protected = client and level == b"P"
            assert await transfer(control, mode, b"RETR", protected=protected) == FILE
            assert await transfer(control, mode, b"STOR", protected=protected) == b""
            assert far.stored == FILE
            assert far.resumed == ([True, True] if server and level == b"P" else [])
            await rig.mitm.until("transfer")

    run(work())


def test_implicit(run: Run, tmp_path: Path) -> None:
    """TLS from the first byte, on both legs."""

    async def work() -> None:
        async with covering(tmp_path) as rig:
            rig.mitm.master.options.update(alg_plugins=[f"{rig.host.endpoint.port}=ftps"])
            near = await Peer.connect(rig.at)
            far = await rig.host.accept()
            # The client's handshake waits for that of the server, whose certificate is its pattern.
            covered = TlsPeer(near, pki.client(), name=pki.NAME)
            with pytest.raises(ssl.SSLWantReadError):
                covered.tls.do_handshake()
            await covered.flush()
            with await TlsPeer.serve(far) as server:
                await covered.shake()
                await server.send(b"220 hello\r\n")
                assert await covered.line() == b"220 hello\r\n"
            covered.close()

    run(work())


async def greeted(rig: TlsMitm) -> tuple[Peer, Peer]:
    """Both ends after the greeting."""
    near, far = await rig.pair()
    await far.send(b"220 hello\r\n")
    assert await near.line() == b"220 hello\r\n"
    return near, far


def test_commands_behind_auth(run: Run, tmp_path: Path) -> None:
    """T20: what is pipelined behind AUTH ends the session; it never counts as said under TLS."""

    async def work() -> None:
        async with covering(tmp_path) as rig:
            near, far = await greeted(rig)
            with near, far:
                await near.send(b"AUTH TLS\r\nUSER mallory\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                said = await plain_until_cut(near)
                assert b"234" not in said
                assert b"USER" not in await plain_until_cut(far)
            assert "bytes_before_tls" in rig.mitm.gateway.records

    run(work())


@pytest.mark.parametrize("tunnelled", [False, True], ids=["reverse", "socks5"])
@pytest.mark.parametrize("parts", [(b"234 ok\r\n230 in\r\n",), (b"234 ok\r\n", b"230 in\r\n")], ids=["one", "two"])
def test_replies_behind_234(run: Run, tmp_path: Path, parts: tuple[bytes, ...], tunnelled: bool) -> None:
    """T21: what the server says in the clear behind 234 is seen by nobody; also while its handshake waits for a name."""

    async def work() -> None:
        async with covering(tmp_path, *(("socks5@127.0.0.1:0",) if tunnelled else ())) as rig:
            near, far = await (through_socks(rig) if tunnelled else greeted(rig))
            with near, far:
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                for part in parts:
                    await far.send(part)
                    if tunnelled and len(parts) > 1 and part is parts[0]:
                        assert (await near.line()).startswith(b"234 ")
                assert b"230" not in await plain_until_cut(near)

    run(work())


async def through_socks(rig: TlsMitm) -> tuple[Peer, Peer]:
    """Both ends after the greeting; the proxy knows nothing but the server's address."""
    near = await Peer.connect(rig.at)
    await near.send(b"\x05\x01\x00")
    assert await near.exactly(2) == b"\x05\x00"
    await near.send(b"\x05\x01\x00\x01" + socket.inet_aton(SERVER) + struct.pack("!H", rig.host.endpoint.port))
    assert (await near.exactly(10))[1] == 0
    far = await rig.host.accept()
    await far.send(b"220 hello\r\n")
    assert await near.line() == b"220 hello\r\n"
    return near, far


@pytest.mark.parametrize("name", [pki.NAME, None], ids=["name", "address"])
def test_server_is_verified_by_the_name_that_the_client_asks_for(run: Run, tmp_path: Path, name: str | None) -> None:
    """The server's handshake waits for the client's, which says the name; without one it is the address."""

    async def work() -> None:
        async with covering(tmp_path, "socks5@127.0.0.1:0") as rig:
            near, far = await through_socks(rig)
            await near.send(b"AUTH TLS\r\n")
            assert await far.line() == b"AUTH TLS\r\n"
            await far.send(b"234 go\r\n")
            assert (await near.line()).startswith(b"234 ")
            context = pki.client()
            context.check_hostname = name is not None
            asked: list[str] = []
            at_server = pki.server()
            at_server.sni_callback = lambda _, said, __: asked.append(said)
            covered = TlsPeer(near, context, name=name)
            with pytest.raises(ssl.SSLWantReadError):
                covered.tls.do_handshake()
            await covered.flush()
            server = Server(far, at_server)
            server.control = await TlsPeer.serve(far, at_server)
            await covered.shake()
            assert asked == [name]
            await covered.send(b"NOOP\r\n")
            assert await server.control.line() == b"NOOP\r\n"
            covered.close()
            server.control.close()

    run(work())


@pytest.mark.parametrize("issuer", ["ours", "nobodys"])
def test_server_that_nobody_vouches_for(run: Run, tmp_path: Path, issuer: str) -> None:
    """A CA that is not trusted, or a name that is another's: the client is told, and nothing is said to that server."""
    bad = pki.make("other.example.org", issuer=issuer) if issuer == "ours" else pki.make(SERVER, issuer=issuer)

    async def work() -> None:
        async with covering(tmp_path) as rig:
            near, far = await greeted(rig)
            with near, far:
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    server = await TlsPeer.serve(far, pki.server(bad))
                    await server.line()
                assert (await near.line()).startswith(b"421 ")
            assert "certificate_refused" in rig.mitm.gateway.records

    run(work())


def test_a_data_channel_that_nobody_needs(run: Run, tmp_path: Path) -> None:
    """The server refuses the transfer, the client hangs up without a word: that is no failure of TLS."""

    async def work() -> None:
        async with (
            covering(tmp_path) as rig,
            ftps(rig, True, True) as (control, _),  # type: ignore[arg-type]
        ):
            await protect(control, b"P")
            told = await say(control, b"EPSV")
            (await Peer.connect(Endpoint.parse("127.0.0.1", told.split(b"|")[3]))).close()
            await rig.mitm.until("flow_close")
            assert not {"tls_failed", "tls_truncated"} & set(rig.mitm.gateway.records)

    run(work())


class SeesData:
    """Says when something has passed on a data channel."""

    def __init__(self, seen: asyncio.Event) -> None:
        self._seen = seen

    def tcp_message(self, flow: TCPFlow) -> None:
        """It has."""
        if flow.metadata["alg"]["role"] == "data":
            self._seen.set()


def test_tickets_wait_for_what_must_be_read(run: Run, tmp_path: Path) -> None:
    """A client that only sends never reads them, and its close would reset the connection (TLS 1.3)."""

    async def work() -> None:
        async with (
            covering(tmp_path) as rig,
            ftps(rig, True, True, version=pki.V13) as (control, far),  # type: ignore[arg-type]
        ):
            seen = asyncio.Event()
            rig.mitm.master.addons.add(SeesData(seen))
            await protect(control, b"P")
            assert isinstance(control, TlsPeer)
            assert control.tls.session is not None
            assert control.tls.session.has_ticket
            told = await say(control, b"EPSV")
            data = await Peer.connect(Endpoint.parse("127.0.0.1", told.split(b"|")[3]))
            await control.send(b"STOR file\r\n")
            assert await control.line() == b"150 here it comes\r\n"
            covered = await TlsPeer.cover(data)
            await covered.send(FILE)
            async with asyncio.timeout(DEADLINE):
                await seen.wait()  # so the handshake is over, and what it says is sent
            with pytest.raises(BlockingIOError):
                covered.sock.recv(1)
            covered.fin()
            assert await covered.rest() == b""
            covered.close()
            assert await control.line() == b"226 done\r\n"
            assert far.stored == FILE

    run(work())


@pytest.mark.parametrize("client", [True, False], ids=["both", "server"])
def test_a_data_channel_that_is_cut_off(run: Run, tmp_path: Path, client: bool) -> None:
    """T22: without close_notify nobody knows whether more was to come: the other side sees the same, or a reset."""
    policy = "client" if client else "require"

    async def work() -> None:
        async with (
            covering(tmp_path, config=f'[ftp.server]\ntls = "{policy}"\n') as rig,
            ftps(rig, client, True) as (control, far),  # type: ignore[arg-type]
        ):
            far.cuts = True
            if client:
                await protect(control, b"P")
            with pytest.raises(TruncatedError if client else ConnectionResetError):
                await transfer(control, "PORT", b"RETR", protected=client)
            await rig.mitm.until("tls_truncated")

    run(work())

"""FTP with TLS, from end to end in this process: every cell of control and data, PROT, resumption, and who must not come."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
from alg_ftp import FtpConfig
from alg_ftp.config import DataMode, DataTls

from alg.core.model import Endpoint, TlsPolicy
from alg.settings import ClientTls, ServerTls
from tests import pki
from tests.conftest import Run
from tests.relay.ftp_peers import FILE, ftps, protect, say, transfer
from tests.relay.peers import Peer
from tests.relay.rig import endpoint_in, relaying_ftp
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS, client_tls, server_tls

NEVER = ServerTls(TlsPolicy.NEVER)
MODES = pytest.mark.parametrize("mode", ["PASV", "EPSV", "PORT", "EPRT"])


def of_server(client: bool, server: bool) -> ServerTls:
    """What a route says about the server in each cell."""
    if not server:
        return NEVER
    return server_tls(policy=TlsPolicy.CLIENT if client else TlsPolicy.REQUIRE)


@VERSIONS
@MODES
@pytest.mark.parametrize(
    ("client", "server", "level"),
    [
        *((True, server, level) for server in (True, False) for level in (b"P", b"C")),
        *((False, True, level) for level in (b"P", b"C")),
    ],
    ids=["both-P", "both-C", "client-P", "client-C", "server-P", "server-C"],
)
def test_transfers(run: Run, client: bool, server: bool, level: bytes, mode: str, version: ssl.TLSVersion) -> None:
    """Up and down, in each mode: equal bytes, TLS where it should be and nowhere else, and one record each."""

    async def work() -> None:
        config = FtpConfig(server_data_tls=DataTls.NEVER if level == b"C" else DataTls.CLIENT)
        asked = client_tls() if client else ClientTls()
        async with relaying_ftp(config=config, client_tls=asked, server_tls=of_server(client, server)) as rig:
            async with ftps(rig, client, server, version=version) as (control, far):
                if client:
                    await protect(control, level)
                protected = client and level == b"P"
                assert await transfer(control, mode, b"RETR", protected=protected) == FILE
                assert await transfer(control, mode, b"STOR", protected=protected) == b""
                assert far.stored == FILE
                assert len(far.resumed) == (2 if server and level == b"P" else 0)
                note = await rig.notes.wait("transfer", 2)
                assert (note.fields["result"], note.fields["bytes"], note.fields["mode"]) == (
                    "complete",
                    len(FILE),
                    mode,
                )
                name = {pki.V12: "TLSv1.2", pki.V13: "TLSv1.3"}[version]
                assert note.fields["client_tls"] == (name if protected else "")
                assert note.fields["server_tls"] == (name if far.resumed else "")
            await rig.at_rest()

    run(work())


@VERSIONS
@pytest.mark.parametrize("modes", [("PASV", DataMode.ACTIVE), ("PORT", DataMode.PASSIVE)], ids=["accept", "connect"])
def test_transfers_in_another_mode(run: Run, modes: tuple[str, DataMode], version: ssl.TLSVersion) -> None:
    """Both legs accepted, or both dialled, under TLS: who is TLS client does not depend on who connects."""

    async def work() -> None:
        config = FtpConfig(server_data_mode=modes[1])
        async with relaying_ftp(config=config, client_tls=client_tls(), server_tls=server_tls()) as rig:
            async with ftps(rig, True, True, version=version) as (control, far):
                await protect(control, b"P")
                assert await transfer(control, modes[0], b"RETR", protected=True) == FILE
                await transfer(control, modes[0], b"STOR", protected=True)
                assert far.stored == FILE
            await rig.at_rest()

    run(work())


@VERSIONS
def test_resumption_can_be_switched_off(run: Run, version: ssl.TLSVersion) -> None:
    """With `resume = false` each data connection makes a whole handshake with the server."""

    async def work() -> None:
        server = replace(server_tls(), resume=False)
        async with relaying_ftp(client_tls=client_tls(), server_tls=server) as rig:
            async with ftps(rig, True, True, version=version) as (control, far):
                await protect(control, b"P")
                for _ in range(2):
                    assert await transfer(control, "EPSV", b"RETR", protected=True) == FILE
                assert far.resumed == [False] * 2
            await rig.at_rest()

    run(work())


def test_data_connections_get_no_tickets(run: Run) -> None:
    """A client that only sends would never read them, and its close would reset the connection (TLS 1.3)."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(), server_tls=server_tls()) as rig:
            async with ftps(rig, True, True, version=pki.V13) as (control, _):
                await protect(control, b"P")
                assert isinstance(control, TlsPeer)
                assert control.tls.session is not None
                assert control.tls.session.has_ticket
                told = await say(control, b"EPSV")
                data = await Peer.connect(Endpoint.parse(control.sock.getpeername()[0], told.split(b"|")[3]))
                await control.send(b"RETR file\r\n")
                with await TlsPeer.cover(data) as covered:
                    assert await covered.rest() == FILE
                    assert covered.tls.session is not None
                    assert not covered.tls.session.has_ticket
                assert await control.line() == b"150 here it comes\r\n"
                assert await control.line() == b"226 done\r\n"
            await rig.at_rest()

    run(work())


@VERSIONS
def test_master_flows_resume_an_earlier_one(run: Run, version: ssl.TLSVersion) -> None:
    """The control connection of a later session resumes TLS with the server; its data connections resume its own."""

    async def work() -> None:
        context = pki.server(version=version)
        async with relaying_ftp(client_tls=client_tls(), server_tls=server_tls()) as rig:
            for resumed in (False, True):
                async with ftps(rig, True, True, version=version, context=context, demands_reuse=True) as (
                    control,
                    far,
                ):
                    await protect(control, b"P")
                    assert await transfer(control, "EPSV", b"RETR", protected=True) == FILE
                    assert isinstance(far.control, TlsPeer)
                    assert far.control.tls.session_reused is resumed
            await rig.at_rest()

    run(work())


@VERSIONS
def test_server_that_demands_resumption(run: Run, version: ssl.TLSVersion) -> None:
    """T67: the server leg of data connections resumes the session of its control connection, as some demand it."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(), server_tls=server_tls()) as rig:
            async with ftps(rig, True, True, version=version, demands_reuse=True) as (control, far):
                await protect(control, b"P")
                for _ in range(3):
                    assert await transfer(control, "EPSV", b"RETR", protected=True) == FILE
                assert far.resumed == [True] * 3
            await rig.at_rest()

    run(work())


@VERSIONS
def test_stranger_at_a_lease(run: Run, version: ssl.TLSVersion) -> None:
    """T67: with `resumption`, TLS alone is not enough: whoever did not resume the session of this control connection is
    refused, also with the session of another one; its owner is served.
    """

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(resumption=True), server_tls=NEVER) as rig:
            async with ftps(rig, True, False, version=version) as (other, _):
                assert (await say(other, b"NOOP")).startswith(b"200 ")
                assert isinstance(other, TlsPeer)
                context, session = other.tls.context, other.tls.session
                async with ftps(rig, True, False, version=version) as (control, _far):
                    await protect(control, b"P")
                    for stranger in (None, session):
                        told = endpoint_in(await say(control, b"PASV"))
                        await control.send(b"RETR file\r\n")
                        with await Peer.connect(told) as data:
                            assert await steal(data, context, stranger) == b""
                        assert await control.line() == b"150 here it comes\r\n"
                        await control.line()
                        await rig.notes.wait("not_resumed", 1 if stranger is None else 2)
                    assert await transfer(control, "PASV", b"RETR", protected=True) == FILE
            await rig.at_rest()

    run(work())


async def steal(data: Peer, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bytes:
    """What somebody gets who shakes hands with that session."""
    try:
        tls = await TlsPeer.cover(data, context, session=session)
        return await tls.receive()
    except (ssl.SSLError, ConnectionResetError):
        return b""


@pytest.mark.parametrize("server", [server_tls(), NEVER], ids=["client", "never"])
@pytest.mark.parametrize(
    "parts", [(b"AUTH TLS\r\nPORT 10,2,0,9,0,25\r\nUSER x\r\n",), (b"AUTH TLS\r\n", b"USER x\r\n")]
)
def test_command_behind_auth(run: Run, server: ServerTls, parts: tuple[bytes, ...]) -> None:
    """T20: what is pipelined behind AUTH, in one segment or two, ends the session; it never counts as said under TLS."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(), server_tls=server) as rig:
            near, far = await rig.pair()
            with near, far:
                await far.send(b"220 hello\r\n")
                await near.line()
                await near.send(parts[0])
                if server is NEVER and len(parts) > 1:
                    assert (await near.line()).startswith(b"234 ")
                elif server is not NEVER:
                    assert await far.line() == b"AUTH TLS\r\n"
                    await far.send(b"234 go\r\n")
                if len(parts) > 1:
                    await near.send(parts[1])
                    far = far if server is NEVER else await TlsPeer.serve(far)
                said = await plain_until_cut(near)
                assert (b"234" in said) is (len(parts) > 1 and server is not NEVER)
                rest = await plain_until_cut(far)
                assert b"USER" not in rest
                assert b"PORT" not in rest
            await rig.at_rest()
            assert rig.notes.of("not_tls" if len(parts) > 1 else "bytes_before_tls")

    run(work())


@pytest.mark.parametrize(
    "parts", [(b"234 ok\r\n230 logged in\r\n227 (127,0,0,9,9,9)\r\n",), (b"234 ok\r\n", b"230 in\r\n")]
)
def test_replies_behind_234(run: Run, parts: tuple[bytes, ...]) -> None:
    """T21: what the server says in the clear behind 234, in one segment or two, is seen by nobody; the session ends."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(), server_tls=server_tls()) as rig:
            near, far = await rig.pair()
            with near, far:
                await far.send(b"220 hello\r\n")
                await near.line()
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                for part in parts:
                    await far.send(part)
                said = await plain_until_cut(near)
                assert said.startswith(b"421 ")
                assert b"logged" not in said
                assert b"USER" not in await plain_until_cut(far)
            await rig.at_rest()
            assert rig.notes.of("bytes_before_tls") or rig.notes.of("tls_failed")

    run(work())


@pytest.mark.parametrize("answer", [b"500 what?\r\n", b"534 no\r\n", b"431 none\r\n", b"502 no\r\n"])
@pytest.mark.parametrize("client", [TlsPolicy.CLIENT, TlsPolicy.NEVER])
def test_server_that_has_no_tls(run: Run, answer: bytes, client: TlsPolicy) -> None:
    """T22: where TLS is required toward the server and it refuses, no USER and no PASS reaches it."""

    async def work() -> None:
        asked = client_tls() if client is TlsPolicy.CLIENT else ClientTls()
        async with relaying_ftp(client_tls=asked, server_tls=server_tls(policy=TlsPolicy.REQUIRE)) as rig:
            near, far = await rig.pair()
            with near, far:
                await far.send(b"220 hello\r\n")
                await near.send(b"USER me\r\nPASS secret\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(answer)
                assert await near.line() == b"421 TLS is required, and the server does not offer it.\r\n"
                assert await plain_until_cut(far) == b""
            await rig.at_rest()
            assert rig.notes.of("tls_refused")

    run(work())


def test_client_that_must_have_tls(run: Run) -> None:
    """T22, T68: USER in the clear is refused, and so is PROT C where data must be protected; none of it passes on."""

    async def work() -> None:
        asked = ClientTls(TlsPolicy.REQUIRE, certificate=pki.file(pki.good()))
        config = FtpConfig(client_data_tls=DataTls.REQUIRE)
        async with relaying_ftp(config=config, client_tls=asked, server_tls=NEVER) as rig:
            near, far = await rig.pair()
            await far.send(b"220 hello\r\n")
            await near.line()
            assert (await say(near, b"USER me")).startswith(b"530 ")
            assert (await say(near, b"AUTH TLS")).startswith(b"234 ")
            with await TlsPeer.cover(near) as tls, far:
                assert (await say(tls, b"PASV")).startswith(b"521 ")
                assert (await say(tls, b"PBSZ 0")).startswith(b"200 ")
                assert (await say(tls, b"PROT C")).startswith(b"534 ")
                assert (await say(tls, b"CCC")).startswith(b"534 ")
                await tls.send(b"NOOP\r\n")
                assert await far.line() == b"NOOP\r\n"
            await rig.at_rest()

    run(work())


def test_tls_that_passes_untouched(run: Run) -> None:
    """T69: after AUTH the flow is opaque, with a record; nothing listens any more, whatever the bytes look like."""

    async def work() -> None:
        asked = ClientTls(TlsPolicy.PASS)
        async with relaying_ftp(client_tls=asked, server_tls=ServerTls()) as rig:
            near, far = await rig.pair()
            with near, far:
                await far.send(b"220 hello\r\n")
                await near.line()
                await near.send(b"AUTH TLS\r\n")
                assert await far.line() == b"AUTH TLS\r\n"
                await far.send(b"234 go\r\n")
                assert await near.line() == b"234 go\r\n"
                await rig.notes.wait("opaque")
                await near.send(b"PASV\r\n")
                assert await far.line() == b"PASV\r\n"
                await far.send(b"227 (127,0,0,5,200,1)\r\n")
                assert await near.line() == b"227 (127,0,0,5,200,1)\r\n"
                assert rig.relay.services.ports.taken == 0
                assert not rig.notes.of("rewrite")
            await rig.at_rest()

    run(work())

"""The PROXY protocol toward the server: first of all on each connection that we dial to it, before TLS too."""

from __future__ import annotations

import pytest
from alg_ftp import FtpPlugin

from alg.core.model import Endpoint, Side
from alg.core.plugin import StreamPlugin
from alg.core.proxy_protocol import ProxyVersion, format_header
from alg.relay.sockets import endpoint_of
from alg.settings import ServerTls
from tests.conftest import Run
from tests.relay.peers import SERVER, Host, Peer
from tests.relay.rig import FtpPair, relaying, relaying_ftp
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import server_tls

BOTH = pytest.mark.parametrize("version", list(ProxyVersion), ids=[each.name for each in ProxyVersion])


def header(version: ProxyVersion, client: Peer, to: Endpoint) -> bytes:
    """What the server is to be told about that client."""
    return format_header(version, endpoint_of(client.sock.getsockname()), to)


@BOTH
@pytest.mark.parametrize("plugin", [None, FtpPlugin], ids=["opaque", "ftp"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_master_connection(
    run: Run, version: ProxyVersion, plugin: type[StreamPlugin[object]] | None, tls: bool
) -> None:
    """Source and destination are those of the client's leg; what the client says comes behind it."""

    async def work() -> None:
        settings = server_tls(implicit=True) if tls else ServerTls()
        async with relaying(plugin, proxy_protocol=version, server_tls=settings) as rig:
            near, far = await rig.pair()
            with near, far:
                wanted = header(version, near, rig.at)
                got = b""
                while len(got) < len(wanted):
                    got += await far.exactly(1)
                assert got == wanted
                if tls:
                    far = await TlsPeer.serve(far)
                await far.send(b"220 hello\r\n")
                assert await near.line() == b"220 hello\r\n"
            await rig.at_rest()

    run(work())


@BOTH
def test_data_connections(run: Run, version: ProxyVersion) -> None:
    """A data connection that we dial tells whose it is; one that the server dials has nobody to be told."""

    async def work() -> None:
        async with relaying_ftp(proxy_protocol=version) as rig:
            near, far = await rig.pair()
            assert await far.exactly(len(header(version, near, rig.at))) == header(version, near, rig.at)
            await far.send(b"220 hello\r\n")
            await near.line()
            ftp = FtpPair(near, far)
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    wanted = header(version, inner, told)
                    assert await outer.exactly(len(wanted)) == wanted
                    await inner.send(b"data")
                    assert await outer.exactly(4) == b"data"
            with Host("127.0.0.2") as listening:
                at = await ftp.active(listening.endpoint)
                with await Peer.connect(at, SERVER) as outer, await listening.accept() as inner:
                    await outer.send(b"data")
                    assert await inner.receive() == b"data"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_nobody_else_is_told(run: Run) -> None:
    """Without the setting the server gets what the client says, and nothing before it."""

    async def work() -> None:
        async with relaying() as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(b"first")
                assert await far.receive() == b"first"
                (session,) = rig.relay.sessions
                assert session.master
                assert session.master.legs[Side.SERVER].sent == 5
            await rig.at_rest()

    run(work())

"""IPv6, and a listener that is bound to all addresses."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest
from alg_ftp import FtpPlugin

from alg.core.addresses import parse_address
from alg.core.model import Endpoint
from alg.registry import Registry
from alg.relay.server import Relay
from alg.relay.sockets import endpoint_of
from alg.settings import Route, Upstream
from tests.conftest import Run
from tests.relay.peers import SERVER, Host, Peer
from tests.relay.rig import Notes, Rig, relaying_ftp


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Host6(Host):
    """A listening host at ::1."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.sock.setblocking(False)
        self.endpoint = endpoint_of(self.sock.getsockname())


async def connect6(to: Endpoint) -> Peer:
    """Connect by IPv6."""
    sock = socket.socket(socket.AF_INET6)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (str(to.address), to.port))
    return Peer(sock)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ftp_over_ipv6(run: Run) -> None:
    """EPSV and EPRT: a data connection each way, announced in the form of RFC 2428."""

    async def work() -> None:
        with Host6() as host, Notes() as notes:
            route = Route(
                FtpPlugin, FtpPlugin.config_type(), Endpoint.parse("::1", 0), Upstream("::1", host.endpoint.port)
            )
            relay = Relay([route], Registry())
            await relay.start()
            rig = Rig(relay, notes, host)
            with await connect6(rig.at) as client, await host.accept() as server, Host6() as data:
                await client.send(b"EPSV\r\n")
                assert await server.line() == b"EPSV\r\n"
                await server.send(b"220 hello\r\n229 Entering (|||%d|)\r\n" % data.endpoint.port)
                assert await client.line() == b"220 hello\r\n"
                told = re.search(rb"\(\|\|\|(\d+)\|\)", await client.line())
                assert told
                at = Endpoint(rig.at.address, int(told[1]))
                with await connect6(at) as inner, await data.accept() as outer:
                    await outer.send(b"by six")
                    assert await inner.receive() == b"by six"
                await client.send(b"EPRT |2|::1|%d|\r\n" % data.endpoint.port)
                told = re.fullmatch(rb"EPRT \|2\|::1\|(\d+)\|\r\n", await server.line())
                assert told
                with await connect6(Endpoint(rig.at.address, int(told[1]))) as outer, await data.accept() as inner:
                    await inner.send(b"by six")
                    assert await outer.receive() == b"by six"
            await rig.at_rest()
            relay.close()

    run(work())


def test_listener_at_all_addresses(run: Run) -> None:
    """Clients of a listener at 0.0.0.0 are told the address that they came to, not that one."""

    async def work() -> None:
        async with relaying_ftp() as usual:
            upstream = Upstream(SERVER, usual.host.endpoint.port)
            route = Route(FtpPlugin, FtpPlugin.config_type(), Endpoint.parse("0.0.0.0", 0), upstream)
            relay = Relay([route], Registry())
            await relay.start()
            rig = Rig(relay, usual.notes, usual.host)
            at = Endpoint(parse_address("127.0.0.44"), rig.at.port)
            with await Peer.connect(at) as client, await rig.host.accept() as server, Host(SERVER) as data:
                await client.send(b"PASV\r\n")
                assert await server.line() == b"PASV\r\n"
                await server.send(b"220 hello\r\n227 (127,0,0,5,%d,%d)\r\n" % divmod(data.endpoint.port, 256))
                assert await client.line() == b"220 hello\r\n"
                assert b"(127,0,0,44," in await client.line()
            await rig.at_rest()
            relay.close()

    run(work())

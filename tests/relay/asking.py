"""Clients that ask for their connections: SOCKS5, SOCKS4 and CONNECT as a test says them, and relays for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Unpack

from alg_ftp import FtpConfig, FtpPlugin

from alg.core.addresses import Network
from alg.core.model import Endpoint, PortRange
from alg.settings import AllowedUpstream, Limits, PortRule, Times, Way
from tests.relay.peers import SERVER, Peer
from tests.relay.rig import FtpPair, More, Rig, relaying

SERVER_ONLY: Network = ip_network(f"{SERVER}/32")
EVERY_PORT = PortRange(1, 65535)


@asynccontextmanager
async def asked_relay(
    *,
    times: Times | None = None,
    limits: Limits | None = None,
    host_port: int = 0,
    **more: Unpack[More],
) -> AsyncIterator[Rig]:
    """A relay whose clients ask; what they may have is the server, unless something else is allowed."""
    more.setdefault("allowed", (AllowedUpstream(SERVER_ONLY),))
    more.setdefault("way", Way.SOCKS)
    async with relaying(times=times, limits=limits, host_port=host_port, **more) as rig:
        yield rig
        await rig.at_rest()


def ftp_rules(config: FtpConfig | None = None) -> tuple[PortRule, ...]:
    """FTP, at whatever port."""
    return (PortRule(EVERY_PORT, FtpPlugin, config or FtpConfig()),)


async def greeted(rig: Rig, source: str = "127.0.0.2") -> Peer:
    """A client that has agreed on SOCKS5 without a password."""
    client = await Peer.connect(rig.at, source)
    await client.send(b"\x05\x01\x00")
    assert await client.exactly(2) == b"\x05\x00"
    return client


def request(command: int, target: Endpoint) -> bytes:
    """A SOCKS5 request (RFC 1928 section 4) for an IPv4 address."""
    return b"\x05%c\x00\x01" % command + target.address.packed + target.port.to_bytes(2)


async def reply(client: Peer) -> tuple[int, Endpoint]:
    """The code of a SOCKS5 reply, and the endpoint in it."""
    said = await client.exactly(10)
    assert said[0] == 5, said
    assert said[2:4] == b"\x00\x01", said
    return said[1], Endpoint.parse(".".join(map(str, said[4:8])), int.from_bytes(said[8:]))


async def connected(rig: Rig, target: Endpoint, source: str = "127.0.0.2") -> Peer:
    """A client that was connected to that target."""
    client = await greeted(rig, source)
    await client.send(request(1, target))
    code, _ = await reply(client)
    assert code == 0, f"refused with {code}"
    return client


async def asked(rig: Rig, command: int, target: Endpoint, source: str = "127.0.0.2") -> int:
    """The code that a client gets which asks for that, and is then let go."""
    with await greeted(rig, source) as client:
        await client.send(request(command, target))
        return (await reply(client))[0]


async def ftp_through(rig: Rig, source: str = "127.0.0.2") -> FtpPair:
    """An FTP session through SOCKS, greeted."""
    client = await connected(rig, rig.host.endpoint, source)
    server = await rig.host.accept()
    await server.send(b"220 hello\r\n")
    assert await client.line() == b"220 hello\r\n"
    return FtpPair(client, server)

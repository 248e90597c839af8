"""A relay between two other hosts whose datagrams are intercepted: network namespaces, and the kernel's rules in them."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from typing import Self

import pytest
from alg_tcp import TcpPlugin
from alg_tftp import TftpConfig, TftpPlugin
from alg_udp import UdpPlugin

from alg import interception, nft
from alg.core.model import Endpoint, PortRange, Side
from alg.core.plugin import Plugin
from alg.core.policy import TargetRules
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import AllowedUpstream, Limits, PortRule, Route, Way
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab, Namespace
from tests.peers.processes import LabError
from tests.peers.processes import run as command
from tests.peers.transparent.middle import default_route
from tests.relay.datagram_peers import DatagramPeer
from tests.relay.peers import DEADLINE
from tests.relay.rig import Notes

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"),
    reason="hosts to stand between need root and the commands `ip` and `nft`",
)
PORT = 8080
THIRD, THIRD_GATEWAY = "10.77.3.2", "10.77.3.1"
_IPV6_HEADER_INCLUDED = 36  # <linux/in6.h>
FIRST, LAST = 5300, 5310
"""What the test's plugin gets; TFTP has its own port."""


class Between:
    """A running relay, and the hosts on both sides of it."""

    def __init__(self, lab: ThirdLab, relay: Relay, notes: Notes, version: int) -> None:
        self.relay = relay
        self.notes = notes
        self._lab = lab
        self._version = version
        self.at = Endpoint.parse(GATEWAY_INSIDE[version], PORT)
        self.ours = GATEWAY_OUTSIDE[version]

    def client(self) -> DatagramPeer:
        """A socket of the client's host."""
        return peer(self._lab.client, CLIENT[self._version])

    def server(self, port: int = FIRST) -> DatagramPeer:
        """One of the server's."""
        return peer(self._lab.server, SERVER[self._version], port)

    def server_of(self, version: int, port: int) -> DatagramPeer:
        """One of the server's, of an IP version."""
        return peer(self._lab.server, SERVER[version], port)

    def third(self) -> DatagramPeer:
        """A socket of the host at the third interface."""
        return peer(self._lab.third, THIRD)

    def other_program(self) -> DatagramPeer:
        """A socket of the gateway's host that is none of the relay's."""
        return peer(self._lab.gateway, "0.0.0.0", FIRST)


def peer(namespace: Namespace, address: str, port: int = 0) -> DatagramPeer:
    """A socket of that host."""
    with namespace.entered():
        return DatagramPeer(address, port=port)


@pytest.fixture(scope="module")
def lab() -> Iterator[ThirdLab]:
    """The hosts; whoever uses them stands on the gateway's."""
    with ThirdLab(False, {}) as built:
        default_route(built)
        yield built


class ThirdLab(Lab):
    """One host more, at an interface of its own."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.third = Namespace(f"{self.client.name[:-2]}-t")
        command("ip", "netns", "add", self.third.name)
        self.third.ip("link", "add", "eth0", "type", "veth", "peer", "name", "third", "netns", self.gateway.name)
        self.third.add_address("eth0", {4: THIRD})
        self.gateway.add_address("third", {4: THIRD_GATEWAY})
        self.third.ip("route", "add", "default", "via", THIRD_GATEWAY)
        return self

    def close(self) -> None:
        """Take it down with the others."""
        with suppress(LabError, AttributeError):
            command("ip", "netns", "delete", self.third.name)
        super().close()


@contextmanager
def looping(lab: Lab, network: str) -> Iterator[None]:
    """The gateway's host sends that to the server's, which sends it back."""
    lab.server.set_kernel("net.ipv4.ip_forward", "1")
    lab.server.ip("route", "add", network, "via", GATEWAY_OUTSIDE[4])
    lab.gateway.ip("route", "add", network, "via", SERVER[4])
    try:
        yield
    finally:
        lab.gateway.ip("route", "delete", network)
        lab.server.ip("route", "delete", network)
        lab.server.set_kernel("net.ipv4.ip_forward", "0")


def forge(lab: Lab, source: Endpoint, address: str, port: int, data: bytes) -> None:
    """The client's host sends a datagram over IPv6 to that address, of whatever form."""
    near, far = source.address.packed, socket.inet_pton(socket.AF_INET6, address)
    head = struct.pack("!HHH", source.port, port, 8 + len(data))
    summed = near + far + struct.pack("!IxxxB", 8 + len(data), socket.IPPROTO_UDP) + head + b"\0\0" + data
    total = sum(struct.unpack(f"!{(len(summed) + 1) // 2}H", summed + b"\0" * (len(summed) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    packet = struct.pack("!IHBB", 6 << 28, 8 + len(data), socket.IPPROTO_UDP, 64) + near + far
    packet += head + struct.pack("!H", ~total & 0xFFFF or 0xFFFF) + data
    with lab.client.entered():
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with sender:
        sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_HEADER_INCLUDED, 1)
        sender.sendto(packet, (GATEWAY_INSIDE[6], 0))


@contextmanager
def rules(plan: nft.Plan) -> Iterator[None]:
    """Have the kernel of this host intercept that."""
    interception.apply(plan)
    try:
        yield
    finally:
        interception.remove(nft.TABLE)


@contextmanager
def way_back(lab: Lab, version: int) -> Iterator[None]:
    """The server's host sends by the gateway what is not for its own network."""
    lab.server.ip(f"-{version}", "route", "add", "default", "via", GATEWAY_OUTSIDE[version])
    try:
        yield
    finally:
        lab.server.ip(f"-{version}", "route", "delete", "default")


@asynccontextmanager
async def between(
    lab: ThirdLab,
    version: int = 4,
    plugin: type[Plugin[object]] = UdpPlugin,
    *,
    limits: Limits | None = None,
    keep: bool = False,
    allowed: str | None = None,
    announced: str | None = None,
    interfaces: tuple[str, ...] = ("inside", "outside"),
) -> AsyncIterator[Between]:
    """Run a relay on the gateway's host that is told of no server; on leaving, it must have given all back."""
    networks = {4: "10.77.2.0/24", 6: "fd77:2::/64"}
    route = Route(
        TcpPlugin,
        None,
        Endpoint.parse({4: "0.0.0.0", 6: "::"}[version], PORT),
        None,
        allowed=(AllowedUpstream(ip_network(allowed or networks[version])),),
        way=Way.TRANSPARENT,
        rules=(
            PortRule(PortRange(FIRST, LAST), plugin, None),
            PortRule(PortRange(69, 69), TftpPlugin, TftpConfig()),
        ),
        keep_client_address=keep,
        idle=5.0,
    )
    if announced:
        announcing = TargetRules(networks=(ip_network(announced),))
        route = replace(route, targets=dict.fromkeys(Side, announcing))
    with ExitStack() as stack:
        if keep:
            stack.enter_context(way_back(lab, version))
        stack.enter_context(lab.gateway.entered())
        stack.enter_context(rules(nft.Plan(nft.interceptions([route]), interfaces=interfaces)))
        notes = stack.enter_context(Notes())
        relay = Relay([route], Registry(), limits=limits)
        await relay.start()
        try:
            yield Between(lab, relay, notes, version)
        finally:
            relay.close()
            stopped = await relay.drain(DEADLINE)
            relay.close()
        assert stopped and len(relay.datagrams) == 0
        assert relay.services.budget.used == 0

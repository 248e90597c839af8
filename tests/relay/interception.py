"""A relay between two other hosts whose datagrams are intercepted: network namespaces, and the kernel's rules in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import ip_network

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
from tests.peers.transparent.middle import default_route
from tests.relay.datagram_peers import DatagramPeer
from tests.relay.peers import DEADLINE
from tests.relay.rig import Notes

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"),
    reason="hosts to stand between need root and the commands `ip` and `nft`",
)
PORT = 8080
FIRST, LAST = 5300, 5310
"""What the test's plugin gets; TFTP has its own port."""


class Between:
    """A running relay, and the hosts on both sides of it."""

    def __init__(self, lab: Lab, relay: Relay, notes: Notes, version: int) -> None:
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

    def other_program(self) -> DatagramPeer:
        """A socket of the gateway's host that is none of the relay's."""
        return peer(self._lab.gateway, "0.0.0.0", FIRST)


def peer(namespace: Namespace, address: str, port: int = 0) -> DatagramPeer:
    """A socket of that host."""
    with namespace.entered():
        return DatagramPeer(address, port=port)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The hosts; whoever uses them stands on the gateway's."""
    with Lab(False, {}) as built:
        default_route(built)
        yield built


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
    lab: Lab,
    version: int = 4,
    plugin: type[Plugin[object]] = UdpPlugin,
    *,
    limits: Limits | None = None,
    keep: bool = False,
    allowed: str | None = None,
    announced: str | None = None,
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
        stack.enter_context(rules(nft.Plan(nft.interceptions([route]), interfaces=("inside", "outside"))))
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

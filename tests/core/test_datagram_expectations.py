"""Expectations over UDP: which transport, how many ports, and which two belong together."""

from __future__ import annotations

import random

import pytest

from alg.core.model import PortRange
from alg.core.ports import PortPool
from alg.plugin import Binding, DatagramPlugin, Datagrams, PluginError, Side, Stream, StreamPlugin, Transport
from alg.testing import Expectation, Playbook, endpoint

TARGET = endpoint("10.77.1.2:4000")


class MediaPlugin(DatagramPlugin[None]):
    """Expects two ports for the server, then a pair of them for the client."""

    name = "media"

    async def from_client(self, datagrams: Datagrams) -> None:
        async for _ in datagrams:
            first = await self.flow.expect(Side.SERVER, TARGET, span=2)
            second = await self.flow.expect(Side.CLIENT, endpoint("10.77.2.2:5000"), span=2, pair=first)
            for binding in (first, second):
                datagrams.send(str(binding.endpoint).encode())


def test_the_transport_is_that_of_the_flow() -> None:
    """Unless the plugin says otherwise; ports begin with an even one."""
    talk = Playbook(MediaPlugin)
    talk.client(b"x")
    assert talk.expectations == [
        Expectation.usual(Side.SERVER, TARGET, transport=Transport.UDP, span=2),
        Expectation.usual(Side.CLIENT, endpoint("10.77.2.2:5000"), transport=Transport.UDP, span=2, pair=1),
    ]
    assert talk.datagrams[Side.SERVER] == [b"10.77.2.1:20002", b"10.77.1.1:20004"]
    assert talk.description(1) == "server 10.77.2.1:20002 -> 10.77.1.2:4000 udp, 2 ports"
    assert [lease.expectation.transport for lease in talk.leases] == [Transport.UDP, Transport.UDP]


def asking(**words: object) -> StreamPlugin[None]:
    """What a plugin for TCP expects, with these words."""

    class Asking(StreamPlugin[None]):
        name = "asking"

        async def from_client(self, stream: Stream) -> None:
            await self.flow.expect(Side.SERVER, TARGET, **words)  # type: ignore[arg-type]

    talk = Playbook(Asking)
    if talk.error:
        raise talk.error
    (expectation,) = talk.expectations
    assert talk.description(1).endswith(" udp" if expectation.transport is Transport.UDP else ":4000")
    return Asking(None)


def test_a_plugin_for_tcp_may_expect_datagrams() -> None:
    """As RTSP does."""
    asking()
    asking(transport=Transport.UDP)


@pytest.mark.parametrize(
    "words",
    [
        *({"span": 2}, {"transport": Transport.UDP, "span": 0}, {"transport": Transport.UDP, "span": 61537}),
        *({"transport": Transport.UDP, "plugin": "x"}, {"transport": Transport.UDP, "tls": (Side.CLIENT,)}),
    ],
)
def test_what_one_transport_has_and_the_other_has_not(words: dict[str, object]) -> None:
    """The plugin is at fault."""
    with pytest.raises(PluginError):
        asking(**words)


def test_a_pair_is_for_datagrams() -> None:
    """So is a span."""

    class Pairing(StreamPlugin[None]):
        name = "pairing"

        async def from_client(self, stream: Stream) -> None:
            first: Binding = await self.flow.expect(Side.SERVER, TARGET)
            await self.flow.expect(Side.CLIENT, endpoint("10.77.2.2:5000"), pair=first)

    assert isinstance(Playbook(Pairing).error, PluginError)


def test_so_many_may_come_through_each_port() -> None:
    """One through each, where one may come."""
    talk = Playbook(MediaPlugin)
    talk.client(b"x")
    lease = talk.leases[0]
    for came in range(2):
        assert not lease.used_up(Side.SERVER), came
        lease.admit(Side.SERVER, endpoint("10.77.2.2:1").address, 0.0)
    assert lease.used_up(Side.SERVER)


def test_consecutive_ports_begin_with_an_even_one() -> None:
    """They are taken together, given back one by one, and there is an end of them."""
    chance = random.Random(1)
    pool = PortPool(PortRange(20001, 20010), chance.randrange)
    firsts = [pool.take_span(2) for _ in range(4)]
    assert sorted(filter(None, firsts)) == [20002, 20004, 20006, 20008]
    assert pool.take_span(2) is None  # 20001 and 20010 are left, which are no neighbours
    assert pool.taken == 8
    assert {pool.take(), pool.take()} == {20001, 20010}
    assert pool.take() is None and pool.take_span(2) is None
    for port in (20004, 20005):
        pool.give_back(port)
    assert pool.take_span(2) == 20004


def test_a_search_for_consecutive_ports_ends() -> None:
    """However many there are that have no neighbour."""
    pool = PortPool(PortRange(20000, 20999), random.Random(1).randrange)
    while pool.take() is not None:
        pass
    for port in range(20000, 21000, 2):
        pool.give_back(port)
    assert pool.take_span(2) is None
    assert pool.taken == 500

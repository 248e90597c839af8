"""The playbook and what becomes of legs: TLS, pairs that are dialled or both accepted, related flows, a chosen server."""

from __future__ import annotations

import pytest

from alg.plugin import BindError, Binding, ConnectError, PolicyError, Stream, StreamPlugin, TlsError
from alg.testing import Accept, Connect, Outcome, Playbook, Side, TlsInfo, TlsPolicy, endpoint

OUTCOME = Outcome(1, 2, 3.0)


class LegsPlugin(StreamPlugin[None]):
    """Each line of the client is a request for a leg, or for a pair of legs."""

    name = "legs"
    binding: Binding

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            try:
                await self._treat(line.decode().split())
            except (PolicyError, ConnectError, BindError, TlsError) as error:
                stream.reply(error.reason.encode() + b"\n")
            else:
                stream.reply(b"ok\n")

    async def _treat(self, words: list[str]) -> None:
        if words[0] == "on":
            await self.flow.start_tls(Side(words[1]))
        elif words[0] == "off":
            await self.flow.stop_tls(Side(words[1]))
        elif words[0] == "connect":
            await self.flow.connect(words[1], 21)
        elif words[0] == "both":
            self.binding = await self.flow.expect_legs(Accept(), Accept(), on_end=self.ended)
        elif words[0] == "pair":
            client, server = Connect(endpoint("10.77.1.2:6000")), Connect(endpoint("10.77.2.2:5000"))
            self.binding = await self.flow.expect_legs(client, server, on_end=self.ended)
        else:
            self.binding.dial()

    async def from_server(self, stream: Stream) -> None:
        await stream.read_some()

    def ended(self, outcome: Outcome) -> None:
        self.flow.log("over", f"{outcome.seconds:g} s")


def test_tls_changes_are_listed() -> None:
    """In order; the legs are as they were left."""
    talk = Playbook(LegsPlugin, server_name="ftp.example.org")
    talk.client(b"on client\n")
    talk.client(b"on server\n")
    talk.client(b"off client\n")
    assert talk.tls_changes == ["client", "server", "client off"]
    assert not talk.legs[Side.CLIENT].secure
    assert talk.legs[Side.SERVER].tls == TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    talk.client(b"on client\n")
    tls = talk.legs[Side.CLIENT].tls
    assert tls is not None
    assert tls.server_name == "ftp.example.org"


def test_tls_may_be_held_and_fail() -> None:
    """Each change waits for its answer."""
    talk = Playbook(LegsPlugin, hold=True)
    talk.client(b"on client\n")
    assert (talk.to_client, talk.tls_changes) == (b"", [])
    talk.answer()
    talk.client(b"off client\n")
    talk.answer(TlsError("no", reason="no_close_notify"))
    assert talk.to_client == b"ok\nno_close_notify\n"
    assert talk.tls_changes == ["client"]
    assert talk.legs[Side.CLIENT].secure


def test_the_policies_and_legs_of_a_route() -> None:
    """By default nobody has TLS, and it would be there toward the server; legs may be TLS from the start."""
    talk = Playbook(LegsPlugin)
    assert [leg.tls_policy for leg in talk.legs.values()] == [TlsPolicy.NEVER, TlsPolicy.CLIENT]
    assert not any(leg.secure for leg in talk.legs.values())
    talk = Playbook(LegsPlugin, client_tls=TlsPolicy.REQUIRE, server_tls=TlsPolicy.PASS, implicit_tls=Side)
    assert [leg.tls_policy for leg in talk.legs.values()] == [TlsPolicy.REQUIRE, TlsPolicy.PASS]
    assert all(leg.secure for leg in talk.legs.values())


def test_the_client_chooses_its_server() -> None:
    """Out of those that the test names; what it may not have is refused, what fails may be followed by another."""
    upstreams = {"a.example:21": "192.0.2.1:21", "b.example:21": "[2001:db8::2]:2121"}
    talk = Playbook(LegsPlugin, server=None, upstreams=upstreams)
    assert list(talk.legs) == [Side.CLIENT]
    talk.client(b"connect c.example\n")
    assert talk.to_client == b"upstream_refused\n"
    talk.client(b"connect b.example\n")
    assert talk.connected == ["c.example:21", "b.example:21"]
    assert talk.legs[Side.SERVER].peer == endpoint("[2001:db8::2]:2121")
    talk = Playbook(LegsPlugin, server=None, upstreams=upstreams, hold=True, implicit_tls=(Side.SERVER,))
    talk.client(b"connect a.example\n")
    talk.answer(ConnectError("unreachable"))
    talk.client(b"connect a.example\n")
    talk.answer()
    assert talk.to_client == b"connect_failed\nok\n"
    assert talk.legs[Side.SERVER].secure


def test_two_listeners() -> None:
    """The client's is the first; if one of them cannot be had there is none."""
    talk = Playbook(LegsPlugin, listeners=["203.0.113.7:1", "198.51.100.7:2", "203.0.113.7:3"])
    talk.client(b"both\nboth\n")
    assert talk.listeners == {1: {Side.CLIENT: endpoint("203.0.113.7:1"), Side.SERVER: endpoint("198.51.100.7:2")}}
    assert talk.description(1) == "client 203.0.113.7:1 <-> server 198.51.100.7:2"
    assert talk.to_client == b"ok\nno_port\n"
    assert len(talk.leases) == 1
    talk = Playbook(LegsPlugin)
    talk.client(b"both\n")
    assert talk.description(1) == "client 10.77.1.1:20001 <-> server 10.77.2.1:20002"


def test_a_pair_is_dialled() -> None:
    """Once; its lease is done with then, as in the relay, and what came of it can still be told."""
    talk = Playbook(LegsPlugin)
    talk.client(b"pair\n")
    assert talk.listeners == {1: {}}
    assert len(talk.leases) == 1
    assert talk.dialled == []
    talk.client(b"dial\ndial\n")
    assert talk.dialled == [1]
    assert not talk.leases
    assert talk.gate.pending_leases == 0
    talk.related_ended(1, OUTCOME)
    talk.related_ended(1, OUTCOME)
    assert talk.reasons == ["rewrite", "over"]


@pytest.mark.parametrize("ends", [False, True])
def test_the_end_of_a_related_flow_is_told(ends: bool) -> None:
    """Also after the end; one that never had both its legs is not."""
    talk = Playbook(LegsPlugin)
    talk.client(b"both\nboth\n")
    talk.leases[0].admit(Side.CLIENT, talk.legs[Side.CLIENT].peer.address, talk.now)
    if ends:
        talk.lose(Side.CLIENT)
    talk.related_ended(1, OUTCOME)
    talk.related_ended(2, None)
    assert [record.message for record in talk.records][2:] == ["3 s"]


def test_a_binding_that_is_answered_after_the_end() -> None:
    """Its lease has gone with the session."""
    talk = Playbook(LegsPlugin, hold=True)
    talk.client(b"both\n")
    talk.lose(Side.SERVER)
    talk.answer()
    assert not talk.leases
    assert talk.to_client == b""

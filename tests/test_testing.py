"""The playbook, as the author of a plugin would use it: with a toy protocol, and every answer that a host can give."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from alg.core.policy import LeaseLimits
from alg.plugin import BindError, Endpoint, Expectation, Side, Stream, StreamPlugin, TlsError
from alg.testing import Playbook, endpoint
from tests.test_conversation_time import SharingPlugin


@dataclass(frozen=True)
class CallConfig:
    """Settings of the toy."""

    greeting: bytes = b"hello\n"


class CallPlugin(StreamPlugin[CallConfig]):
    """`CALL ADDRESS PORT` announces a listener of the client; `TLS` and `RAW` change the connection; `BYE` ends it."""

    name = "call"
    config_type = CallConfig

    async def from_client(self, stream: Stream) -> None:
        stream.send(self.config.greeting)
        async for line in stream.lines(100):
            word, *rest = line.split()
            if word == b"CALL":
                try:
                    binding = await self.flow.expect(Side.SERVER, Endpoint.parse(*rest), announced_by="CALL")
                except BindError as error:
                    stream.reply(b"BUSY %s\n" % error.reason.encode("ascii"))
                    continue
                stream.send(b"CALL %s\n" % binding.endpoint.to_bytes(b" "))
            elif word == b"TLS":
                stream.reply(b"OK\n")
                await self.flow.start_tls(Side.CLIENT)
                stream.send(b"(secure)\n" if self.flow.client.secure else b"(clear)\n")
            elif word == b"RAW":
                self.flow.splice()
                return
            elif word == b"BYE":
                self.flow.close()
            else:
                stream.send(line)

    async def from_server(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            stream.send(line)


CALL = b"CALL 10.77.1.2 4000\n"


def test_a_call_is_masqueraded() -> None:
    """The server is told our listener, not the caller's."""
    talk = Playbook(CallPlugin, CallConfig(b""), listeners=["203.0.113.7:50001"])
    talk.client(CALL)
    assert talk.to_server == b"CALL 203.0.113.7 50001\n"
    assert talk.expectations == [Expectation.usual(Side.SERVER, endpoint("10.77.1.2:4000"))]
    assert [each.message for each in talk.records] == [
        "CALL 10.77.1.2:4000 -> 203.0.113.7:50001 for 10.77.2.2, once, 60 s"
    ]


def test_without_settings_the_defaults_hold() -> None:
    """Those of the plugin's `config_type`; and a plugin may speak first."""
    talk = Playbook(CallPlugin)
    assert talk.config == CallConfig()
    assert talk.to_server == talk.received(Side.SERVER) == b"hello\n"


def test_a_plugin_without_settings() -> None:
    """Gets None."""

    class Plain(StreamPlugin[None]):
        name = "plain"

    assert Playbook(Plain).config is None


def test_listeners_are_given_in_order_until_they_run_out() -> None:
    """Then there is no port left; by default there are ports from 20001 up, at our end of the origin's leg."""
    talk = Playbook(CallPlugin, CallConfig(b""), listeners=["203.0.113.7:50001", "203.0.113.7:50002"])
    talk.client(CALL * 3)
    assert talk.to_server == b"CALL 203.0.113.7 50001\nCALL 203.0.113.7 50002\n"
    assert talk.to_client == b"BUSY no_port\n"
    assert list(talk.listeners.values()) == [{Side.SERVER: endpoint(f"203.0.113.7:5000{number}")} for number in (1, 2)]
    talk = Playbook(CallPlugin, CallConfig(b""))
    talk.client(CALL * 2)
    assert talk.to_server == b"CALL 10.77.2.1 20001\nCALL 10.77.2.1 20002\n"


def test_limits_are_those_of_the_core() -> None:
    """One lease at most: the second is refused."""
    talk = Playbook(CallPlugin, CallConfig(b""), limits=LeaseLimits(per_session=1))
    talk.client(CALL * 2)
    assert talk.to_client == b"BUSY too_many_leases\n"
    assert len(talk.leases) == 1


def test_a_held_binding_waits_for_its_answer() -> None:
    """Until then no byte of the rewritten line exists; the other side goes on."""
    talk = Playbook(CallPlugin, CallConfig(b""), hold=True)
    talk.client(CALL + b"later\n")
    talk.server(b"meanwhile\n")
    assert (talk.to_server, talk.to_client) == (b"", b"meanwhile\n")
    talk.answer()
    assert talk.to_server == b"CALL 10.77.2.1 20001\nlater\n"


def test_a_binding_that_fails() -> None:
    """The plugin answers in its protocol, no listener is used up, and no lease is left."""
    talk = Playbook(CallPlugin, CallConfig(b""), hold=True, listeners=["203.0.113.7:50001"])
    talk.client(CALL * 2)
    talk.answer(BindError("no descriptor left", reason="no_descriptor"))
    assert talk.to_client == b"BUSY no_descriptor\n"
    talk.answer()
    assert talk.to_server == b"CALL 203.0.113.7 50001\n"
    assert len(talk.leases) == 1


def test_an_answer_after_the_end_is_ignored() -> None:
    """As a host's answer that comes too late."""
    talk = Playbook(CallPlugin, CallConfig(b""), hold=True)
    talk.client(CALL)
    talk.lose(Side.SERVER)
    talk.answer()
    assert talk.to_server == b""
    assert not talk.leases


def test_a_refused_target_ends_a_plugin_that_does_not_catch_it() -> None:
    """The rules of the core hold in a playbook."""
    talk = Playbook(CallPlugin)
    talk.client(b"CALL 10.77.9.9 4000\n")
    assert talk.closed
    assert talk.reasons == ["third_party_address"] * 2  # refused, and ended because of it
    talk.client(b"more\n")
    talk.server(b"more\n")
    assert talk.to_client == b""


def test_start_tls() -> None:
    """The handshake is complete at once, or when the test says so, or it fails."""
    talk = Playbook(CallPlugin, CallConfig(b""))
    talk.client(b"TLS\n")
    assert (talk.to_client, talk.to_server) == (b"OK\n", b"(secure)\n")
    talk = Playbook(CallPlugin, CallConfig(b""), hold=True)
    talk.client(b"TLS\n")
    assert talk.to_server == b""
    talk.answer(TlsError("no certificate"))
    assert talk.error is not None
    assert talk.reasons == ["tls_failed"]


def test_bytes_before_the_handshake() -> None:
    """Are refused, in memory as in the relay."""
    talk = Playbook(CallPlugin)
    talk.client(b"TLS\nCALL 10.77.1.2 4000\n")
    assert talk.reasons == ["bytes_before_tls"]
    assert not talk.expectations


def test_splice_carries_everything_both_ways() -> None:
    """Whatever was not read, and all that comes; the flow is over when both sides have ended."""
    talk = Playbook(CallPlugin, CallConfig(b""))
    talk.server(b"half")
    talk.client(b"RAW\nrest")
    talk.client(b"\0more")
    talk.server(b" a line")
    assert (talk.to_server, talk.to_client) == (b"rest\0more", b"half a line")
    talk.end(Side.CLIENT)
    talk.server(b"!")
    assert talk.to_client == b"half a line!"
    assert talk.ended == {Side.SERVER}
    assert not talk.closed
    talk.end(Side.SERVER)
    assert talk.closed
    talk.client(b"too late")
    assert talk.to_server == b"rest\0more"


def test_an_opaque_side_and_one_that_is_read_end_together() -> None:
    """Here the server's side is opaque from the start."""

    class Half(StreamPlugin[None]):
        name = "half"

        async def from_client(self, stream: Stream) -> None:
            async for line in stream.lines(100):
                stream.send(line)

    talk = Playbook(Half)
    talk.server(b"\0\xff")
    talk.end(Side.SERVER)
    talk.client(b"x\n")
    talk.end(Side.CLIENT)
    assert (talk.to_client, talk.to_server) == (b"\0\xff", b"x\n")
    assert talk.closed
    assert talk.error is None


def test_close() -> None:
    """Ends the flow, and its leases."""
    talk = Playbook(CallPlugin)
    talk.client(CALL + b"BYE\n")
    assert talk.closed
    assert not talk.leases
    assert talk.reasons == ["rewrite"]


def test_commands_are_carried_out_in_order() -> None:
    """What a plugin says while a binding is asked for stands before what it says afterwards, also at the start."""

    class Eager(StreamPlugin[None]):
        name = "eager"

        async def from_client(self, stream: Stream) -> None:
            await self.flow.expect(Side.CLIENT, endpoint("10.77.2.2:5000"))
            stream.send(b"second")

        async def from_server(self, stream: Stream) -> None:
            stream.reply(b"first ")
            await stream.read_some()

    assert Playbook(Eager).to_server == b"first second"


def test_a_released_binding_is_no_lease_any_more() -> None:
    """Its listener is remembered."""

    class Fickle(StreamPlugin[None]):
        name = "fickle"

        async def from_client(self, stream: Stream) -> None:
            (await self.flow.expect(Side.CLIENT, endpoint("10.77.2.2:5000"))).release()
            await stream.read_some()

    talk = Playbook(Fickle)
    assert not talk.leases
    assert list(talk.listeners.values()) == [{Side.CLIENT: endpoint("10.77.1.1:20001")}]


@pytest.mark.parametrize("text", ["10.0.0.1:21", "[2001:db8::1]:21"])
def test_endpoints_are_written_as_one_writes_them(text: str) -> None:
    """With brackets around IPv6."""
    assert str(endpoint(text)) == text


def test_time_goes_by_when_it_is_told_to() -> None:
    """Leases expire, and a flow ends whose plugin has set a deadline; nothing of it is early."""
    talk = Playbook(SharingPlugin)
    talk.client(b"own 5000\nlate\n")
    talk.wait(1.5)
    assert not talk.closed
    talk.wait(0.5)
    assert talk.reasons == ["rewrite", "too_slow"]
    talk.wait(100)
    talk = Playbook(SharingPlugin)
    talk.client(b"own 5000\n")
    talk.wait(9.5)
    assert len(talk.leases) == 1
    talk.wait(0.5)
    assert not talk.leases
    assert not talk.closed


def test_the_server_may_have_a_name() -> None:
    """That which the operator calls it; the client's leg has none."""
    talk = Playbook(SharingPlugin, upstream_name="a.example")
    assert [talk.legs[side].name for side in Side] == [None, "a.example"]
    assert Playbook(SharingPlugin).legs[Side.SERVER].name is None


def test_two_playbooks_may_share() -> None:
    """As two sessions of one route do; neither gets a listener that is the other's."""
    first = Playbook(SharingPlugin)
    first.client(b"share 5000\n")
    second = Playbook(SharingPlugin, client="10.77.1.3:40000", shared=first.shared)
    second.client(b"share 5000\nshare 5001\nown 5000\n")
    assert first.to_client == b"10.77.1.1:20001\n"
    assert second.to_client == b"10.77.1.1:20001\n10.77.1.1:20002\n10.77.1.1:20003\n"
    assert not Playbook(SharingPlugin).shared


def test_what_a_playbook_shares_has_a_limit() -> None:
    """That of its limits; what is asked for may also be refused by the test."""
    talk = Playbook(SharingPlugin, limits=LeaseLimits(shared=1))
    talk.client(b"share 5000\nshare 5001\nshare 5000\n")
    assert talk.to_client == b"10.77.1.1:20001\ntoo_many_leases\n10.77.1.1:20001\n"
    talk = Playbook(SharingPlugin, hold=True)
    talk.client(b"share 5000\n")
    talk.answer(BindError("none left"))
    assert talk.to_client == b"no_port\n"

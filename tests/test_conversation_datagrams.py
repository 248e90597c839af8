"""Conversations of datagrams: each line is one, however short; and the playbook that plays them."""

from __future__ import annotations

import pytest

from alg import explain
from alg.conversation import parse
from alg.core.errors import ConfigError
from alg.core.model import Side
from alg.player import Player, differences
from alg.plugin import DatagramPlugin, Datagrams
from alg.registry import Registry
from alg.testing import Playbook

HEAD = "protocol: doubling\ntransport: udp\n"


class DoublingPlugin(DatagramPlugin[None]):
    """What the client says goes on twice; what the server says passes unread."""

    name = "doubling"
    idle = 10.0

    async def from_client(self, datagrams: Datagrams) -> None:
        async for datagram in datagrams:
            datagrams.send(datagram)
            datagrams.send(datagram)


def test_a_line_is_a_datagram() -> None:
    """Nothing follows its text, and an empty one is one too."""
    (first, last) = parse(HEAD + "C> a\nC> \nS< a\nS< \\x00\\n\nS> b\\c\nC< b\n").steps
    assert (first.said, first.data) == ((b"a", b""), b"a")
    assert first.came == {Side.SERVER: (b"a", b"\0\n")}
    assert (last.pieces, last.came) == ((b"b",), {Side.CLIENT: (b"b",)})


def test_how_bytes_are_cut_counts() -> None:
    """Two datagrams are not one with the same bytes."""
    conversation = parse(HEAD + "C> a\nS< aa\n")
    (step,) = conversation.steps
    outcome = Player(Playbook(DoublingPlugin)).play(step, step.pieces)
    assert outcome != step
    assert differences(step, outcome) == ["the server should get 1 datagrams, not 2"]
    (step,) = parse(HEAD + "C> a\nS< a\nS< a\n").steps
    assert Player(Playbook(DoublingPlugin)).play(step, step.pieces) == step


def test_glued_is_said_in_a_row() -> None:
    """Each datagram stays whole."""
    conversation = parse(HEAD + "C> a\nS< a\nS< a\nC> b\nS< b\nS< b\n")
    (step,) = conversation.glued()
    assert step.said == (b"a", b"b")
    assert Player(Playbook(DoublingPlugin)).play(step, step.pieces) == step
    assert conversation.expects


@pytest.mark.parametrize("text", [HEAD + "C> a\nC.\n", "protocol: x\ntransport: sctp\nC> a\n"])
def test_what_there_is_not(text: str) -> None:
    """An end of a direction, and other transports."""
    with pytest.raises(ConfigError):
        parse(text)


def test_silence_ends_a_flow() -> None:
    """After the plugin's time, from the last datagram of either side."""
    talk = Playbook(DoublingPlugin)
    talk.wait(9)
    talk.server(b"x")
    talk.wait(9)
    assert (talk.closed, talk.datagrams[Side.CLIENT]) == (False, [b"x"])
    talk.wait(1)
    talk.client(b"y")
    assert (talk.closed, talk.error, talk.datagrams[Side.SERVER]) == (True, None, [])


def test_explain_shows_datagrams() -> None:
    """One line each, with what is no text in it."""
    talk = parse("protocol: tftp\ntransport: udp\nC> \\x00\\x01a\\x00octet\\x00\nS< \\x00\\x01a\\x00octet\\x00\n")
    lines = list(explain.conversation(talk, Registry()))
    assert lines == [
        ("client: \\x00\\x01a\\x00octet\\x00", True),
        ("  server receives: \\x00\\x01a\\x00octet\\x00", True),
    ]

"""Conversations about what outlasts a moment: `~`, listeners that are shared, and the head `upstream_name`."""

from __future__ import annotations

from typing import Any

import pytest

from alg import explain
from alg.conversation import Step, parse
from alg.player import Player, differences
from alg.plugin import BindError, ConfigError, Endpoint, Side, Stream, StreamPlugin
from alg.registry import Registry
from alg.testing import Playbook

TEXT = r"""# Listeners are shared, and time goes by.
protocol: sharing
upstream_name: a.example
listeners: 10.77.1.1:20001 10.77.1.1:20002
C> name\n
C< a.example\n
C> share 5000\n
+ client 10.77.1.1:20001 -> 10.77.2.2:5000 b.example shared
C< 10.77.1.1:20001\n
C> share 5000\n
C< 10.77.1.1:20001\n
~ 9.5
C> own 5000\n
+ client 10.77.1.1:20002 -> 10.77.2.2:5000
C< 10.77.1.1:20002\n
~ 0.5
- client 10.77.1.1:20001
~ 9.5
- client 10.77.1.1:20002
C> share 5000\n
! no_port
C< no_port\n
C> late\n
~ 2
.
! too_slow
"""


class SharingPlugin(StreamPlugin[None]):
    """`share PORT`, `own PORT`: the client is told a listener; `late`: it has two seconds left; `name`: of the server."""

    name = "sharing"

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            await self._treat(stream, line.decode().split())

    async def _treat(self, stream: Stream, words: list[str]) -> None:
        if words[0] == "late":
            self.flow.deadline(2)
        elif words[0] == "name":
            stream.reply(f"{self.flow.server.name}\n".encode())
        else:
            target = Endpoint(self.flow.server.peer.address, int(words[1]))
            shared = words[0] == "share"
            name = "b.example" if shared else None
            try:
                binding = await self.flow.expect(Side.CLIENT, target, lifetime=10, shared=shared, name=name)
            except BindError as error:
                stream.reply(error.reason.encode() + b"\n")
            else:
                stream.reply(f"{binding.endpoint}\n".encode())

    async def from_server(self, stream: Stream) -> None:
        await stream.read_some()


def outcome(text: str, steps: tuple[Step, ...], size: int = 0) -> list[list[str]]:
    """The differences, step by step; `size` is that of the pieces that are said at once."""
    arguments: dict[str, Any] = parse(text).arguments()
    player = Player(Playbook(SharingPlugin, **arguments))
    told = []
    for step in steps:
        pieces = [step.data[at : at + size] for at in range(0, len(step.data), size)] if size else [step.data]
        told.append(differences(step, player.play(step, pieces)))
    return told


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_conversation_comes_out(size: int) -> None:
    """However its bytes are cut."""
    steps = parse(TEXT).steps
    assert [step.waits for step in steps if step.waits] == [9.5, 0.5, 9.5, 2.0]
    assert outcome(TEXT, steps, size) == [[]] * len(steps)


def test_glued_it_comes_out_too() -> None:
    """Nobody speaks across a time."""
    steps = parse(TEXT).glued()
    assert [bool(step.waits) for step in steps] == [False, True, False, True, True, False, True]
    assert outcome(TEXT, steps) == [[]] * len(steps)


def test_a_shared_listener_outlives_the_session_that_it_is_glued_to() -> None:
    """Another does not."""
    text = r"""protocol: sharing
C> share 5000\n
+ client 10.77.1.1:20001 -> 10.77.2.2:5000 b.example shared
C< 10.77.1.1:20001\n
C> own 5000\n
+ client 10.77.1.1:20002 -> 10.77.2.2:5000
C< 10.77.1.1:20002\n
C> own x\n
! plugin_failed
.
"""
    (step,) = parse(text).glued()
    assert step.listens == ("client 10.77.1.1:20001 -> 10.77.2.2:5000 b.example shared",)
    assert outcome(text, (step,)) == [[]]


@pytest.mark.parametrize("seconds", ["", "soon", "0", "-1", "inf", "nan"])
def test_no_time(seconds: str) -> None:
    """The message names the line."""
    with pytest.raises(ConfigError, match=r"talk:2: .* is no number of seconds"):
        parse(f"protocol: sharing\n~ {seconds}\n", "talk")


def test_time_alone_expects_nothing() -> None:
    """Then `alg explain` compares nothing."""
    assert not parse("protocol: sharing\nC> x\n~ 5\n").expects
    assert parse("protocol: sharing\nC> x\n~ 5\n.\n").expects


def test_explain_tells_the_time() -> None:
    """Between what is said."""
    talk = parse("protocol: tests.test_conversation_time:SharingPlugin\nC> late\\n\n~ 2\n.\n! too_slow\n")
    lines = [line for line, _ in explain.conversation(talk, Registry())]
    assert lines[1:] == ["2 s go by", "  the session ends: the client took more than 2 s"]

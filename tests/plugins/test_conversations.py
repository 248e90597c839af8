"""Every conversation in `fixtures/`, however the bytes are cut: whole, byte by byte, at every split point, and glued."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from alg_ftp import FtpPlugin
from alg_http import HttpPlugin
from alg_http.config import Forwarded
from alg_tftp import TftpPlugin

from alg.conversation import Conversation, Step, load
from alg.core.plugin import Plugin
from alg.player import Player
from alg.plugin_config import plugin_config
from alg.testing import Playbook

FIXTURES = Path(__file__).parents[2] / "fixtures"
PLUGINS: dict[str, type[Plugin[object]]] = {"ftp": FtpPlugin, "http": HttpPlugin, "tftp": TftpPlugin}
CONVERSATIONS = [load(path) for path in sorted(FIXTURES.glob("*/*.txt"))]
CONFIGS = {each.path: plugin_config(PLUGINS[each.protocol], each.config) for each in CONVERSATIONS}

STREAMS = [each for each in CONVERSATIONS if not each.is_datagrams]


def name_of(conversation: Conversation) -> str:
    """How its tests are called."""
    return f"{conversation.protocol}-{Path(conversation.path).stem}"


each_conversation = pytest.mark.parametrize("conversation", CONVERSATIONS, ids=map(name_of, CONVERSATIONS))
each_stream = pytest.mark.parametrize("conversation", STREAMS, ids=map(name_of, STREAMS))
"""Those whose bytes may come in any pieces; a datagram comes whole."""


def start(conversation: Conversation) -> Player:
    """Set the scene of a conversation."""
    plugin, config = PLUGINS[conversation.protocol], CONFIGS[conversation.path]
    return Player(Playbook(plugin, config, **conversation.arguments()))  # type: ignore[arg-type]


Cut = Callable[[bytes], Iterable[bytes]]


def outcome(conversation: Conversation, steps: Iterable[Step], cut: Cut | None = None) -> list[Step]:
    """Play the steps, what is said whole or cut into pieces, and return what came of each."""
    player = start(conversation)
    return [player.play(step, cut(step.data) if cut else step.pieces) for step in steps]


def bytewise(data: bytes) -> Iterable[bytes]:
    """One piece for each byte."""
    return (data[at : at + 1] for at in range(len(data)))


def in_two(at: int) -> Callable[[bytes], Iterable[bytes]]:
    """Two pieces, the first of that length."""
    return lambda data: (data[:at], data[at:])


def in_random_pieces(chance: random.Random) -> Callable[[bytes], Iterator[bytes]]:
    """Pieces of 1 to 40 bytes."""

    def cut(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = chance.randint(1, 40)
            yield data[at : at + size]
            at += size

    return cut


@each_conversation
def test_whole(conversation: Conversation) -> None:
    """What comes of a conversation is what the file says."""
    assert list(conversation.steps) == outcome(conversation, conversation.steps)


@each_stream
def test_bytewise(conversation: Conversation) -> None:
    """The same comes of it when every byte arrives alone."""
    assert list(conversation.steps) == outcome(conversation, conversation.steps, bytewise)


@each_stream
def test_every_split_point(conversation: Conversation) -> None:
    """The same comes of it wherever what a side says is cut in two."""
    for at in range(1, max(len(step.data) for step in conversation.steps)):
        assert list(conversation.steps) == outcome(conversation, conversation.steps, in_two(at))


@each_conversation
def test_glued(conversation: Conversation) -> None:
    """The same comes of it when all that a side says in a row arrives in one piece."""
    steps = conversation.glued()
    assert list(steps) == outcome(conversation, steps)


@each_stream
@pytest.mark.parametrize("seed", range(3))
def test_glued_in_random_pieces(conversation: Conversation, seed: int) -> None:
    """The same comes of it when that is cut anew, without regard to lines."""
    steps = conversation.glued()
    assert list(steps) == outcome(conversation, steps, in_random_pieces(random.Random(seed)))


@each_conversation
def test_no_line_of_ours_names_an_inside_address(conversation: Conversation) -> None:
    """T72: a line that we wrote ourselves never tells a side the address of the other one's peer."""
    if getattr(CONFIGS[conversation.path], "forwarded", None) is Forwarded.SET:
        return  # the operator wants the server to know
    player = start(conversation)
    said = {line for step in conversation.steps for line in step.data.split(b"\n")}
    for step in conversation.steps:
        for side, data in player.play(step, step.pieces).gets.items():
            legs = player.playbook.legs
            if side.other not in legs:
                continue  # no server yet
            hidden = str(legs[side.other].peer.address).encode()
            for line in set(data.split(b"\n")) - said:
                assert hidden not in line
                assert hidden.replace(b".", b",") not in line


def test_each_has_a_title() -> None:
    """The first line of a conversation says which behaviour it shows."""
    for conversation in CONVERSATIONS:
        first, _, _ = Path(conversation.path).read_text("utf-8").partition("\n")
        assert first == f"# {conversation.title}"
        assert conversation.title.endswith(".")

"""What a plugin would make of a conversation, in words: the lines of `alg explain`. Without a network."""

from __future__ import annotations

from collections.abc import Iterator

from alg.conversation import Conversation, Step
from alg.player import Player, differences
from alg.plugin_config import plugin_config
from alg.registry import Registry
from alg.testing import Playbook


def conversation(talk: Conversation, registry: Registry) -> Iterator[tuple[str, bool]]:
    """Yield the lines of `alg explain`: what is said, what goes on, what is opened and why.

    With each line comes whether it is what the file expects.
    """
    plugin = registry.find(talk.protocol)
    playbook = Playbook(plugin, plugin_config(plugin, talk.config), **talk.arguments())  # type: ignore[arg-type]
    player = Player(playbook)
    if talk.title:
        yield f"# {talk.title}", True
    records = 0
    for step in talk.steps:
        for line in _said(step):
            yield line, True
        outcome = player.play(step, step.pieces)
        for record in playbook.records[records:]:
            yield f"  {record.reason}: {record.message}", True
        records = len(playbook.records)
        for line in _outcome(outcome):
            yield line, True
        if playbook.closed:
            yield f"  the session ends: {playbook.error or 'all is said'}", True
        if talk.expects:
            for difference in differences(step, outcome):
                yield f"  {talk.path}:{step.number}: {difference}", False
        if playbook.closed:
            return


def _outcome(outcome: Step) -> Iterator[str]:
    for side in (outcome.side.other, outcome.side):
        for line in outcome.came.get(side, ()) or outcome.gets[side].splitlines(keepends=True):
            yield f"  {side.value} {'is answered' if side is outcome.side else 'receives'}: {_show(line)}"
    for stopped in outcome.stops:
        yield f"  stops to listen: {stopped}"


def _said(step: Step) -> Iterator[str]:
    for line in step.said or step.data.splitlines(keepends=True):
        yield f"{step.side.value}: {_show(line)}"
    if step.waits:
        yield f"{step.waits:g} s go by"
    if step.ends:
        yield f"{step.side.value} ends"


def _show(line: bytes) -> str:
    text = line.decode("latin-1")
    text = text.removesuffix("\r\n") if text.endswith("\r\n") else text
    return text.encode("unicode_escape").decode("ascii")

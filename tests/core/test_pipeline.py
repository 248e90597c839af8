"""The pipeline of commands: each reply finds its command, and replies of ours keep their turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.errors import ProtocolError
from alg.core.pipeline import Pipeline


def test_a_reply_belongs_to_the_oldest_command() -> None:
    """In the order in which they were forwarded; then none is owed."""
    pipeline: Pipeline[str] = Pipeline(lambda _reply: None, limit=5)
    assert pipeline.awaited is None
    pipeline.forwarded("A")
    pipeline.forwarded("B")
    assert pipeline.awaited == "A"
    pipeline.answered()
    assert pipeline.awaited == "B"
    pipeline.answered()
    assert pipeline.awaited is None


@pytest.mark.parametrize("local", [False, True])
def test_at_most_so_many_wait(local: bool) -> None:
    """At the limit one more command is refused, whether it was forwarded or answered here."""
    pipeline: Pipeline[str] = Pipeline(lambda _reply: None, limit=2)
    pipeline.forwarded("A")
    pipeline.answered_here("B", b"b")
    with pytest.raises(ProtocolError) as refusal:
        pipeline.answered_here("C", b"c") if local else pipeline.forwarded("C")
    assert refusal.value.reason == "too_many_commands"
    assert len(pipeline) == 2


@given(st.lists(st.sampled_from(["forward", "local", "server answers"]), max_size=60))
def test_replies_leave_in_the_order_of_their_commands(actions: list[str]) -> None:
    """Against a model: a list of all commands, and how far their replies have got."""
    sent: list[int] = []
    pipeline: Pipeline[int] = Pipeline(lambda reply: sent.append(int(reply)), limit=1000)
    commands: list[bool] = []  # whether each was answered here
    answered: set[int] = set()
    for action in actions:
        open_forwarded = [n for n, local in enumerate(commands) if not local and n not in answered]
        if action == "forward":
            pipeline.forwarded(len(commands))
            commands.append(False)
        elif action == "local":
            pipeline.answered_here(len(commands), b"%d" % len(commands))
            commands.append(True)
        elif open_forwarded:
            assert pipeline.awaited == open_forwarded[0]
            sent.append(open_forwarded[0])
            answered.add(open_forwarded[0])
            pipeline.answered()
        blocked = next((n for n, local in enumerate(commands) if not local and n not in answered), len(commands))
        assert sent == list(range(blocked))
        assert len(pipeline) == len(commands) - blocked
        assert pipeline.awaited == (blocked if blocked < len(commands) else None)


def test_replies_behind_a_skipped_command_leave() -> None:
    """Who owes a reply is given up, up to the first command that is wanted; what waited behind leaves, in order."""
    sent: list[bytes] = []
    pipeline: Pipeline[str] = Pipeline(sent.append, limit=9)
    for name in ("A", "B"):
        pipeline.forwarded(name)
        pipeline.answered_here("local", name.encode())
    pipeline.forwarded("wanted")
    pipeline.answered_here("local", b"behind")
    pipeline.forwarded("wanted")
    assert pipeline.skip_to(lambda command: command == "wanted")
    assert sent == [b"A", b"B"]
    assert pipeline.awaited == "wanted"
    pipeline.answered()
    assert sent == [b"A", b"B", b"behind"]
    assert len(pipeline) == 1


def test_nothing_is_skipped_for_a_command_that_does_not_wait() -> None:
    """Neither one that nobody sent, nor one that was answered here, makes a server's debts void."""
    sent: list[bytes] = []
    pipeline: Pipeline[str] = Pipeline(sent.append, limit=9)
    assert not pipeline.skip_to(lambda _: True)
    pipeline.forwarded("A")
    pipeline.answered_here("wanted", b"ours")
    assert not pipeline.skip_to(lambda command: command == "wanted")
    assert (sent, len(pipeline), pipeline.awaited) == ([], 2, "A")


def test_the_oldest_command_may_be_the_wanted_one() -> None:
    """Then nothing is given up."""
    pipeline: Pipeline[str] = Pipeline(lambda _reply: None, limit=9)
    pipeline.forwarded("A")
    assert pipeline.skip_to(lambda command: command == "A")
    assert len(pipeline) == 1

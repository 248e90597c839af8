"""Conversations about legs: the heads `tls`, `implicit`, `name`, `upstream`, and the marks `T`, `@` and `=`."""

from __future__ import annotations

from typing import Any

import pytest

from alg.conversation import FORMAT, Mark, Step, parse
from alg.player import Player, differences
from alg.plugin import ConfigError, Side
from alg.testing import Playbook, TlsPolicy
from tests.test_testing_legs import LegsPlugin

TEXT = r"""# A server is chosen, TLS begins and ends, pairs are opened and dialled.
protocol: legs
client: 10.77.1.2:40000 - 10.77.1.1:21
server: none
upstream: a.example:21 10.77.2.2:21
upstream: b.example:21 [2001:db8::2]:21
tls: require client
implicit: client
name: gate.example
C> connect c.example\n
@ c.example:21
C< upstream_refused\n
C> connect a.example\n
@ a.example:21
C< ok\n
C> off client\n
T client off
C< ok\n
C> on server\n
T server
C< ok\n
C> both\n
+ client 10.77.1.1:20001 <-> server 10.77.2.1:20002
C< ok\n
C> pair\n
+ client 10.77.1.2:6000 <-> server 10.77.2.2:5000
C< ok\n
C> dial\n
= client 10.77.1.2:6000 <-> server 10.77.2.2:5000
C< ok\n
C.
S.
.
"""


def playbook(text: str) -> Playbook:
    """The scene of a conversation."""
    arguments: dict[str, Any] = parse(text).arguments()
    return Playbook(LegsPlugin, **{"server_local": "10.77.2.1:50000", **arguments})


def outcome(text: str, steps: tuple[Step, ...], size: int = 0) -> list[list[str]]:
    """The differences, step by step; `size` is that of the pieces that are said at once."""
    player = Player(playbook(text))
    told = []
    for step in steps:
        pieces = [step.data[at : at + size] for at in range(0, len(step.data), size)] if size else [step.data]
        told.append(differences(step, player.play(step, pieces)))
    return told


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_conversation_about_legs_comes_out(size: int) -> None:
    """However its bytes are cut."""
    steps = parse(TEXT).steps
    assert outcome(TEXT, steps, size) == [[]] * len(steps)


def test_glued_it_comes_out_too() -> None:
    """What is said in a row is said in one breath, but nobody speaks across a handshake."""
    steps = parse(TEXT).glued()
    assert len(steps) < len(parse(TEXT).steps)
    assert all(step.changes[-1].startswith("T") for step in steps if step.shakes_hands)
    assert outcome(TEXT, steps) == [[]] * len(steps)


def test_the_head_is_the_scene() -> None:
    """What is not said is as in a playbook."""
    conversation = parse(TEXT)
    assert conversation.upstreams == {"a.example:21": "10.77.2.2:21", "b.example:21": "[2001:db8::2]:21"}
    assert conversation.arguments() == {
        "client": "10.77.1.2:40000",
        "client_local": "10.77.1.1:21",
        "server": None,
        "client_tls": TlsPolicy.REQUIRE,
        "server_tls": TlsPolicy.CLIENT,
        "implicit_tls": [Side.CLIENT],
        "server_name": "gate.example",
        "upstream_name": None,
        "upstreams": conversation.upstreams,
    }
    assert conversation.endpoints() == ["10.77.1.2:40000", "10.77.1.1:21", "10.77.2.2:21", "[2001:db8::2]:21"]
    assert conversation.expects
    talk = playbook(TEXT)
    assert talk.legs[Side.CLIENT].tls is not None
    assert Side.SERVER not in talk.legs


def test_our_end_toward_a_server_that_is_chosen() -> None:
    """There is one before there is a server."""
    conversation = parse("protocol: x\nserver: none - 10.77.2.9:50000\nlisteners: 203.0.113.7:1\n")
    assert conversation.arguments()["server_local"] == "10.77.2.9:50000"
    assert conversation.endpoints() == ["203.0.113.7:1", "10.77.2.9:50000"]
    assert not conversation.expects


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("tls: never", "`tls:` names two policies"),
        ("tls: never client require", "`tls:` names two policies"),
        ("tls: never sometimes", "'sometimes' is not a valid TlsPolicy"),
        ("implicit: upstream", "'upstream' is not a valid Side"),
        ("upstream: a.example:21", "'' is no endpoint"),
        ("client: none", "'none' is no endpoint"),
        ("listeners: none", "'none' is no endpoint"),
        ("config: a =", "Invalid value"),
    ],
)
def test_a_head_that_means_nothing_is_refused(head: str, message: str) -> None:
    """In words, with the file."""
    with pytest.raises(ConfigError) as refusal:
        parse(f"protocol: x\n{head}\n", "here.txt")
    assert str(refusal.value).startswith("here.txt: ")
    assert message in str(refusal.value)


def test_differences_are_told() -> None:
    """Each kind in a line of its own."""
    expected = Step(1, Side.CLIENT, b"", gets={Side.CLIENT: b"x"}, listens=("a",), stops=("b",), changes=("T client",))
    came = Step(1, Side.CLIENT, b"", records=("r",), closed=True)
    assert differences(expected, came) == [
        "the client should get b'x'",
        "opens should be a, not none",
        "closes should be b, not none",
        "changes of the legs should be T client, not none",
        "records should be none, not r",
        "the session should go on",
    ]
    assert differences(came, Step(1, Side.CLIENT, b""))[-1] == "the session should end"


def test_a_listener_that_closes_while_the_session_goes_on() -> None:
    """A pair that was dialled has not closed: it has become a flow."""
    player = Player(playbook(TEXT.replace("server: none", "server: 10.77.2.2:21")))
    step = Step(1, Side.CLIENT, b"pair\n")
    assert player.play(step, [b"pair\n"]).listens == ("client 10.77.1.2:6000 <-> server 10.77.2.2:5000",)
    player.playbook.session.release(1)
    assert player.play(step, [b""]).stops == ("client 10.77.1.2:6000 <-> server 10.77.2.2:5000",)


def test_the_format_explains_each_mark() -> None:
    """And each head."""
    first_words = {line.split()[0] for line in FORMAT.splitlines() if line.strip()}
    second = {line.split()[2] for line in FORMAT.splitlines() if line.startswith(("C> ", "C< "))} | {"S."}
    assert {mark.value for mark in Mark} <= first_words | second

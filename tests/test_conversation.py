"""The format of conversations: what each line means, and what is said about a line that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from alg_ftp import FtpPlugin

from alg.conversation import Step, load, parse, unescape
from alg.player import Player
from alg.plugin import ConfigError, Side
from alg.testing import Playbook

TEXT = """# A title.
protocol: ftp
client: 10.77.1.9:40000 - 10.77.1.1:2121
server: [2001:db8::1]:21
listeners: 203.0.113.7:1 203.0.113.7:2
config: max_user = 5
config: users = ["ann"]

# Nothing.
C> USER x
C> PASS\\c
C.
S< USER x
! one
! two
+ client A -> B
- client A
.
S> 220 hi
"""


def test_every_kind_of_line() -> None:
    """The head gives the scene, the rest the steps."""
    conversation = parse(TEXT)
    assert conversation.title == "A title."
    assert conversation.protocol == "ftp"
    assert conversation.config == {"max_user": 5, "users": ["ann"]}
    assert conversation.arguments() == {
        "client": "10.77.1.9:40000",
        "client_local": "10.77.1.1:2121",
        "server": "[2001:db8::1]:21",
        "listeners": ["203.0.113.7:1", "203.0.113.7:2"],
        "implicit_tls": [],
        "server_name": None,
        "upstream_name": None,
        "upstreams": {},
    }
    first, second = conversation.steps
    assert first == Step(
        number=10,
        side=Side.CLIENT,
        data=b"USER x\r\nPASS",
        ends=True,
        gets={Side.CLIENT: b"", Side.SERVER: b"USER x\r\n"},
        listens=("client A -> B",),
        stops=("client A",),
        records=("one", "two"),
        closed=True,
    )
    assert (second.number, second.side, second.data) == (19, Side.SERVER, b"220 hi\r\n")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        *(("NOOP", b"NOOP\r\n"), ("", b"\r\n"), (r"NOOP\n", b"NOOP\n"), (r"NOOP\r", b"NOOP\r"), (r"NOOP\c", b"NOOP")),
        *((r"a\nb", b"a\nb\r\n"), (r"a\\n", b"a\\n\r\n"), (r"\xff\xF4\t", b"\xff\xf4\t\r\n"), ("é", b"\xc3\xa9\r\n")),
        *((r"\q \x1", b"\\q \\x1\r\n"), ("\x85\u2028", b"\xc2\x85\xe2\x80\xa8\r\n")),
    ],
)
def test_escapes(text: str, data: bytes) -> None:
    """CR LF follows unless the text ends in its own line end or in `\\c`."""
    assert unescape(text) == data


def test_a_line_ends_in_lf_only() -> None:
    """Other separators of Unicode are part of the text."""
    assert parse("protocol: ftp\nC> a\x85b\u2028c\n").steps[0].data == "a\x85b\u2028c\r\n".encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "protocol: ftp\nX> NOOP\n",
            "here.txt:2: a line begins with one of C> S> C. S. ~ C< S< + - = T @ ! ., not 'X>'",
        ),
        ("protocol: ftp\nC< NOOP\n", "here.txt:2: nobody has said anything yet"),
        ("protocol: ftp\nC> NOOP\nclient: x\n", "here.txt:3: a line begins with one of"),
        ("C> NOOP\n", "here.txt: a conversation begins with 'protocol: NAME'"),
    ],
)
def test_a_line_that_means_nothing_is_named(text: str, message: str) -> None:
    """File, line, and what would be right."""
    with pytest.raises(ConfigError) as refusal:
        parse(text, "here.txt")
    assert str(refusal.value).startswith(message)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or not UTF-8."""
    (tmp_path / "latin.txt").write_bytes(b"protocol: ftp\nC> caf\xe9\n")
    for name in ("missing.txt", "latin.txt"):
        with pytest.raises(ConfigError, match=f"{name}: cannot be read"):
            load(tmp_path / name)


def test_glued_steps_keep_what_came_of_them() -> None:
    """Steps of one side in a row become one, up to its end; a listener that opens and closes within it is not seen."""
    text = "protocol: x\nC> a\n+ client L1 -> T\n! r\nC> b\n+ client L2 -> T\n- client L1\nC.\nS> c\nC< c\n"
    first, second = parse(text).glued()
    assert (first.data, first.ends) == (b"a\r\nb\r\n", True)
    assert (first.listens, first.stops, first.records) == (("client L2 -> T",), (), ("r",))
    assert second.gets[Side.CLIENT] == b"c\r\n"
    text = "protocol: x\nC> a\n+ client L1 -> T\nC> b\n! r\n.\n"
    (only,) = parse(text).glued()
    assert (only.listens, only.closed) == ((), True)
    assert len(parse("protocol: x\nC.\nC> b\n").glued()) == 2


def test_a_player_says_nothing_after_the_end() -> None:
    """The rest of what a side says goes nowhere."""
    player = Player(Playbook(FtpPlugin))
    step = Step(1, Side.CLIENT, b"", ends=True)
    assert player.play(step, [b"GET / HTTP/1.1\r\n", b"NOOP\r\n"]).records == ("wrong_protocol",)
    assert player.playbook.to_server == b""

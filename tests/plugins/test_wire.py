"""FTP's lines: exactly what is a command and what a reply (T09, T29, T31, T93), and no input that makes it slow (T92)."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from alg_ftp import wire
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import ProtocolError


def reason(parse: object, *arguments: object) -> str:
    """The reason for which a text is refused."""
    with pytest.raises(ProtocolError) as refusal:
        parse(*arguments)  # type: ignore[operator]
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200
    return refusal.value.reason


# Lines.


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"NOOP\r\n", b"NOOP"),
        (b"NOOP\n", b"NOOP"),
        (b"\r\n", b""),
        (b"\n", b""),
        (b"a\x0b\x0c\x1c\x85\n", b"a\x0b\x0c\x1c\x85"),
    ],
)
def test_a_line_ends_in_lf_or_cr_lf(raw: bytes, line: bytes) -> None:
    """T29: and in nothing else."""
    assert wire.split_line_end(raw, "client") == line


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"a\rb\r\n", "bare_cr"),
        (b"a\r\r\n", "bare_cr"),
        (b"\ra\n", "bare_cr"),
        (b"a\0b\r\n", "nul_byte"),
        (b"a\r\0\n", "bare_cr"),
    ],
)
def test_what_servers_disagree_about_is_refused(raw: bytes, why: str) -> None:
    """T28, T29: a bare CR, a NUL."""
    assert reason(wire.split_line_end, raw, "client") == why


# Commands.


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        *((b"NOOP", "NOOP", b""), (b"noop", "NOOP", b""), (b"Retr a b ", "RETR", b"a b"), (b"USER  x", "USER", b"x")),
        *((b"XCUP", "XCUP", b""), (b"A", "A", b""), (b"ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP", b""), (b"X5", "X5", b"")),
        *((b"\xff\xf4\xff\xf2ABOR", "ABOR", b""), (b"\xff\xf2ABOR", "ABOR", b""), (b"\xff\xf4STAT x", "STAT", b"x")),
        *(
            (b"RETR \xff\xf4", "RETR", b"\xff\xf4"),
            (b"STOR caf\xe9", "STOR", b"caf\xe9"),
            (b"STOR a\t", "STOR", b"a\t"),
        ),
        *((b"GETX a", "GETX", b"a"), (b"get a", "GET", b"a"), (b"DELE a:b", "DELE", b"a:b")),
    ],
)
def test_a_command_is_a_verb_and_an_argument(line: bytes, verb: str, argument: bytes) -> None:
    """The line itself is kept as it is."""
    assert wire.parse_command(line) == wire.Command(verb, argument, line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        *((b" NOOP", "bad_command"), (b"NO-OP", "bad_command"), (b"5NOOP", "bad_command"), (b"NOOP\tx", "bad_command")),
        *(
            (b"ABCDEFGHIJKLMNOPQ", "bad_command"),
            (b"", "bad_command"),
            (b"caf\xe9 x", "bad_command"),
            (b"\x16\x03", "bad_command"),
        ),
        *((b"PO\xff\xf1RT 1", "telnet_code"), (b"\xff\xf6NOOP", "telnet_code"), (b"\xff\xffNOOP", "telnet_code")),
        *((b"\xff\xf4\xff\xfbNOOP", "telnet_code"), (b"NOOP\xff", "telnet_code"), (b"\xff", "telnet_code")),
        *(
            (b"GET / HTTP/1.1", "wrong_protocol"),
            (b"POST / HTTP/1.1", "wrong_protocol"),
            (b"CONNECT a:1", "wrong_protocol"),
        ),
        *(
            (b"PRI * HTTP/2.0", "wrong_protocol"),
            (b"Host: x", "wrong_protocol"),
            (b"Content-Length:", "wrong_protocol"),
        ),
        *((b"REGISTER sip:x SIP/2.0", "wrong_protocol"), (b"EHLO x", "wrong_protocol"), (b"NICK x", "wrong_protocol")),
        *((b"SETUP rtsp://x", "wrong_protocol"), (b"\xff\xf4GET /", "wrong_protocol"), (b"GET", "wrong_protocol")),
    ],
)
def test_a_line_that_is_no_command_is_refused(line: bytes, why: str) -> None:
    """T09, T31: nothing is guessed, and nothing hides in telnet codes."""
    assert reason(wire.parse_command, line) == why


@given(st.binary(max_size=60).filter(lambda line: b"\n" not in line))
def test_a_verb_is_at_the_front_of_the_line_that_goes_on(line: bytes) -> None:
    """Whatever is taken for a command: the server sees the verb that we judged."""
    try:
        command = wire.parse_command(line)
    except ProtocolError:
        return
    seen = re.sub(rb"\A(?:\xff[\xf2\xf4])*", b"", command.line).split(b" ")[0]
    assert seen.upper() == command.verb.encode("ascii")
    assert command.verb.isalnum()


# Replies.


@pytest.mark.parametrize(
    ("line", "code", "single"),
    [
        *((b"220 ready", 220, True), (b"220-ready", 220, False), (b"220", 220, True), (b"220 ", 220, True)),
        *((b"100 x", 100, True), (b"599-", 599, False), (b"227 ", 227, True)),
    ],
)
def test_a_reply_begins_with_a_code(line: bytes, code: int, single: bool) -> None:
    """Three digits from 100 to 599, then a space, a hyphen or nothing."""
    assert wire.parse_reply(line) == (code, single)


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"22 x",
            b"2200 x",
            b"220x",
            b"220\t",
            b" 220 x",
            b"099 x",
            b"600 x",
            b"000 x",
            b"-220 x",
            b"+22 x",
            b"2.0 x",
        ),
        *("\uff12\uff12\uff10 x".encode(), "\u0662\u0662\u0660 x".encode(), b"SSH-2.0", b"220\n", b"\xff\xf4220 x"),
    ],
)
def test_a_line_without_a_code_is_no_reply(line: bytes) -> None:
    """T93: ASCII digits only."""
    assert reason(wire.parse_reply, line) == "bad_reply"


@pytest.mark.parametrize(
    ("line", "last"),
    [
        *(
            (b"220 end", True),
            (b"220", True),
            (b"220 ", True),
            (b"220-more", False),
            (b"2200", False),
            (b"221 x", False),
        ),
        *((b" 220 x", False), (b"", False), (b"22", False), (b"220\t", False)),
    ],
)
def test_the_last_line_has_the_same_code_and_a_space(line: bytes, last: bool) -> None:
    """RFC 959 section 4.2."""
    assert wire.is_last_line(line, 220) is last


# Time.

PATTERNS = {name: each for name, each in vars(wire).items() if isinstance(each, re.Pattern)}
USED = {
    "_TELNET_SIGNALS": "match",
    "_VERB": "fullmatch",
    "_OTHER_PROTOCOL": "match",
    "_SIX_NUMBERS": "fullmatch",
    "_NUMBERS_IN_TEXT": "finditer",
    "_EPRT": "fullmatch",
    "_EPSV_REPLY": "search",
}
SIZE = 50 * 1024
WORST = [
    *(
        part * (SIZE // len(part))
        for part in (b"1", b"1,", b"1 ", b"1, ", b"1 , ", b" ", b"(", b"(|||", b"A", b"A-", b"-")
    ),
    *(part * (SIZE // len(part)) for part in (b"\xff", b"\xff\xf4", b"GET", b"220-", b"2", b"a1", b"|1", b"|5|", b":")),
    *(
        b"1," * (SIZE // 2) + b"1 1",
        b"1," * (SIZE // 2) + b"x",
        b"1,1,1,1,1,1" + b" " * SIZE + b"1",
        b"1" + b" " * SIZE,
    ),
    *((b"1,1,1,1,1,1" + b" " * 100 + b"1") * 450, b"1 ,1 ,1 ,1 ,1 ," + b" " * SIZE, b"(|1|" + b"a" * SIZE),
    *(
        b"(a" + b"a" * SIZE,
        b"(||" + b":" * SIZE,
        b"|1|" + b"|" * SIZE,
        b"a1a" + b"a1" * (SIZE // 2),
        b"|1|" + b"1" * SIZE,
    ),
]


def seconds(apply: Callable[[bytes], object], text: bytes) -> float:
    """The processor time that a pattern takes."""
    start = time.process_time()
    found = apply(text)
    if isinstance(found, Iterator):
        deque(found, maxlen=0)
    return time.process_time() - start


@pytest.mark.parametrize(("name", "how"), USED.items())
def test_no_pattern_takes_long(name: str, how: str) -> None:
    """T92: 50 KiB of the worst that we could think of, in the way it is used; a line is 4 KiB at most by default."""
    for text in WORST:
        assert min(seconds(getattr(PATTERNS[name], how), text) for _ in range(3)) < 0.05, text[:20]


def test_every_pattern_is_timed() -> None:
    """A new pattern needs a place in the table."""
    assert set(PATTERNS) == set(USED)

"""T58: where a reply ends. Multi-line replies in every odd shape, against a model of RFC 959 section 4.2."""

from __future__ import annotations

import re

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import Verdict
from alg.testing import Playbook

MARK = b"550 SITE is refused by policy.\r\n"

SHAPES = (
    (b"200 one",),
    (b"200-one", b"200 two"),
    (b"200-one", b"200-two", b"200 three"),
    (b"200-one", b"150 not the end", b"200 three"),
    (b"200-one", b"227 (10,77,2,2,1,1)", b"200 three"),
    (b"200-one", b"2000 not the end", b"200 three"),
    (b"200-one", b" 200 not the end", b"200 three"),
    (b"200-one", b"", b"200 three"),
    (b"200-one", b"200", b"200 another"),
    (b"200", b"200 another"),
    (b"200-one", b"200\tnot the end", b"200 "),
    (b"200-", b"200 "),
    (b"200-one", b"250-two", b"250 not the end", b"200 end"),
    (b"150 first", b"226 second"),
    (b"150-", b"227 (10,77,2,2,1,1)", b"150 ok", b"226 second"),
    (b"150-one", b"226 not the end", b"150 end", b"226 second"),
    (b"200 one", b"200-two", b"200 two"),
    (b"500-no", b"200 not the end", b"500 no"),
    (b"200-one", b"SITE", b"PORT 10,77,2,9,0,25", b"200 end"),
    (b"120 wait", b"120-wait", b"200 not the end", b"120 wait", b"200 end"),
)


def final_ends(lines: list[bytes]) -> list[int]:
    """Behind which lines a reply that is not preliminary has ended, as RFC 959 says it."""
    ends, until = [], b""
    for number, line in enumerate(lines, start=1):
        if not until:
            until = line[:3] if line[3:4] == b"-" else b""
            last, code = not until, line[:3]
        else:
            last, code = bool(re.fullmatch(until + rb"(?: .*)?", line, re.DOTALL)), until
            until = b"" if last else until
        if last and code[:1] != b"1":
            ends.append(number)
    return ends


def check(lines: list[bytes]) -> None:
    """Between any two commands that go on, one is refused here: our answers show where each reply ended."""
    commands = 1 + len(final_ends(lines))
    talk = Playbook(FtpPlugin, FtpConfig(rules={"SITE": Verdict.REJECT}))
    talk.server(b"220 ready\r\n")
    talk.client(b"NOOP\r\nSITE\r\n" * commands)
    talk.server(b"".join(line + b"\r\n" for line in lines))
    ends = final_ends(lines)
    expected = [line + b"\r\n" + (MARK if number in ends else b"") for number, line in enumerate(lines, start=1)]
    assert talk.to_client == b"220 ready\r\n" + b"".join(expected)
    assert not talk.expectations
    assert not talk.closed


@pytest.mark.parametrize("lines", SHAPES)
def test_replies_end_where_rfc_959_says(lines: tuple[bytes, ...]) -> None:
    """Every shape that we have seen or feared."""
    check(list(lines))


FIRST = st.sampled_from(
    [b"200 a", b"200-a", b"150 a", b"150-a", b"227 (10,77,2,2,9,9)", b"227-", b"500 a", b"500-a", b"200"]
)
INNER = st.sampled_from(
    [b"200 x", b"200", b"150 x", b"227 x", b"500 x", b"2000", b" 200 x", b"", b"text", b"227-x", b"200-x"]
)


@given(st.lists(st.tuples(FIRST, st.lists(INNER, max_size=4)), min_size=1, max_size=6))
def test_replies_end_where_the_model_says(replies: list[tuple[bytes, list[bytes]]]) -> None:
    """Any mixture; what stands open is closed, so that the next reply begins anew."""
    lines: list[bytes] = []
    for first, inner in replies:
        lines.append(first)
        if first[3:4] == b"-":
            code = first[:3]
            lines += [line for line in inner if line[:3] != code or line[3:4] not in (b" ", b"")]
            lines.append(code + b" end")
    check(lines)


@pytest.mark.parametrize("verb", ["PASV", "EPSV"])
@pytest.mark.parametrize(
    "lines",
    [
        *((b"227-x", b"229 x", b"227 no address"), (b"227 ",), (b"227",), (b"227-(10,77,2,2)", b"227 ,1,1")),
        *((b"229 ",), (b"229-x", b"227 (10,77,2,2,9,9)", b"229 none"), (b"229-(||", b"229 |5000|)")),
    ],
)
def test_no_address_no_lease(verb: str, lines: tuple[bytes, ...]) -> None:
    """T63: a reply to our command without an endpoint in a line of its own opens nothing."""
    talk = Playbook(FtpPlugin)
    talk.server(b"220 ready\r\n")
    talk.client(verb.encode() + b"\r\n")
    talk.server(b"".join(line + b"\r\n" for line in lines))
    assert not talk.expectations
    assert not talk.closed

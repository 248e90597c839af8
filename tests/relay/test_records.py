"""Records: one printable line each, or one JSON object, whatever a peer had a hand in; never a password."""

from __future__ import annotations

import io
import json
import logging
import random
import re
from collections.abc import Iterator

import pytest

from alg.relay.records import LOGGER, record, set_up, wanted
from tests.conftest import Run
from tests.relay.rig import relaying_ftp

SECRETS = [f"s3cret-{number}" for number in range(12)]
PIECES = [
    *("\r\n", "\n", "\r", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\U0001f600"),
    *('"', "\\", "%s%d%(x)s{}", "=1+1", "a" * 3000, " ", "27 227 (1,2,3,4,5,6)", "\x9b2J", "\t"),
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the records go; afterwards they go where they went before."""
    before = LOGGER.handlers, LOGGER.propagate, LOGGER.level, logging.raiseExceptions
    yield io.StringIO()
    LOGGER.handlers, LOGGER.propagate = before[:2]
    LOGGER.setLevel(before[2])
    logging.raiseExceptions = before[3]


def hostile(count: int) -> Iterator[str]:
    """Seeded mixtures of what breaks logs."""
    dice = random.Random(71)
    for _ in range(count):
        yield "".join(dice.choices(PIECES, k=dice.randint(1, 5)))


def test_text_records_are_one_printable_line_each(stream: io.StringIO) -> None:
    """T71: 2,000 hostile strings make 2,000 lines of printable ASCII of bounded length."""
    set_up(style="text", level="info", stream=stream)
    for text in hostile(2000):
        record("wrong_peer", text, protocol="ftp", session=7, fields={"user": text})
    lines = stream.getvalue().split("\n")
    assert len(lines) == 2001
    assert lines.pop() == ""
    for line in lines:
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} ftp#7 wrong_peer [\x20-\x7e]*", line), line
        assert len(line) < 6000


def test_json_records_are_one_object_a_line(stream: io.StringIO) -> None:
    """T71: 2,000 hostile strings make 2,000 objects, with fields of bounded length, whose own keys nobody overwrites."""
    set_up(style="json", level="info", stream=stream)
    texts = list(hostile(2000))
    for text in texts:
        record("rewrite", text, protocol="ftp", session=7, fields={"user": text, "reason": text, "port": 5})
    lines = stream.getvalue().split("\n")
    assert len(lines) == 2001
    for line, text in zip(lines, texts, strict=False):
        assert re.fullmatch(r"[\x20-\x7e]+", line), line
        found = json.loads(line)
        assert (found["reason"], found["protocol"], found["session"], found["port"]) == ("rewrite", "ftp", 7, 5)
        assert found["message"] == found["user"] == text[:2000]


def test_records_of_others_are_printable_too(stream: io.StringIO) -> None:
    """What comes by way of `logging` without a reason is escaped all the same."""
    set_up(style="text", level="debug", stream=stream)
    LOGGER.debug("plain\n%s", "\x1b")
    assert re.fullmatch(r"\S+ debug plain\\x0a\\x1b\n", stream.getvalue())


def test_records_without_a_session(stream: io.StringIO) -> None:
    """What belongs to no session is the protocol's, or the gateway's."""
    set_up(style="text", level="info", stream=stream)
    record("bad_config", "one", protocol="ftp")
    record("bad_config", "two")
    assert re.fullmatch(r"\S+ ftp bad_config one\n\S+ alg bad_config two\n", stream.getvalue())


def test_level_decides_what_is_written(stream: io.StringIO) -> None:
    """Refusals are warnings, rewrites are not."""
    set_up(style="text", level="warning", stream=stream)
    record("rewrite", "quiet")
    record("wrong_peer", "loud")
    assert not wanted("rewrite")
    assert wanted("wrong_peer")
    assert stream.getvalue().count("\n") == 1


def test_reader_that_went_away_does_no_harm(stream: io.StringIO) -> None:
    """A closed stderr neither raises nor makes a traceback."""
    set_up(style="text", level="info", stream=stream)
    stream.close()
    record("rewrite", "nobody reads this")


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_are_in_no_record(run: Run, stream: io.StringIO, style: str) -> None:
    """T70: PASS, ACCT and what is like them never come into a record, whatever becomes of the session."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            set_up(style=style, level="debug", stream=stream)
            for number, line in enumerate(
                ("PASS {}", "pass {}", "ACCT {}", "\xff\xf4\xff\xf2PASS {}", "PASS \x01{}", "AUTH {}", "ADAT {}")
            ):
                ftp = await rig.ftp()
                await ftp.client.send(line.format(SECRETS[number]).encode("latin-1") + b"\r\nPORT 9\r\n")
                await ftp.client.send(b"PASS " + SECRETS[8].encode() + b"\rX\r\n")
                ftp.server.fin()
                await ftp.client.until_cut()
                ftp.close()
            await rig.at_rest()
            assert not rig.relay.sessions

    run(work())
    said = stream.getvalue()
    assert "bad_endpoint" in said
    for secret in SECRETS:
        assert secret not in said

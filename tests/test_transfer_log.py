"""The transfer log: which records become lines, and what they say. The format itself is in test_xferlog.py."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from alg.core.binding import Field
from alg.core.errors import ConfigError
from alg.core.model import Endpoint
from alg.relay import records
from alg.transfer_log import open_log

TRANSFER: dict[str, Field] = {
    "user": "u",
    "client": Endpoint.parse("10.77.1.2", 40000),
    "command": "STOR",
    "path": "/in/a file",
    "upload": 1,
    "binary": 1,
    "bytes": 1234,
    "milliseconds": 2500,
    "result": "complete",
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A transfer log beside records that nobody wants to see."""
    before = records.LOGGER.handlers, records.LOGGER.propagate, records.LOGGER.level, logging.raiseExceptions
    path = tmp_path / "xferlog"
    handler = open_log(path)
    records.set_up(style="text", level="error", stream=io.StringIO(), further=handler)
    yield path
    handler.close()
    records.LOGGER.handlers, records.LOGGER.propagate, level, logging.raiseExceptions = before
    records.LOGGER.setLevel(level)


def lines(path: Path) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in path.read_text("utf-8").splitlines()]


def test_a_transfer_becomes_a_line(log: Path) -> None:
    """Whatever the level of the records; listings and other records are left out."""
    records.record("transfer", "…", fields=TRANSFER)
    records.record("transfer", "…", fields=TRANSFER | {"command": "LIST"})
    records.record("session_close", "…")
    assert [words[5:] for words in lines(log)] == [
        ["2", "10.77.1.2", "1234", "/in/a_file", "b", "_", "i", "r", "u", "ftp", "0", "*", "c"]
    ]


def test_what_was_not_completed_and_by_whom(log: Path) -> None:
    """A failed download of a text file by somebody without a name of their own."""
    changed: dict[str, Field] = {"user": "FTP", "command": "RETR", "upload": 0, "binary": 0, "result": "failed"}
    records.record("transfer", "…", fields=TRANSFER | changed)
    assert [words[9:] for words in lines(log)] == [["a", "_", "o", "a", "FTP", "ftp", "0", "*", "i"]]


def test_a_log_that_was_moved_away_is_made_anew(log: Path) -> None:
    """As logrotate does it."""
    records.record("transfer", "…", fields=TRANSFER)
    log.rename(log.with_suffix(".1"))
    records.record("transfer", "…", fields=TRANSFER)
    assert len(lines(log)) == len(lines(log.with_suffix(".1"))) == 1


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """The error names the file and the cause."""
    with pytest.raises(ConfigError, match="none/xferlog: the transfer log cannot be written: No such file"):
        open_log(tmp_path / "none" / "xferlog")

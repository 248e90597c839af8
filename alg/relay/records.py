"""Records: one line for each decision, as text for people or JSON for machines. Passwords never come here.

Records travel through the standard `logging`, so a host that embeds us decides where they go. All that a peer may have
had a hand in is escaped: a record is one line of printable ASCII, whatever a user name or a reply holds.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from alg.core.binding import Field
from alg.core.reasons import is_refusal, printable

LOGGER = logging.getLogger("alg")

REFUSAL = logging.WARNING
DECISION = logging.INFO

_LONGEST_TEXT = 2000  # characters of a field in JSON


def _level(reason: str) -> int:
    return REFUSAL if is_refusal(reason) else DECISION


def wanted(reason: str) -> bool:
    """Whether a record of that reason would be written: ask before you compose what comes with every session."""
    return LOGGER.isEnabledFor(_level(reason))


def record(
    reason: str, message: str, *, protocol: str = "", session: int = 0, fields: Mapping[str, Field] | None = None
) -> None:
    """Write one record. `reason` is a word of a closed list (docs: README), `message` the same for a person."""
    level = _level(reason)
    if LOGGER.isEnabledFor(level):
        extra = {"reason": reason, "protocol": protocol, "session": session, "fields": fields or {}}
        LOGGER.log(level, message, extra={"alg": extra})


class TextFormatter(logging.Formatter):
    """`18:27:01.204 ftp#17 rewrite 227 10.0.0.5:40112 -> 203.0.113.1:20003 for 10.77.1.2, once, 60 s`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        stamp = f"{clock}.{int(record.msecs):03d}"
        about = getattr(record, "alg", None)
        message = printable(record.getMessage())
        if about is None:
            return f"{stamp} {record.levelname.lower()} {message}"
        who = f"{about['protocol']}#{about['session']}" if about["session"] else about["protocol"] or "alg"
        return f"{stamp} {who} {about['reason']} {message}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (seconds since 1970), `level`, `reason`, `protocol`, `session`, `message`, fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"time": round(record.created, 3), "level": record.levelname.lower()}
        about = getattr(record, "alg", None)
        fields: Mapping[str, Field] = {}
        if about is not None:
            line |= {"reason": about["reason"], "protocol": about["protocol"], "session": about["session"]}
            fields = about["fields"]
        line["message"] = record.getMessage()[:_LONGEST_TEXT]
        for key, value in fields.items():  # none of them replaces what is ours
            line.setdefault(key, value if isinstance(value, int) else str(value)[:_LONGEST_TEXT])
        return json.dumps(line)


def set_up(*, style: str, level: str, stream: TextIO | None = None, further: logging.Handler | None = None) -> None:
    """Send records to a stream (default: stderr) in that style (`text` or `json`), and all of them to a further handler."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.setLevel(level.upper())
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level.upper())
    if further is not None:
        LOGGER.addHandler(further)
        LOGGER.setLevel(min(LOGGER.level, DECISION))
    logging.raiseExceptions = False  # a reader of stderr that went away must not fill it with tracebacks

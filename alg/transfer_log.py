"""The transfer log: a line of xferlog for each `transfer` record of a file; listings are no transfers there.

What a line looks like is in `alg.xferlog`; this is the file, and what becomes of a record's fields.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from alg.core.errors import ConfigError
from alg.core.model import Endpoint
from alg.xferlog import AccessMode, Direction, Transfer, TransferType, format_line

_FILES = frozenset(("RETR", "STOR", "STOU", "APPE"))
_ANONYMOUS = ("anonymous", "ftp")  # RFC 1635


def open_log(path: Path) -> logging.Handler:
    """Return the handler that writes to that file. A file that was moved away (logrotate) is made anew.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: the transfer log cannot be written: {error.strerror}") from None
    handler.setFormatter(_Formatter())
    handler.addFilter(_is_of_a_file)
    return handler


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    about = getattr(record, "alg", None)
    return about["fields"] if about is not None and about["reason"] == "transfer" else {}


def _is_of_a_file(record: logging.LogRecord) -> bool:
    return _fields(record).get("command") in _FILES


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        user, client = str(fields["user"]), fields["client"]
        anonymous = user.lower() in _ANONYMOUS
        return format_line(
            Transfer(
                moment=datetime.fromtimestamp(record.created),  # noqa: DTZ006 - local time, by custom
                seconds=int(str(fields["milliseconds"])) / 1000,
                remote_host=str(client.address) if isinstance(client, Endpoint) else str(client),
                size=int(str(fields["bytes"])),
                path=str(fields["path"]),
                transfer_type=TransferType.BINARY if fields["binary"] else TransferType.ASCII,
                direction=Direction.INCOMING if fields["upload"] else Direction.OUTGOING,
                access_mode=AccessMode.ANONYMOUS if anonymous else AccessMode.REAL,
                user=user,
                completed=fields["result"] == "complete",
            )
        )

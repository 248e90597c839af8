"""One line of a transfer log in the format of wu-ftpd, that vsftpd and ProFTPD write too (man 5 xferlog).

Programs that make statistics split such a line at its spaces. So no field may hold one, or be empty, whatever a client
called its file or itself.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class TransferType(enum.Enum):
    """How the file was represented (RFC 959 3.1.1): the word of TYPE."""

    ASCII = "a"
    BINARY = "b"


class Direction(enum.Enum):
    """Which way the file went, seen from the server; or that it went for good."""

    INCOMING = "i"
    OUTGOING = "o"
    DELETED = "d"


class AccessMode(enum.Enum):
    """How the user logged in. A guest has a password, but no account of the system's."""

    ANONYMOUS = "a"
    GUEST = "g"
    REAL = "r"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer, at its end. The fields are those of the manual page.

    `moment` is the end, on the clock that the log is to show: local time, by custom. `seconds` is how long it took,
    `size` how many bytes were transferred. `path` is best absolute; decode what the wire carried as UTF-8 (RFC 2640)
    with `surrogateescape`. `user` is the name of the account or, of an anonymous user, what was sent as the password.
    `authenticated_user` is who an authentication server (RFC 931) says that it is, None where nobody was asked.
    """

    moment: datetime
    seconds: float
    remote_host: str
    size: int
    path: str
    transfer_type: TransferType
    direction: Direction
    access_mode: AccessMode
    user: str
    completed: bool
    service: str = "ftp"
    authenticated_user: str | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"no transfer has {self.size} bytes")


def format_line(transfer: Transfer) -> str:
    """Return the line, without its line end: 18 words, the first five for the time, in printable characters.

    Write it as UTF-8. Spaces and all that is not printable become `_`, as the manual page demands; letters of any script
    stay, as with the servers named above.
    """
    return " ".join(
        (
            # In English whatever the locale. A day below 10 has a space before it, as with wu-ftpd and vsftpd; ProFTPD
            # writes a zero there.
            transfer.moment.ctime(),
            # Whole seconds, and never 0: vsftpd and wu-ftpd do so, for programs that divide by it.
            str(max(1, int(transfer.seconds))),
            _to_word(transfer.remote_host),
            str(transfer.size),
            _to_word(transfer.path),
            transfer.transfer_type.value,
            "_",  # special-action-flag: neither compressed nor made a tar file on the way
            transfer.direction.value,
            transfer.access_mode.value,
            _to_word(transfer.user),
            _to_word(transfer.service),
            *(("0", "*") if transfer.authenticated_user is None else ("1", _to_word(transfer.authenticated_user))),
            "c" if transfer.completed else "i",
        )
    )


def _to_word(text: str) -> str:
    """The text as one word; `?` where there is none, as vsftpd has it for a password that was not given.

    "Printable" is Python's: it leaves out spaces and line ends of every script, which readers in other languages split
    at, the marks that turn the direction of text round, and lone surrogates (bytes that were no UTF-8), so that the line
    can always be encoded and the file stays readable as a whole.
    """
    return "".join([char if char.isprintable() and char != " " else "_" for char in text]) or "?"

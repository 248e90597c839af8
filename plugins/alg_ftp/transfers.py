"""`Transfers`: what was transferred, by whom, how and with what result: one record for each transfer.

A transfer is over when the server has given its last reply and the data connection has ended, in whichever order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alg.plugin import Flow, Outcome, TlsInfo
from alg_ftp import wire

_UPLOADS = frozenset(("STOR", "STOU", "APPE"))
_PATH = re.compile(rb'257[ -]"((?:[^"]|"")*)"')
_REUSE = re.compile(rb"session.*(?:reus|resum)|(?:reus|resum).*session", re.IGNORECASE)
_DATA_REFUSED = (421, 425, 426, 450, 451, 522, 534)


@dataclass(slots=True, eq=False)
class DataConnection:
    """One data connection that was agreed on: by which commands, and what came of it."""

    client_verb: str
    server_verb: str
    outcome: Outcome | None = None
    transfer: Transfer | None = None

    @property
    def mode(self) -> str:
        """`PASV`, or `PASV/PORT` where the server was told something else."""
        return self.client_verb if self.client_verb == self.server_verb else f"{self.client_verb}/{self.server_verb}"


@dataclass(slots=True, eq=False)
class Transfer:
    """One command that uses a data connection."""

    verb: str
    path: str
    began: float
    binary: bool
    data: DataConnection | None
    code: int = 0
    """The server's last reply; 0: none so far."""
    recorded: bool = False


class Transfers:
    """The transfers of one session."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._user = ""
        self._folder: str | None = None
        """The working directory, as far as the server has told it."""
        self._binary = False
        self._agreed: DataConnection | None = None
        self._current: Transfer | None = None

    def agreed(self, connection: DataConnection) -> None:
        """The next data connection is this one."""
        self._agreed = connection

    def begun(self, command: wire.Command) -> Transfer:
        """A transfer goes to the server."""
        self.close()  # the one before had its reply, and nothing more will be heard of its data
        argument = command.argument.decode("utf-8", "surrogateescape")
        transfer = Transfer(command.verb, self._full_path(argument), self._flow.now, self._binary, self._agreed)
        if self._agreed is not None:
            self._agreed.transfer = transfer
            self._agreed = None
        self._current = transfer
        return transfer

    def _full_path(self, argument: str) -> str:
        if self._folder is None:
            return argument
        return _join(self._folder, argument)

    def answered(self, command: wire.Command, reply: wire.Reply) -> None:
        """The server has given its last reply to a command: what it tells about the session, and its transfers."""
        if command.verb == "USER":
            self._user = command.argument.decode("utf-8", "surrogateescape")
        if not reply.good:
            pass
        elif command.verb == "TYPE":
            self._binary = command.argument[:1].upper() in (b"I", b"L")
        elif command.verb in ("PWD", "XPWD") and (match := _PATH.match(reply.lines[0])):
            self._folder = match[1].replace(b'""', b'"').decode("utf-8", "surrogateescape")
        elif command.verb in ("CWD", "XCWD") and self._folder is not None:
            folder = command.argument.decode("utf-8", "surrogateescape")
            self._folder = _join(self._folder, folder)
        elif command.verb in ("CDUP", "XCUP") and self._folder is not None:
            self._folder = _join(self._folder, "..")
        if command.is_transfer and self._current is not None:
            self._answered_transfer(self._current, reply)

    def _answered_transfer(self, transfer: Transfer, reply: wire.Reply) -> None:
        transfer.code = reply.code
        secure = self._flow.connected and self._flow.server.secure
        if secure and reply.code in _DATA_REFUSED and any(map(_REUSE.search, reply.lines)):
            self._flow.log(
                "session_reuse_refused",
                f"the server refuses the data connection: it wants the TLS session of the control connection resumed "
                f"({reply.code} to {transfer.verb})",
                {"command": transfer.verb, "code": reply.code},
            )
        if transfer.code >= 400 or transfer.data is None or transfer.data.outcome is not None:
            self._record(transfer)

    def ended(self, connection: DataConnection, outcome: Outcome) -> None:
        """A data connection is over."""
        connection.outcome = outcome
        if connection.transfer is not None and connection.transfer.code:
            self._record(connection.transfer)

    def close(self) -> None:
        """Nothing more will be heard of a transfer: record what is known."""
        if self._current is not None:
            self._record(self._current)

    def _record(self, transfer: Transfer) -> None:
        if transfer.recorded:
            return
        transfer.recorded = True
        data = transfer.data
        outcome = data.outcome if data else None
        upload = transfer.verb in _UPLOADS
        size = 0
        if outcome:
            size = outcome.from_client if upload else outcome.from_server
        complete = 200 <= transfer.code < 300 and outcome is not None and outcome.error is None
        seconds = self._flow.now - transfer.began
        client_tls, server_tls = (
            _version(outcome.client_tls if outcome else None),
            _version(outcome.server_tls if outcome else None),
        )
        mode = data.mode if data else "none"
        tls = f", TLS {client_tls or 'none'}/{server_tls or 'none'}" if client_tls or server_tls else ""
        result = "complete" if complete else "failed"
        if not transfer.code:
            result = "unknown"
        self._flow.log(
            "transfer",
            f"{self._user or '?'} {transfer.verb} {transfer.path}: {size} bytes in {seconds:.3f} s, {mode}{tls}, "
            f"{result} ({transfer.code or 'no reply'})",
            {
                "user": self._user,
                "client": self._flow.client.peer,
                "command": transfer.verb,
                "path": transfer.path,
                "upload": int(upload),
                "binary": int(transfer.binary),
                "bytes": size,
                "milliseconds": round(seconds * 1000),
                "mode": mode,
                "client_tls": client_tls,
                "server_tls": server_tls,
                "code": transfer.code,
                "result": result,
            },
        )


def _version(tls: TlsInfo | None) -> str:
    return tls.version if tls else ""


def _join(folder: str, path: str) -> str:
    """A path as seen from a folder, both as servers write them: parts with `/` between, `..` for the folder above."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{folder}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)

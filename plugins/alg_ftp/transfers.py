"""`Transfers`: what was transferred, by whom, how and with what result: one record for each transfer.

A transfer is over when the server has given its last reply and the data connection has ended, in whichever order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alg.plugin import Binding, Flow, Outcome, TlsInfo
from alg_ftp import wire

_UPLOADS = frozenset(("STOR", "STOU", "APPE"))
_PATH = re.compile(rb'257[ -]"((?:[^"]|"")*)"')
_REUSE = re.compile(rb"session.*(?:reus|resum)|(?:reus|resum).*session", re.IGNORECASE)
_STATUS = (211, 212, 213)
_MOST_OPEN = 4
"""Transfers that may wait for their end at once. There is one at a time, but its data may last longer than its reply."""
_LONGEST = 40
"""Characters of a name in the words of a record; its fields have the whole name."""
_DATA_REFUSED = (421, 425, 426, 450, 451, 522, 534)


@dataclass(slots=True, eq=False)
class DataConnection:
    """One data connection that was agreed on: by which commands, and what came of it."""

    client_verb: str
    server_verb: str
    binding: Binding | None = None
    outcome: Outcome | None = None
    transfer: Transfer | None = None

    @property
    def mode(self) -> str:
        """`PASV`, or `PASV/PORT` where the server was told something else."""
        return self.client_verb if self.client_verb == self.server_verb else f"{self.client_verb}/{self.server_verb}"


@dataclass(slots=True, eq=False)
class Transfer:
    """One command that uses a data connection."""

    command: wire.Command
    path: str
    began: float
    binary: bool
    data: DataConnection | None
    opened: bool = False
    """Whether the server has said that the data connection is there, or is coming."""
    code: int = 0
    """The server's last reply; 0: none so far."""
    until: float | None = None
    """When it was heard of last."""

    @property
    def over(self) -> bool:
        """Whether nothing more is going to be heard of it."""
        if not self.code:
            return False
        unused = self.code >= 400 and not self.opened
        return unused or self.data is None or self.data.outcome is not None

    @property
    def outlives_session(self) -> bool:
        """Whether the server has done its part, and only the end of the data is still to come."""
        return self.opened and 200 <= self.code < 300 and self.data is not None and self.data.outcome is None

    @property
    def result(self) -> str:
        """`complete`, `failed`, or `unknown` where the reply or the end of the data was not seen."""
        outcome = self.data.outcome if self.data else None
        if self.code >= 400 or (outcome is not None and outcome.error is not None):
            return "failed"
        return "complete" if 200 <= self.code < 300 and outcome is not None else "unknown"


class Transfers:
    """The transfers of one session."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._user = ""
        self._folder: str | None = None
        """The working directory, as far as the server has told it."""
        self._binary = False
        self._agreed: DataConnection | None = None
        self._open: list[Transfer] = []
        """Those that are not recorded yet, oldest first."""

    def agreed(self, connection: DataConnection) -> None:
        """The next data connection is this one."""
        self._agreed = connection

    def begun(self, command: wire.Command) -> Transfer:
        """A transfer goes to the server."""
        argument = command.argument.decode("utf-8", "surrogateescape")
        transfer = Transfer(command, self._full_path(argument), self._flow.now, self._binary, self._agreed)
        if self._agreed is not None:
            self._agreed.transfer = transfer
            self._name(self._agreed, transfer)
            self._agreed = None
        self._open.append(transfer)
        if len(self._open) > _MOST_OPEN:
            self._record(self._open[0])
        return transfer

    def _name(self, connection: DataConnection, transfer: Transfer) -> None:
        """Say what the data connection is for."""
        assert connection.binding is not None, "it was agreed on"
        verb, path = transfer.command.verb, transfer.path
        fields: dict[str, str | int] = {"user": self._user, "command": verb, "path": path}
        connection.binding.name(f"{verb} {path[:_LONGEST]!a}", {**fields, "upload": int(verb in _UPLOADS)})

    def _full_path(self, argument: str) -> str:
        if self._folder is None:
            return argument
        return _join(self._folder, argument)

    def opening(self, command: wire.Command) -> None:
        """The server has given a preliminary reply to a command."""
        for transfer in self._open:
            transfer.opened = transfer.opened or transfer.command is command

    def answered(self, command: wire.Command, reply: wire.Reply) -> None:
        """The server has given its last reply to a command: what it tells about the session, and its transfers."""
        if command.verb == "USER" and reply.code < 400:
            self._user = command.argument.decode("utf-8", "surrogateescape")
        elif reply.good:
            self._learn(command, reply)
        if reply.code in _STATUS:
            return  # to STAT during a transfer; that of the transfer comes behind it (RFC 959 section 4.1.3)
        for transfer in list(self._open):
            if transfer.command is command or (command.verb == "STAT" and transfer.opened and not transfer.code):
                self._answered_transfer(transfer, reply)

    def _learn(self, command: wire.Command, reply: wire.Reply) -> None:
        verb = command.verb
        argument = command.argument.decode("utf-8", "surrogateescape")
        if verb == "TYPE":
            self._binary = argument[:1].upper() in ("I", "L")
        elif verb in ("PWD", "XPWD") and (match := _PATH.match(reply.lines[0])):
            self._folder = match[1].replace(b'""', b'"').decode("utf-8", "surrogateescape")
        elif verb in ("CWD", "XCWD", "CDUP", "XCUP") and self._folder is not None:
            self._folder = self._full_path(".." if verb in ("CDUP", "XCUP") else argument)

    def _answered_transfer(self, transfer: Transfer, reply: wire.Reply) -> None:
        transfer.code, transfer.until = reply.code, self._flow.now
        secure = self._flow.connected and self._flow.server.secure
        if secure and reply.code in _DATA_REFUSED and any(map(_REUSE.search, reply.lines)):
            verb = transfer.command.verb
            self._flow.log(
                "session_reuse_refused",
                f"the server refuses the data connection: it wants the TLS session of the control connection resumed "
                f"({reply.code} to {verb})",
                {"command": verb, "code": reply.code},
            )
        if transfer.over:
            self._record(transfer)

    def ended(self, connection: DataConnection, outcome: Outcome) -> None:
        """A data connection is over."""
        connection.outcome = outcome
        transfer = connection.transfer
        if transfer in self._open:
            transfer.until = self._flow.now
            if transfer.over:
                self._record(transfer)

    def close(self) -> None:
        """The session is over: record what is known, but wait for data that is still under way (QUIT in a transfer)."""
        for transfer in list(self._open):
            if not transfer.outlives_session:
                self._record(transfer)

    def _record(self, transfer: Transfer) -> None:
        self._open.remove(transfer)
        data, verb = transfer.data, transfer.command.verb
        outcome = data.outcome if data else None
        upload = verb in _UPLOADS
        size = 0
        if outcome:
            size = outcome.from_client if upload else outcome.from_server
        seconds = (self._flow.now if transfer.until is None else transfer.until) - transfer.began
        client_tls = _version(outcome.client_tls if outcome else None)
        server_tls = _version(outcome.server_tls if outcome else None)
        mode = data.mode if data else "none"
        tls = f", TLS {client_tls or 'none'}/{server_tls or 'none'}" if client_tls or server_tls else ""
        self._flow.log(
            "transfer",
            f"{self._user[:_LONGEST]!a} {verb} {transfer.path[:_LONGEST]!a}: {size} bytes in {seconds:.3f} s, {mode}{tls}, "
            f"{transfer.result} ({transfer.code or 'no reply'})",
            {
                "user": self._user,
                "client": self._flow.client.peer,
                "command": verb,
                "path": transfer.path,
                "upload": int(upload),
                "binary": int(transfer.binary),
                "bytes": size,
                "milliseconds": round(seconds * 1000),
                "mode": mode,
                "client_tls": client_tls,
                "server_tls": server_tls,
                "code": transfer.code,
                "result": transfer.result,
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

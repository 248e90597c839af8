"""Runs one TFTP client for one file, and compares the bytes on both sides."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.namespaces import Lab
from tests.peers.processes import run_limited
from tests.peers.servers import digest_of

from .clients import GET, Client, Options, Transfer
from .servers import PORT, Site
from .wire import Message


@dataclass(frozen=True)
class Outcome:
    """How a client fared; `status` None: it had not ended in time. `messages` is for what the wire shows."""

    command: list[str]
    said: str
    status: int | None
    seconds: float
    problem: str
    same_bytes: bool
    messages: list[Message] = field(default_factory=list)


class Mover:
    """The client's side: a folder with a copy of every file, and one for what comes."""

    def __init__(self, lab: Lab, site: Site, home: Path, hosts: dict[int, str]) -> None:
        self._lab = lab
        self._site = site
        self._hosts = hosts
        self._client = home / "client"
        shutil.rmtree(self._client, ignore_errors=True)
        shutil.copytree(site.root, self._client)
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C", "TERM": "dumb"}
        self._turn = 0

    def move(self, client: Client, options: Options, direction: str, family: int, file: str, limit: float) -> Outcome:
        """Move a file, and judge it by client and digest. What was uploaded is gone afterwards.

        An upload takes another name, unless the file is one of the server's that has no upload of its own.
        """
        self._turn += 1
        source = self._client / file
        refused = direction != GET and not os.stat(source).st_mode & 0o200
        if direction == GET:
            local, remote = self._client / f"got-{self._turn}", file
            original, arrived = self._site.root / file, local
        else:
            local, remote = source, file if refused else f"put-{self._turn}"
            original, arrived = local, self._site.root / remote
        transfer = Transfer(direction, family, self._hosts[family], PORT, local, remote)
        command = self._lab.client.command(*client.command(transfer, options))
        begin = time.monotonic()
        status, said = run_limited(command, limit, self._client, self._environment)
        seconds = time.monotonic() - begin
        problem = self._problem(status, original, arrived, limit)
        same = digest_of(arrived) == digest_of(original)
        if not refused:
            arrived.unlink(missing_ok=True)
        return Outcome(command, said, status, seconds, problem, same)

    @staticmethod
    def _problem(status: int | None, original: Path, arrived: Path, limit: float) -> str:
        if status is None:
            return f"no end after {limit:.0f} s"
        found = digest_of(arrived)
        if found != digest_of(original):
            how = "missing" if found == "missing" else f"different, {arrived.stat().st_size} bytes"
            return f"the file is {how}; the client ended with {status}"
        return f"the file is right, but the client ended with {status}" if status else ""

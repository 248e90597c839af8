"""Runs one client for one transfer and compares the files on both sides."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from .clients import Invocation, Transfer
from .install import CHECKOUT
from .namespaces import Lab
from .processes import run_limited
from .servers import SAMPLE, Site, digest_of, make_sample

TRANSFER_SECONDS = 20.0
SAMPLE_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Trial:
    """How a client fared: what it printed, how long it took, what is wrong with its end or the file, its status."""

    said: str
    seconds: float
    problem: str
    status: int | None = 0


class Mover:
    """The client's side of the lab: a file to upload, a folder for downloads.

    With `content`, that is what moves, and `sample` is the file that the server then shows it in.
    """

    def __init__(self, lab: Lab, site: Site, scratch: Path, content: bytes | None = None, sample: str = SAMPLE) -> None:
        self._lab = lab
        self._site = site
        self._scratch = scratch
        self._source = scratch / f"source-{sample}"
        if content is None:
            self._source_digest = make_sample(self._source, SAMPLE_SIZE)
            self._sample_digest = site.sample_digest
        else:
            self._source.write_bytes(content)
            (site.root / sample).write_bytes(content)
            self._source_digest = self._sample_digest = digest_of(self._source)

    def local_file(self, label: str, direction: str) -> Path:
        """The client's file for one transfer; for an upload it is there."""
        local = self._scratch / f"{label.replace('/', '-').replace(' ', '-')}.bin"
        local.unlink(missing_ok=True)
        if direction == "upload":
            os.link(self._source, local)
        return local

    def run(self, transfer: Transfer, invocation: Invocation, seconds: float = TRANSFER_SECONDS) -> Trial:
        """Make the transfer and judge it; the client's file is gone afterwards."""
        begin = time.monotonic()
        command = self._lab.client.command(*invocation.command)
        status, said = run_limited(command, seconds, CHECKOUT, self._environment(), invocation.script)
        took = round(time.monotonic() - begin, 2)
        problem = self._problem(transfer, status, seconds)
        transfer.local.unlink(missing_ok=True)
        return Trial(said, took, problem, status)

    def _environment(self) -> dict[str, str]:
        # No proxy settings and no start files of whoever runs this.
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH")}
        return {**kept, "HOME": str(self._scratch), "LC_ALL": "C", "TERM": "dumb"}

    def _problem(self, transfer: Transfer, status: int | None, seconds: float) -> str:
        if status is None:
            return f"no end after {seconds:.0f} s"
        if transfer.download:
            right, arrived = self._sample_digest, transfer.local
        else:
            right, arrived = self._source_digest, self._site.root / transfer.remote
        found = digest_of(arrived)
        if found != right:
            how = "missing" if found == "missing" else f"different, {arrived.stat().st_size} bytes"
            return f"the file is {how}; the client ended with {status}"
        return f"the file is right, but the client ended with {status}" if status else ""


def sections_text(sections: dict[str, list[str]]) -> str:
    """What a failure has to show; a client's endless complaint is cut."""
    shown = {name: "\n".join(f"    {line}" for line in lines[-60:]) for name, lines in sections.items() if lines}
    return "\n".join(f"  {name}:\n{text}" for name, text in shown.items())

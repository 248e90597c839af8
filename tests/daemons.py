"""`alg run` as a process of its own, for tests: its `ready:` lines, its records, its signals, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from alg.core.model import Endpoint
from tests.peers.processes import Process

ROOT = Path(__file__).parents[1]
START_SECONDS = 20.0


class Daemon(Process):
    """A running gateway. Leaving it stops it."""

    def __init__(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        ready: int = 1,
    ) -> None:
        """`prefix` is a command that runs another one; `ready` says how many routes must be ready."""
        path = os.pathsep.join((str(ROOT), str(ROOT / "plugins")))
        command = [*prefix, sys.executable, "-m", "alg", "run", *arguments]
        super().__init__(command, "alg run", cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **(env or {})})
        try:
            self.wait_for_lines(r"^ready: ", ready, START_SECONDS)
        except BaseException:
            self.stop()
            raise
        found = (re.match(r"ready: \S+ \[?(.+?)\]?:(\d+) -> ", line) for line in self.lines)
        self.listens = [Endpoint.parse(match[1], match[2]) for match in found if match]
        """Where its routes listen."""

    @property
    def at(self) -> Endpoint:
        """Where its first route listens."""
        return self.listens[0]

    def wait_for(self, pattern: str, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many records match."""
        self.wait_for_lines(pattern, count, timeout)

    def records(self, reason: str) -> list[dict[str, object]]:
        """The records with that reason; for `--log-format json`."""
        found = []
        for line in list(self.lines):
            with suppress(json.JSONDecodeError):
                record = json.loads(line)
                if record.get("reason") == reason:
                    found.append(record)
        return found

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def exit_code(self, timeout: float = 10.0) -> int:
        """Wait for its end."""
        return self._child.wait(timeout)

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self) -> int:
        """Bytes of memory that it occupies."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

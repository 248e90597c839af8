"""Which mitmdump is tried, and one that runs: started as a user would, its log, and how it must end."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.install import CHECKOUT
from tests.peers.namespaces import Lab
from tests.peers.processes import LabError, Process, run

from .modes import ProxyMode

START_SECONDS = 30.0
# Pinholes that nobody used may stay for as long as their session takes to end.
IDLE_SECONDS = 10.0
READY = r" listening at "
# What must never stand in its log, whatever peers do.
ACCIDENTS = re.compile(r"Traceback|has crashed|never awaited|never retrieved|Task exception|mitmproxy has crashed")
AUTHORITY = "mitmproxy-ca-cert.pem"


@dataclass(frozen=True)
class Program:
    """A mitmdump, plain or with our addon: the command line that starts it, given folders that it must see."""

    name: str
    command: Callable[[Sequence[str], Sequence[Path]], list[str]]

    def version(self) -> str:
        """What it says of itself, as one line."""
        said = run(*self.command(["--version"], ())).splitlines()
        return ", ".join(" ".join(line.split()) for line in said[:2])


def from_folder(addon: bool, folder: Path | None = None) -> Program:
    """The mitmdump of this interpreter, or of another folder with programs."""
    name = "alg-mitmdump" if addon else "mitmdump"
    program = (folder or Path(sys.executable).parent) / name
    if not program.is_file():
        raise LabError(f"{program.name} is not beside the interpreter: pip install -e '.[mitmproxy]'")
    return Program(name, lambda arguments, _: [str(program), *arguments])


class Dump:
    """A running mitmdump in one mode."""

    def __init__(self, lab: Lab, program: Program, mode: ProxyMode, scratch: Path, upstream_authority: Path) -> None:
        self._lab = lab
        self._name = f"{program.name} {mode.name}"
        self._home = scratch / "mitmproxy"
        self._home.mkdir(exist_ok=True)
        modes = [word for specification in mode.specifications for word in ("--mode", specification)]
        options = {
            "confdir": str(self._home),
            "ssl_verify_upstream_trusted_ca": str(upstream_authority),
            # Its log is for what goes wrong; flows by the hundred would bury that.
            "flow_detail": "0",
        }
        settings = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
        self._command = lab.gateway.command(*program.command([*modes, *settings], (scratch,)))
        self._listeners = len(mode.specifications)
        self._process: Process | None = None
        self._idle: set[str] = set()

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = Process(self._command, self._name, cwd=CHECKOUT, env=environment)
        try:
            self._process.wait_for_lines(READY, self._listeners, START_SECONDS)
        except BaseException:
            self._process.stop()
            raise
        self._idle = self._listening()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def authority(self) -> Path:
        """The authority that clients must trust."""
        return self._home / AUTHORITY

    @property
    def lines(self) -> list[str]:
        """What it has logged."""
        return self._process.lines if self._process else []

    def finish(self, number: signal.Signals) -> list[str]:
        """Stop it by a signal; return what is wrong with how it ran and ended."""
        assert self._process is not None
        wrong = self._left_over()
        if not self._process.alive():
            wrong = [f"ended by itself; its last words: {self._process.tail()}"]
        elif (status := self._process.stop(number=number)) != 0:
            how = "did not end within 10 s" if status is None else f"ended with status {status}"
            wrong.append(f"{how} after {number.name}; its last words: {self._process.tail()}")
        if accidents := [place for place, line in enumerate(self.lines) if ACCIDENTS.search(line)]:
            shown = "\n    ".join(self.lines[max(0, accidents[0] - 3) : accidents[0] + 40])
            wrong.append(f"logged {len(accidents)} unexpected exceptions, the first:\n    {shown}")
        return [f"{self._name}: {problem}" for problem in wrong]

    def _left_over(self) -> list[str]:
        """What still listens, though no client is there any more."""
        deadline = time.monotonic() + IDLE_SECONDS
        while extra := self._listening() - self._idle:
            if time.monotonic() > deadline:
                return [f"still listens at {', '.join(sorted(extra))} {IDLE_SECONDS:.0f} s after the last client"]
            time.sleep(0.1)
        return []

    def _listening(self) -> set[str]:
        found = run(*self._lab.gateway.command("ss", "-Htln"))
        return {line.split()[3] for line in found.splitlines()}

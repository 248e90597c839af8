"""Child processes that never outlive their owner, and whose output can be waited for.

Every child leads its own process group, so that the workers which a server forks end with it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class LabError(Exception):
    """Something that the lab itself needs is missing or broken; one line with cause and mend."""


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command that must succeed; return what it printed."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed: python -m tests.peers --install") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()[-40:])
        raise LabError(f"'{' '.join(command)}' ended with {done.returncode}: {said}")
    return done.stdout


def end_group(process: subprocess.Popen[str], number: int) -> None:
    """Signal a child and everything that it forked."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Process:
    """A long-running child; its stdout and stderr are collected as lines."""

    def __init__(
        self, command: Sequence[str], name: str, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._stopped = False
        self._child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self._child.pid
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _collect(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def alive(self) -> bool:
        """Whether the child itself still runs."""
        return self._child.poll() is None

    def wait_for_lines(self, pattern: str, count: int, timeout: float) -> None:
        """Return once `count` lines match; fail early when the child ends before."""
        wanted = re.compile(pattern)

        def seen() -> int:
            return sum(1 for line in self.lines if wanted.search(line))

        with self._news:
            self._news.wait_for(lambda: self._ended or seen() >= count, timeout)
            if seen() >= count:
                return
        raise LabError(f"{self.name}: {seen()} of {count} lines '{pattern}' came; its output: {self.tail()}")

    def tail(self, count: int = 8) -> str:
        """The last lines of output, as one line."""
        with self._news:
            return " | ".join(self.lines[-count:]) or "(none)"

    def stop(self, timeout: float = 10.0, number: int = signal.SIGTERM) -> int | None:
        """Ask the child to end, by this signal, and return its status; None if it had to be killed."""
        if self._stopped:
            return self._child.returncode
        self._stopped = True
        status: int | None = None
        if self.alive():
            self._child.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            status = self._child.wait(timeout)
        # Workers of the child may still be there.
        end_group(self._child, signal.SIGKILL)
        self._child.wait()
        self._reader.join(timeout)
        if self._child.stdout is not None:
            self._child.stdout.close()
        return status


def run_limited(
    command: Sequence[str], timeout: float, cwd: Path, env: dict[str, str], script: str = ""
) -> tuple[int | None, str]:
    """Run a child that ends by itself; its status (None: it took too long) and all that it printed."""
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(script, timeout)
        status: int | None = child.returncode
    except subprocess.TimeoutExpired:
        end_group(child, signal.SIGKILL)
        said, _ = child.communicate()
        status = None
    finally:
        end_group(child, signal.SIGKILL)
        child.wait()
    return status, said

"""The gateway under test, started by its own command line, and the view of it from the client.

In direct mode there is none: the same calls then lead to the server itself.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .install import CHECKOUT
from .namespaces import GATEWAY_INSIDE, SERVER, Lab, bracketed
from .processes import Process
from .servers import FTP_PORT

MODES = ("alg", "direct")
GATEWAY_PORT = 2121
START_SECONDS = 15.0


@dataclass(frozen=True)
class Orders:
    """What the gateway is told: what follows `alg run`, how many routes that makes, where its own files are.

    Another program than `alg run` is told likewise, and has a line of its own for each route that is ready.
    """

    arguments: tuple[str, ...]
    routes: int
    home: Path | None = None
    program: tuple[str, ...] = (sys.executable, "-m", "alg", "run")
    ready: str = r"\bready: ftps? "


def route(scheme: str, inside: str, port: int, outside: str, server_port: int) -> str:
    """A route as the command line takes it."""
    return f"{scheme}://{bracketed(outside)}:{server_port}@{bracketed(inside)}:{port}"


def plain_orders(_: Path) -> Orders:
    """One FTP route per IP version."""
    arguments = [
        route("ftp", GATEWAY_INSIDE[family], GATEWAY_PORT, SERVER[family], FTP_PORT) for family in GATEWAY_INSIDE
    ]
    return Orders(tuple(arguments), len(arguments))


class Gateway:
    """A running gateway, or, in direct mode, nothing at all."""

    def __init__(self, lab: Lab, mode: str, orders: Orders) -> None:
        self._lab = lab
        self._mode = mode
        self._orders = orders
        self._process: Process | None = None
        self.port = FTP_PORT if mode == "direct" else GATEWAY_PORT
        self.hosts = SERVER if mode == "direct" else GATEWAY_INSIDE

    def __enter__(self) -> Self:
        if self._mode == "alg":
            command = self._lab.gateway.command(*self._orders.program, *self._orders.arguments)
            home = {"ALG_HOME": str(self._orders.home)} if self._orders.home else {}
            self._process = Process(command, "alg run", cwd=CHECKOUT, env={**os.environ, **home})
            try:
                self._process.wait_for_lines(self._orders.ready, self._orders.routes, START_SECONDS)
            except BaseException:
                self._process.stop()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def pid(self) -> int | None:
        """The gateway's process id; None in direct mode."""
        return self._process.pid if self._process else None

    def log_length(self) -> int:
        """How many lines it has logged so far."""
        return len(self._process.lines) if self._process else 0

    def log_since(self, start: int) -> list[str]:
        """What it has logged after the first `start` lines."""
        return self._process.lines[start:] if self._process else []

    def finish(self) -> list[str]:
        """Stop it; return what is wrong with how it ran and ended."""
        if self._process is None:
            return []
        wrong: list[str] = []
        if not self._process.alive():
            ended = f"the gateway ended by itself with status {self._process.stop()}"
            wrong.append(f"{ended}; its last words: {self._process.tail()}")
        elif (status := self._process.stop()) != 0:
            how = "did not end within 10 s" if status is None else f"ended with status {status}"
            wrong.append(f"the gateway {how} after SIGTERM; its last words: {self._process.tail()}")
        if any(re.search("Traceback|never awaited|never retrieved", line) for line in self._process.lines):
            wrong.append(f"the gateway logged an unexpected exception; its last words: {self._process.tail()}")
        return wrong

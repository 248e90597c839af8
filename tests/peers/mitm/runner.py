"""Makes one cell of the table and judges it by the client, the files and the wire on both sides."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.peers.control_tap import Tap, modes_used
from tests.peers.mover import TRANSFER_SECONDS, Mover, sections_text
from tests.peers.namespaces import Lab
from tests.peers.processes import Process
from tests.peers.servers import FTP_PORT, SAMPLE, Site
from tests.peers.tls.clients import TlsTransfer
from tests.peers.tls.runner import Leg, leg, wire_problem
from tests.peers.tls.services import IMPLICIT_PORT, Service
from tests.peers.tls.wire import TlsTap

from .modes import ProxyMode
from .plan import PAYLOADS, Cell
from .program import Dump
from .reach import invocation
from .tunnels import tunnel

SERVER_PORTS = frozenset((FTP_PORT, IMPLICIT_PORT))
# What clients print when they send a data command; over TLS that is the only place where it can be seen.
SAID = re.compile(r"(?:> |\*cmd\* '|Cmd: +)(PASV|EPSV|PORT|EPRT|LPSV|LPRT)\b")


@dataclass(frozen=True)
class Outcome:
    """How a transfer ended: what is wrong with it, if anything, with everything that helps to see why."""

    problem: str
    seconds: float
    details: str
    # How many bytes the receiving side has, and how the client ended.
    status: int | None


class Runner:
    """Both sides of the lab watched through one mode, one transfer at a time."""

    def __init__(self, lab: Lab, site: Site, scratch: Path, mode: ProxyMode, dump: Dump) -> None:
        self._mode = mode
        self._dump = dump
        self._scratch = scratch
        self._movers = {"sample": Mover(lab, site, scratch)}
        self._movers |= {name: Mover(lab, site, scratch, content, f"{name}.bin") for name, content in PAYLOADS.items()}
        ports = frozenset((mode.control_port("plain"), mode.control_port("implicit")))
        # Through a tunnel, the client's control channel is among what goes to the proxy's port.
        inside_port = mode.proxy_port or mode.control_port("plain")
        self._inside = Tap(lab.client, inside_port)
        self._outside = Tap(lab.server, FTP_PORT)
        self._inside_wire = TlsTap(lab.client, ports, False, mode.proxy_port, tunnel if mode.tunnels else None)
        self._outside_wire = TlsTap(lab.server, SERVER_PORTS, True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for tap in (self._inside, self._outside, self._inside_wire, self._outside_wire):
            self._stack.enter_context(closing(tap))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def transfer(self, cell: Cell, server: Process) -> Outcome:
        """Make it."""
        mover = self._movers[cell.payload]
        transfer = TlsTransfer(
            cell.command,
            cell.family,
            cell.direction,
            cell.name or self._mode.hosts[cell.family],
            self._mode.control_port(cell.security),
            mover.local_file(cell.label, cell.direction),
            sample=SAMPLE if cell.payload == "sample" else f"{cell.payload}.bin",
            security=cell.security,
            protection=cell.protection,
            version=cell.version,
            authority=self._dump.authority,
        )
        called = invocation(self._mode, cell.client, transfer, self._scratch, by_name=bool(cell.name))
        dump_start, server_start = len(self._dump.lines), len(server.lines)
        for tap in (self._inside, self._outside):
            tap.lines()
        for wire in (self._inside_wire, self._outside_wire):
            wire.view()
        trial = mover.run(transfer, called, TRANSFER_SECONDS)
        inside, outside = self._inside.lines(), self._outside.lines()
        views = {"client": self._inside_wire.view(), "server": self._outside_wire.view()}
        problem = trial.problem
        if not problem:
            problem = command_problem(cell, trial.said, inside, outside)
        for side, view in views.items():
            problem = problem or wire_problem(side, view, wanted_leg(cell))
        details = {
            "command": [" ".join(called.command)],
            "client": trial.said.splitlines(),
            "mitmdump": self._dump.lines[dump_start:],
            "server": server.lines[server_start:],
            "control channel at the client": printable(inside) if cell.security == "plain" else [],
            "control channel at the server": printable(outside) if cell.security == "plain" else [],
            "wire": [f"at the {side}: {view}" for side, view in views.items()],
        }
        return Outcome(problem, trial.seconds, sections_text(details), trial.status)


def wanted_leg(cell: Cell) -> Leg:
    """What the wire must show, the same on both sides."""
    wanted = leg(Service(cell.security, cell.protection, cell.version), "passive" if cell.passive else "active")
    if cell.payload == "empty" and wanted.data == "plain":
        return Leg(wanted.control, "nothing", wanted.opener)
    return wanted


def command_problem(cell: Cell, said: str, inside: list[str], outside: list[str]) -> str:
    """Which other command was used, if any: by the wire where it can be read, else by the client's words."""
    used = modes_used(inside) if cell.security == "plain" else SAID.findall(said)[-1:]
    if used != [cell.command]:
        return f"wanted one transfer with {cell.command}, at the client it was {used or 'none'}"
    used = modes_used(outside)
    if cell.security == "plain" and (len(used) != 1 or used[0] not in cell.server_commands):
        return f"wanted one transfer with {' or '.join(cell.server_commands)}, at the server it was {used or 'none'}"
    return ""


def printable(lines: list[str]) -> list[str]:
    """Lines without the bytes of files, which share the proxy's port with the commands."""
    return [line for line in lines if len(line) < 200 and line.isprintable()]

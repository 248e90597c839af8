"""The table: servers x clients x legs x rows. A row passes when the client saw what it must see, and the server's
output shows how the connection was closed.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.gateway import Gateway
from tests.peers.processes import LabError, Process
from tests.peers.rig import summary

from . import gateway, install
from .chromium import opened, trust
from .clients import CLIENTS, ROWS, SERVER_SEES, Surroundings, rows, settings
from .gateway import LEGS, MITMPROXY, PORTS, Leg
from .known import known_of_mitmproxy
from .servers import Stand, stand

PATIENCE = 3.0


@dataclass(frozen=True)
class Cell:
    """One square of the table."""

    leg: str
    server: str
    client: str
    row: str

    @property
    def label(self) -> str:
        """What `--only` is compared with."""
        return f"{self.leg}/{self.client}/{self.server}/{self.row}"


@dataclass(frozen=True)
class Result:
    """How a cell ended; nothing in `problem` means well, or, where it is `known`, as badly as mitmproxy alone does."""

    cell: Cell
    problem: str
    seconds: float
    known: bool = False


def planned(mode: str, only: str) -> list[Cell]:
    """The cells whose label holds all the words."""
    cells = [
        Cell(leg.name, server, client, row)
        for leg, server, client in itertools.product(gateway.legs(mode), PORTS, CLIENTS)
        for row in rows(client, mitmproxy=mode in MITMPROXY)
    ]
    return [cell for cell in cells if all(word in cell.label for word in only.split())]


def shown(server: Process, start: int, pattern: str) -> str:
    """Nothing once the server's output shows the pattern, else what is wrong."""
    deadline = time.monotonic() + PATIENCE
    while pattern and not any(re.search(pattern, line) for line in server.lines[start:]):
        if time.monotonic() > deadline:
            return f"the server does not show '{pattern}' but {server.lines[start:][-3:]}"
        time.sleep(0.02)
    return ""


def run_leg(built: Stand, mode: str, leg: Leg, cells: list[Cell], complaints: list[str]) -> Iterator[Result]:
    """Play all cells of a leg."""
    authority = gateway.trusted(mode, built.certificates, built.scratch)
    ports = [leg.port(name) for name in PORTS]
    with gateway.start(built.lab, mode, leg, ports, built.certificates, built.scratch) as middle:
        # The browser keeps idle connections, for whose end the gateway would wait.
        with ExitStack() as stack:
            around = Surroundings(built.lab.client, authority)
            if any(cell.client == "chromium" for cell in cells):
                home = built.scratch / f"home-{leg.name}"
                trust(home, authority)
                around = Surroundings(built.lab.client, authority, stack.enter_context(opened(built.lab.client, home)))
            for cell in cells:
                known = known_of_mitmproxy(mode, cell.client, cell.row) if mode in MITMPROXY else ""
                yield play(built, leg, middle, around, cell, known)
        complaints += [f"{leg.name}: {complaint}" for complaint in middle.finish()]


def play(built: Stand, leg: Leg, middle: Gateway, around: Surroundings, cell: Cell, known: str) -> Result:
    """Play one cell; print everything that helps where it failed, or did not fail as it is `known` for."""
    server = built.servers[cell.server, leg.outside]
    server_start, log_start = len(server.lines), middle.log_length()
    begin = time.monotonic()
    base = f"{leg.scheme}://{middle.hosts[4]}:{leg.port(cell.server)}"
    problem = CLIENTS[cell.client](around, cell.row, base, settings(cell.client))
    if known:
        problem = "" if re.search(known, problem) else f"'{problem}' instead of '{known}'"
    else:
        problem = problem or shown(server, server_start, SERVER_SEES.get(cell.client, ROWS[cell.row]))
    result = Result(cell, problem, round(time.monotonic() - begin, 2), bool(known))
    if problem:
        print(f"FAIL {cell.label} ({result.seconds} s): {problem}", flush=True)
        for line in [*middle.log_since(log_start)[-20:], *server.lines[server_start:][-10:]]:
            print(f"    {line}")
    return result


def grid(results: list[Result]) -> str:
    """A leg's table: a row for each row, a column for each client and server."""
    columns = list(dict.fromkeys((result.cell.client, result.cell.server) for result in results))
    found = {(result.cell.row, result.cell.client, result.cell.server): result for result in results}
    width = 11
    heads = ["".join(f"{column[part]:{width}}" for column in columns).rstrip() for part in range(2)]
    lines = [f"{name:21}{head}" for name, head in zip((f"{results[0].cell.leg}: client", "server"), heads, strict=True)]
    for row in ROWS:
        squares = [found.get((row, *column)) for column in columns]
        words = "".join(f"{square(one):{width}}" for one in squares)
        if any(squares):
            lines.append(f"{row:21}{words}".rstrip())
    return "\n".join(lines)


def square(result: Result | None) -> str:
    """A result in one word."""
    if result is None:
        return "-"
    return "FAIL" if result.problem else "known" if result.known else "ok"


def run_table(mode: str, only: str, report: Path | None) -> int:
    """Run, print the table, return the exit status: 0 only if nothing failed."""
    install.check()
    cells = planned(mode, only)
    if not cells:
        raise LabError(f"--only {only} fits no cell: names look like plain/chromium/ws/16 MiB")
    print(", ".join(f"{name} {version}" for name, version in install.versions().items()), flush=True)
    begin = time.monotonic()
    results: list[Result] = []
    complaints: list[str] = []
    with stand(mode == "direct") as built:
        built.lab.check_isolation(PORTS["ws"][0])
        for leg in LEGS:
            if mine := [cell for cell in cells if cell.leg == leg.name]:
                results += run_leg(built, mode, leg, mine, complaints)
    for leg in LEGS:
        if played := [result for result in results if result.cell.leg == leg.name]:
            print(grid(played))
    print(f"{time.monotonic() - begin:.0f} s in all, gateway: {mode}")
    if report is not None:
        report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    failed = sum(bool(result.problem) for result in results)
    return summary(len(results) - failed, failed, complaints)

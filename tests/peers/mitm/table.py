"""mitmdump with our addon between every server and the clients, in each of mitmproxy's modes.

A transfer passes when the client, which verifies the certificate, ends well, the bytes are the same on both sides, and
the wire shows the wanted command, the wanted security and who opened the data connection. mitmdump must end with
status 0, log no exception, and listen nowhere any more but where it began.
"""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.mover import SAMPLE_SIZE
from tests.peers.namespaces import Lab
from tests.peers.processes import LabError
from tests.peers.rig import built_lab, summary
from tests.peers.servers import FTP_PORT, Site
from tests.peers.tls.certificates import Certificates, make_certificates
from tests.peers.tls.services import Service, tls_server

from .modes import MODES
from .plan import ACTIVE, CLIENTS, PASSIVE, PROXIES, SERVERS, WAYS, Cell, gap_of, planned
from .program import Dump, Program
from .runner import Runner

# Both must do.
SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What comes of a cell without the addon: bytes lost that nobody is told of, or no data connection at all.
LOST = "lost"
BROKEN = "broken"
CONTROLS = (LOST, BROKEN)


@dataclass(frozen=True)
class Result:
    """What came of one cell: ok, FAIL, n/a, or one of `CONTROLS`."""

    cell: Cell
    status: str
    reason: str = ""
    seconds: float = 0.0
    details: str = ""


class Table:
    """Makes the cells in a lab."""

    def __init__(self, lab: Lab, site: Site, scratch: Path, program: Callable[[bool], Program], addon: bool) -> None:
        self._lab = lab
        self._site = site
        self._scratch = scratch
        self._program = program
        self._addon = addon
        self._certificates: Certificates = make_certificates(scratch / "certificates")
        self.complaints: list[str] = []

    def results(self, cells: list[Cell]) -> Iterator[Result]:
        """Make the cells: one mitmdump for a mode, behind it one server after the other."""
        signals = itertools.cycle(SIGNALS)
        for (addon, proxy), group in itertools.groupby(cells, lambda cell: (cell.addon, cell.proxy)):
            mine = list(group)
            yield from (Result(cell, "n/a", reason) for cell in mine if (reason := gap_of(cell)))
            rest = [cell for cell in mine if not gap_of(cell)]
            if rest:
                yield from self._mode_results(proxy, self._program(addon and self._addon), rest, next(signals))

    def _mode_results(
        self, proxy: str, program: Program, cells: list[Cell], number: signal.Signals
    ) -> Iterator[Result]:
        mode = MODES[proxy]
        with ExitStack() as stack:
            stack.enter_context(mode.surroundings(self._lab))
            dump = stack.enter_context(Dump(self._lab, program, mode, self._scratch, self._certificates.authority))
            runner = stack.enter_context(Runner(self._lab, self._site, self._scratch, mode, dump))
            for (name, service), group in itertools.groupby(cells, served_by):
                with tls_server(name, service, self._certificates.server).start(
                    self._lab, self._site, self._scratch
                ) as server:
                    for cell in group:
                        outcome = runner.transfer(cell, server)
                        yield judged(cell, outcome.problem, outcome.status, outcome.seconds, outcome.details)
            self.complaints += dump.finish(number)


def judged(cell: Cell, problem: str, status: int | None, seconds: float, details: str) -> Result:
    """A transfer's result; without the addon it must fail, silently or after the login."""
    if not cell.addon:
        expected = status == 0 if cell.payload == "loss" else "230 " in details
        if problem and expected:
            return Result(
                cell, LOST if cell.payload == "loss" else BROKEN, f"{problem}; so it is without the addon", seconds
            )
        return Result(
            cell, "FAIL", f"without the addon it should have failed in its usual way: {problem}", seconds, details
        )
    if problem:
        return Result(cell, "FAIL", problem, seconds, details)
    return Result(cell, "ok", seconds=seconds)


def served_by(cell: Cell) -> tuple[str, Service]:
    """The server that a cell needs."""
    return cell.server, Service(cell.security, cell.protection, cell.version)


def square(results: list[Result]) -> str:
    """The word for one square of the table."""
    counts = Counter(result.status for result in results)
    if not results:
        return "-"
    if counts["FAIL"]:
        return f"FAIL {counts['FAIL']}/{counts['FAIL'] + counts['ok']}"
    for control in CONTROLS:
        if counts[control]:
            return f"{control} {counts[control]}"
    return f"ok {counts['ok']}" if counts["ok"] else "n/a"


def table(results: list[Result]) -> str:
    """A row for each mode, server and client, a column for each way and data command."""
    present = {(result.cell.way, result.cell.command) for result in results}
    columns = [column for column in itertools.product(WAYS, (*PASSIVE, *ACTIVE)) if column in present]
    width = max(9, *(len(f"{way} {command}") + 2 for way, command in columns))
    heads = "".join(f"{f'{way} {command}':{width}}" for way, command in columns)
    lines = [f"{'mode':23}{'server':11}{'client':8}{heads}".rstrip()]
    rows: dict[tuple[str, str, str], list[Result]] = {}
    for result in sorted(results, key=place):
        cell = result.cell
        name = cell.proxy if cell.addon else f"no addon, {cell.proxy}"
        rows.setdefault((name, cell.server, cell.client), []).append(result)
    for (proxy, server, client), row in rows.items():
        squares = [
            square([result for result in row if (result.cell.way, result.cell.command) == column]) for column in columns
        ]
        words = "".join(f"{word:{width}}" for word in squares)
        lines.append(f"{proxy:23}{server:11}{client:8}{words}".rstrip())
    return "\n".join(lines)


def place(result: Result) -> tuple[bool, int, int, int]:
    """Where a result's row stands."""
    cell = result.cell
    proxies = ("reverse", *PROXIES)
    return not cell.addon, proxies.index(cell.proxy), SERVERS.index(cell.server), CLIENTS.index(cell.client)


def notes(results: list[Result]) -> list[str]:
    """Totals for each mode, and why cells were left out or lost."""
    lines = [
        "ex, im: explicit, implicit TLS; P, C: PROT; squares count transfers, both directions and both IP versions"
    ]
    for proxy in ("reverse", *PROXIES):
        mine = [result for result in results if result.cell.proxy == proxy and result.cell.addon]
        counts = Counter(result.status for result in mine)
        if mine:
            seconds = sum(result.seconds for result in mine)
            lines.append(f"{proxy}: {counts['ok']} ok, {counts['FAIL']} failed, {counts['n/a']} n/a, {seconds:.0f} s")
    reasons = Counter(
        f"{result.status}: {result.cell.client}: {result.reason}"
        for result in results
        if result.status in ("n/a", *CONTROLS)
    )
    return lines + [f"{reason} ({count})" for reason, count in reasons.items()]


def run_table(program: Callable[[bool], Program], addon: bool, only: str, report: Path | None) -> int:
    """Run, print the table, return the exit status: 0 only if nothing failed."""
    cells = planned(only)
    if not cells:
        raise LabError(
            f"--only {only} fits no cell: names look like reverse/vsftpd/curl/explicit/P/1.3/PASV/4/download"
        )
    begin = time.monotonic()
    print(program(addon).version())
    results: list[Result] = []
    with built_lab(False, SAMPLE_SIZE) as (lab, site, scratch):
        lab.check_isolation(FTP_PORT)
        # Some servers leave port 20 in TIME_WAIT, in a way that keeps the next one from it for a minute.
        lab.server.set_kernel("net.ipv4.tcp_max_tw_buckets", "0")
        work = Table(lab, site, scratch, program, addon)
        for result in work.results(cells):
            results.append(result)
            if result.status == "FAIL":
                print(f"FAIL {result.cell.label} ({result.seconds} s): {result.reason}\n{result.details}", flush=True)
    print(table(results))
    print("\n".join(notes(results)))
    print(f"{time.monotonic() - begin:.0f} s in all")
    if report is not None:
        report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    statuses = Counter(result.status for result in results)
    return summary(len(results) - statuses["FAIL"] - statuses["n/a"], statuses["FAIL"], work.complaints)

"""Every server by every client by every data mode, in both directions.

A transfer passes when the client ends well, the bytes are the same on both sides, and the wire
shows that the wanted command opened the data connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from .clients import CLIENTS, COLUMNS, DIRECTIONS, GAPS, Transfer, gap_reason
from .control_tap import Tap, modes_used
from .mover import SAMPLE_SIZE, Mover, sections_text
from .processes import LabError
from .rig import Rig, built_rig, summary
from .servers import FTP_PORT, SERVERS


@dataclass(frozen=True)
class Result:
    """What came of one transfer."""

    server: str
    client: str
    mode: str
    family: int
    direction: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    details: str = ""

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        return f"{self.server}/{self.client}/{self.mode}/{self.family}/{self.direction}"


class Runner:
    """Makes transfers on a rig and judges them."""

    def __init__(self, rig: Rig) -> None:
        self._gateway = rig.gateway
        self._mover = Mover(rig.lab, rig.site, rig.scratch)
        self._inside = Tap(rig.lab.client, rig.gateway.port)
        self._outside = Tap(rig.lab.server, FTP_PORT)

    def close(self) -> None:
        """Give the packet sockets back."""
        self._inside.close()
        self._outside.close()

    def transfer(self, plan: Result) -> Result:
        """Make the planned transfer."""
        local = self._mover.local_file(plan.label, plan.direction)
        transfer = Transfer(
            plan.mode, plan.family, plan.direction, self._gateway.hosts[plan.family], self._gateway.port, local
        )
        invocation = CLIENTS[plan.client](transfer)
        log_start = self._gateway.log_length()
        self._inside.lines()
        self._outside.lines()
        trial = self._mover.run(transfer, invocation)
        inside = self._inside.lines()
        outside = self._outside.lines()
        reason = trial.problem
        if not reason and (used := modes_used(inside)) != [plan.mode]:
            reason = f"wanted one transfer with {plan.mode}, the wire shows {used or 'none'}"
        if not reason:
            return Result(*plan_key(plan), "ok", seconds=trial.seconds)
        details = {
            "command": [" ".join(invocation.command)],
            "client": trial.said.splitlines(),
            "gateway log": self._gateway.log_since(log_start),
            "control channel at the client": inside,
            "control channel at the server": outside,
        }
        return Result(*plan_key(plan), "FAIL", reason, trial.seconds, sections_text(details))


def plan_key(plan: Result) -> tuple[str, str, str, int, str]:
    """The five words that name a transfer."""
    return plan.server, plan.client, plan.mode, plan.family, plan.direction


def planned(only: str) -> list[Result]:
    """Every transfer to make or to leave out, in order."""
    plans: list[Result] = []
    for server in SERVERS:
        for client in CLIENTS:
            for mode, family in COLUMNS:
                for direction in DIRECTIONS:
                    reason = gap_reason(client, mode, family, direction)
                    status = "n/a" if reason else "planned"
                    plans.append(Result(server.name, client, mode, family, direction, status, reason or ""))
    return [plan for plan in plans if only.lower() in plan.label.lower()]


def perform(rig: Rig, plans: list[Result]) -> Iterator[Result]:
    """Make the transfers, server by server."""
    with closing(Runner(rig)) as runner:
        for server in SERVERS:
            mine = [plan for plan in plans if plan.server == server.name]
            if all(plan.status == "n/a" for plan in mine):
                yield from mine
                continue
            with server.start(rig.lab, rig.site, rig.scratch):
                rig.lab.check_isolation(FTP_PORT)
                for plan in mine:
                    yield plan if plan.status == "n/a" else runner.transfer(plan)


def cell(results: list[Result]) -> str:
    """The word for one square of the table: both directions of one mode."""
    statuses = {result.direction: result.status for result in results}
    if "FAIL" in statuses.values():
        return "FAIL"
    done = [direction for direction, status in statuses.items() if status == "ok"]
    if not done:
        return "n/a" if statuses else "-"
    return "ok" if len(done) == len(DIRECTIONS) else f"ok ({done[0][:4]})"


def table(results: list[Result]) -> str:
    """Rows server by client, columns mode by IP version."""
    lines = [f"{'server':11}{'client':8}" + "".join(f"{f'{mode} v{family}':11}" for mode, family in COLUMNS)]
    for server, client in dict.fromkeys((result.server, result.client) for result in results):
        row = [result for result in results if (result.server, result.client) == (server, client)]
        cells = [cell([r for r in row if (r.mode, r.family) == column]) for column in COLUMNS]
        lines.append(f"{server:11}{client:8}" + "".join(f"{word:11}" for word in cells).rstrip())
    return "\n".join(lines)


def gap_notes(results: list[Result]) -> list[str]:
    """Each reason for n/a that the results hold, once."""
    given = {result.reason for result in results if result.status == "n/a"}
    notes: list[str] = []
    for gap in GAPS:
        if gap.reason in given:
            where = ", ".join(f"{mode} v{family}" for mode, family in gap.columns)
            what = "" if gap.directions == DIRECTIONS else f" {' '.join(gap.directions)}"
            notes.append(f"n/a: {gap.client}{what}, {'all' if gap.columns == COLUMNS else where}: {gap.reason}")
    return notes


def run_matrix(mode: str, only: str, report: Path | None) -> int:
    """Run, print the table, return the exit status: 0 only if nothing failed."""
    plans = planned(only)
    if not plans:
        raise LabError(f"--only {only} fits no transfer: names look like vsftpd/curl/PASV/4/download")
    results: list[Result] = []
    with built_rig(mode, SAMPLE_SIZE) as rig:
        for result in perform(rig, plans):
            results.append(result)
            if result.status == "FAIL":
                print(f"FAIL {result.label} ({result.seconds} s): {result.reason}\n{result.details}", flush=True)
    print(table(results))
    for note in gap_notes(results):
        print(note)
    if report is not None:
        report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    statuses = [result.status for result in results]
    return summary(statuses.count("ok"), statuses.count("FAIL"), rig.complaints)

"""Every server by every client over TLS: explicit and implicit, PROT P and C, passive and active, 1.2 and 1.3.

A transfer passes when the client, which verifies the certificate, ends well, the bytes are the same on
both sides, and the wire shows the wanted version on the control channel, and on the one data channel
the wanted version or none. The servers speak one version and refuse what is less secure than the cell.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.peers.clients import DIRECTIONS
from tests.peers.mover import SAMPLE_SIZE, TRANSFER_SECONDS, Mover
from tests.peers.processes import LabError, Process
from tests.peers.rig import Rig, built_rig, summary

from .certificates import Certificates
from .clients import CLIENTS, TlsTransfer
from .gateway import CERTIFICATES, both_routes, control_ports
from .known import KNOWN
from .plan import COLUMNS, GAPS, Cell, first_fit, planned
from .runner import COMMANDS, Outcome, Runner, leg
from .services import SERVER_NOTES, SERVERS, Service, tls_server

# What is known to fail often does so by waiting for ever; what works takes less than a second.
KNOWN_SECONDS = 3.0


@dataclass(frozen=True)
class Result:
    """What came of one cell."""

    cell: Cell
    status: str
    reason: str = ""
    seconds: float = 0.0
    details: str = ""


class Table:
    """Makes the cells of the table on a rig."""

    def __init__(self, rig: Rig, runner: Runner, certificates: Certificates, direct: bool) -> None:
        self._rig = rig
        self._runner = runner
        self._direct = direct
        self._certificates = certificates

    def results(self, cells: list[Cell]) -> Iterator[Result]:
        """Make the cells, one run of a server for all that it can serve in the same way."""
        for (name, service), group in itertools.groupby(cells, served_by):
            mine = list(group)
            gaps = {cell: gap for cell in mine if (gap := first_fit(GAPS, cell))}
            yield from (Result(cell, "n/a", gap.reason) for cell, gap in gaps.items())
            if len(gaps) == len(mine):
                continue
            with tls_server(name, service, self._certificates.server).start(
                self._rig.lab, self._rig.site, self._rig.scratch
            ) as run:
                self._rig.lab.check_isolation(service.port)
                yield from (self._judge(cell, run) for cell in mine if cell not in gaps)
                yield from self._refusals(mine, service, run)

    def _judge(self, cell: Cell, server: Process) -> Result:
        known = first_fit(KNOWN, cell)
        outcome = self._transfer(cell, server, KNOWN_SECONDS if known else TRANSFER_SECONDS)
        if known and outcome.problem:
            return Result(cell, "known", known.reason, outcome.seconds, outcome.problem)
        if known and self._direct and not known.by_chance:
            return Result(cell, "FAIL", f"listed as failing without the gateway, yet it works: {known}")
        if outcome.problem:
            return Result(cell, "FAIL", outcome.problem, outcome.seconds, outcome.details)
        return Result(cell, "ok", seconds=outcome.seconds)

    def _transfer(self, cell: Cell, server: Process, limit: float, authority: Path | None = None) -> Outcome:
        service = Service(cell.security, cell.protection, cell.version)
        transfer = TlsTransfer(
            COMMANDS[cell.mode, 4],
            4,
            cell.direction,
            self._rig.gateway.hosts[4],
            self._runner.ports[cell.security],
            self._runner.local_file(cell.label, cell.direction),
            security=cell.security,
            protection=cell.protection,
            version=cell.version,
            authority=authority or self._certificates.trusted,
        )
        wanted = leg(service, cell.mode)
        return self._runner.transfer(cell.client, transfer, (wanted, wanted), (self._rig.gateway, server), limit)

    def _refusals(self, cells: list[Cell], service: Service, server: Process) -> Iterator[Result]:
        """What must not work: a plain login, plain data where TLS is demanded, a certificate of unknown origin."""
        if service.security != "explicit" or not service.private:
            return
        first = replace(cells[0], client="ftplib", mode="passive", direction="download")
        for weaker in (replace(first, security="plain"), replace(first, protection="C")):
            outcome = self._transfer(weaker, server, TRANSFER_SECONDS)
            yield refused(weaker, outcome, r"ftplib\.error_(perm|temp|reply): [45]")
        for client in dict.fromkeys(cell.client for cell in cells):
            cell = replace(first, client=client)
            outcome = self._transfer(cell, server, TRANSFER_SECONDS, self._certificates.foreign)
            yield refused(cell, outcome, r"(?i)certificate.*(problem|verif|not trusted)")


def refused(cell: Cell, outcome: Outcome, words: str) -> Result:
    """Whether a transfer that must not work did not, for the right reason."""
    if outcome.problem and re.search(words, outcome.said):
        return Result(cell, "refused")
    return Result(cell, "FAIL", f"it should have been refused with words like {words}", 0.0, outcome.details)


def served_by(cell: Cell) -> tuple[str, Service]:
    """The server that a cell needs."""
    return cell.server, Service(cell.security, cell.protection, cell.version)


def square(results: list[Result]) -> str:
    """The word for one square of the table: both directions."""
    statuses = {result.cell.direction: result.status for result in results}
    if "FAIL" in statuses.values():
        return "FAIL"
    done = [direction for direction, status in statuses.items() if status == "ok"]
    if done:
        return "ok" if len(done) == len(DIRECTIONS) else f"ok ({done[0][:4]})"
    return "n/a*" if "known" in statuses.values() else "n/a" if statuses else "-"


def table(results: list[Result]) -> str:
    """Rows server by client by version, columns security by protection by mode."""
    squares: dict[tuple[str, str, str], dict[tuple[str, str, str], list[Result]]] = {}
    for result in results:
        cell = result.cell
        row = squares.setdefault((cell.server, cell.client, cell.version), {})
        row.setdefault((cell.security, cell.protection, cell.mode), []).append(result)
    heads = [f"{security[:2]} {protection} {mode}" for security, protection, mode in COLUMNS]
    lines = [f"{'server':13}{'client':13}{'TLS':5}" + "".join(f"{head:13}" for head in heads).rstrip()]
    order = [*SERVERS, *CLIENTS]
    rows = sorted(squares.items(), key=lambda item: (order.index(item[0][0]), order.index(item[0][1]), item[0][2]))
    for (server, client, version), row in rows:
        words = [square(row.get(column, [])) for column in COLUMNS]
        lines.append(f"{server:13}{client:13}{version:5}" + "".join(f"{word:13}" for word in words).rstrip())
    return "\n".join(lines)


def notes(results: list[Result], direct: bool) -> list[str]:
    """What the words of the table mean, with counts."""
    lines = ["ex, im: explicit, implicit TLS; P, C: PROT, data encrypted or clear", SERVER_NOTES]
    refused = Counter(result.cell.server for result in results if result.status == "refused")
    if refused:
        told = ", ".join(f"{server} {count}" for server, count in refused.items())
        lines.append(f"refused as they should be, plain logins, plain data, certificates of unknown origin: {told}")
    gaps = {first_fit(GAPS, result.cell) for result in results if result.status == "n/a"}
    lines += [f"n/a: {gap}" for gap in GAPS if gap in gaps]
    for known in KNOWN:
        mine = [result for result in results if first_fit(KNOWN, result.cell) is known]
        failed = sum(result.status == "known" for result in mine)
        if failed:
            lines.append(f"n/a*: fails without the gateway: {known} ({failed})")
        if worked := sum(result.status == "ok" for result in mine):
            lines.append(f"{'worked this time' if direct else 'yet works through the gateway'}: {known} ({worked})")
    return lines


def run_matrix(mode: str, only: str, mint: bool, report: Path | None) -> int:
    """Run, print the table, return the exit status: 0 only if nothing failed."""
    cells = planned(only)
    if not cells:
        raise LabError(f"--only {only} fits no cell: names look like vsftpd/curl/explicit/P/passive/1.3/download")
    results: list[Result] = []
    with built_rig(mode, SAMPLE_SIZE, orders=functools.partial(both_routes, mint=mint)) as rig:
        certificates = Certificates(rig.scratch / CERTIFICATES, mint)
        mover = Mover(rig.lab, rig.site, rig.scratch)
        with closing(Runner(rig.lab, mover, control_ports(mode))) as runner:
            for result in Table(rig, runner, certificates, mode == "direct").results(cells):
                results.append(result)
                if result.status == "FAIL":
                    print(
                        f"FAIL {result.cell.label} ({result.seconds} s): {result.reason}\n{result.details}", flush=True
                    )
    print(table([result for result in results if result.status != "refused"]))
    print("\n".join(notes(results, mode == "direct")))
    if report is not None:
        report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    statuses = Counter(result.status for result in results)
    return summary(statuses["ok"] + statuses["refused"], statuses["FAIL"], rig.complaints)

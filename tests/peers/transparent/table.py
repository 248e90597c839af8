"""All rows through each kind of gateway, side by side."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from tests.peers.clients import DIRECTIONS
from tests.peers.mover import SAMPLE_SIZE
from tests.peers.processes import LabError
from tests.peers.rig import summary
from tests.peers.servers import Site
from tests.peers.tls.certificates import make_certificates

from .middle import OURS, Middle, lab_for, orders, rules
from .plan import Row, planned
from .runner import Result, Runner, check_closed
from .singles import NAMES, perform_singles


def through(
    kind: str, rows: list[Row], singles: list[str], complaints: list[str]
) -> Iterator[Result | tuple[str, str]]:
    """Build a lab with that gateway; yield each row's result, then each single row's name with what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="alg-peers-") as folder:
        scratch = Path(folder)
        site = Site(scratch, SAMPLE_SIZE)
        certificates = make_certificates(scratch / "certificates", mint=True)
        with lab_for(kind, site.etc_files()) as lab:
            if kind in OURS:
                check_closed(lab)
            if rows:
                with rules(lab, kind), Middle(lab, kind, orders(certificates.home)) as gateway:
                    yield from Runner(lab, site, scratch, gateway, certificates).perform(rows)
                    complaints += [f"{kind}: {each}" for each in gateway.finish()]
            if kind in OURS:
                yield from perform_singles(lab, kind, site, scratch, certificates, singles)


def run_table(kinds: list[str], only: str, report: Path | None) -> int:
    """Run, print the table, return the exit status: 0 if nothing failed that is ours."""
    rows = planned(only)
    singles = [name for name in NAMES if all(word in f"/{name}/".lower() for word in only.lower().split())]
    if not rows and not singles:
        raise LabError(f"--only {only} fits no row: names look like vsftpd/curl/plain/PASV/4/download, or {NAMES[0]}")
    results: list[Result] = []
    named: list[tuple[str, str]] = []
    complaints: list[str] = []
    for kind in kinds:
        for result in through(kind, rows, singles, complaints):
            if isinstance(result, tuple):
                named.append(result)
                print(f"{'FAIL' if result[1] else 'ok'} {result[0]}{': ' if result[1] else ''}{result[1]}", flush=True)
                continue
            results.append(result)
            if result.status == "FAIL" and kind in OURS:
                print(f"FAIL {kind} {result.row.label}: {result.reason}\n{result.details}", flush=True)
    if rows:
        print("\n".join(table(results, kinds)))
    if report is not None:
        report.write_text(
            json.dumps([asdict(result) for result in results] + [list(each) for each in named], indent=1) + "\n"
        )
    ours = [result for result in results if result.gateway in OURS]
    passed = sum(result.status == "ok" for result in ours) + sum(not problem for _, problem in named)
    failed = sum(result.status == "FAIL" for result in ours) + sum(bool(problem) for _, problem in named)
    return summary(passed, failed, complaints)


def table(results: list[Result], kinds: list[str]) -> list[str]:
    """A line for each server, security, client and mode; a column for each kind of gateway; totals; what failed and why."""
    squares: dict[tuple[str, str, str, str, int], dict[str, list[Result]]] = {}
    order = {row: place for place, row in enumerate(planned(""))}
    for result in sorted(results, key=lambda result: order[result.row]):
        row = result.row
        key = row.server, row.security, row.client, row.mode, row.family
        squares.setdefault(key, {}).setdefault(result.gateway, []).append(result)
    lines = [f"{'server':11}{'client':14}{'':7}{'mode':9}" + "".join(f"{kind:12}" for kind in kinds).rstrip()]
    for (server, security, client, mode, family), square in squares.items():
        words = "".join(f"{word(square.get(kind, [])):12}" for kind in kinds)
        lines.append(f"{server:11}{client:14}{security:7}{f'{mode} v{family}':9}{words}".rstrip())
    lines += ["", *totals(results, kinds), "", *reasons(results)]
    return lines


def word(results: list[Result]) -> str:
    """The word for one square: both directions."""
    statuses = {result.row.direction: result.status for result in results}
    failed = [direction for direction, status in statuses.items() if status == "FAIL"]
    done = [direction for direction, status in statuses.items() if status == "ok"]
    if failed:
        return "FAIL" if not done else f"FAIL ({failed[0][:4]})"
    if not done:
        return "n/a" if statuses else "-"
    return "ok" if len(done) == len(DIRECTIONS) else f"ok ({done[0][:4]})"


def totals(results: list[Result], kinds: list[str]) -> Iterator[str]:
    """How many transfers passed, of those that a client can make."""
    groups: dict[str, Callable[[Row], bool]] = {
        "plain FTP": lambda row: row.security == "plain",
        "FTPS": lambda row: row.security == "tls",
        "passive": lambda row: row.mode in ("PASV", "EPSV"),
        "active": lambda row: row.mode in ("PORT", "EPRT"),
        "IPv4": lambda row: row.family == 4,
        "IPv6": lambda row: row.family == 6,
        "all": lambda _: True,
    }
    yield f"{'passed of':41}" + "".join(f"{kind:12}" for kind in kinds).rstrip()
    for name, belongs in groups.items():
        counts = []
        for kind in kinds:
            mine = Counter(each.status for each in results if each.gateway == kind and belongs(each.row))
            counts.append(f"{mine['ok']} of {mine['ok'] + mine['FAIL']}")
        yield f"{name:41}" + "".join(f"{count:12}" for count in counts).rstrip()


def reasons(results: list[Result]) -> Iterator[str]:
    """Why transfers were left out."""
    given = dict.fromkeys((each.row.client, each.reason) for each in results if each.status == "n/a")
    for client, reason in given:
        yield f"n/a: {client}: {reason}"

"""Real clients of proxies with real proxies, row by row: SOCKS4, 4a and 5, CONNECT, the PROXY protocol, a second proxy.

Only the gateway joins the two sides. Dante, microsocks, tinyproxy and HAProxy prove the lab and stand beside ALG. What
one of them cannot do is tried all the same, and must fail: `n/a`, with the reason below the table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.extras.stage import RowError
from tests.peers.mover import SAMPLE_SIZE
from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab
from tests.peers.processes import LabError
from tests.peers.rig import summary
from tests.peers.servers import Site

from . import servers
from .cases import binding, chains, datagrams, files, headers, refusals, shells, web
from .others import NO_WAY, OTHERS
from .places import DEEP, FORBIDDEN, GREETING_PORT, WAYS, WEB_PORT, Way, furnish
from .stage import Bench, Case, Stage, knows, staged

TOPICS = (web, files, shells, datagrams, binding, refusals, headers, chains)
GATEWAYS = ("alg", *OTHERS, "direct")
"""`all` are these without the last."""
FAILURES = (RowError, LabError, OSError, EOFError)


@dataclass(frozen=True)
class Result:
    """What became of a case with a gateway: ok, FAIL or n/a, and why."""

    label: str
    gateway: str
    status: str
    reason: str = ""


def chosen_cases(only: str) -> list[Case]:
    """Those whose label holds the words, in the order of the ways in."""
    words = only.lower().split()
    found = [case for topic in TOPICS for case in topic.cases()]
    if len({case.label for case in found}) != len(found):
        raise LabError("two cases have one name")
    found = [case for case in found if all(word in case.label.lower() for word in words)]
    if not found:
        raise LabError(f"--only {only} fits no case: names look like 'socks/web, curl --socks4'")
    return sorted(found, key=lambda case: WAYS.index(case.way))


@contextmanager
def built_bench(*, direct: bool) -> Iterator[Bench]:
    """Build the namespaces with servers in one of them, and see that they are apart, and that the gateway reaches all."""
    with tempfile.TemporaryDirectory(prefix="alg-peers-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        scratch = Path(folder)
        site = Site(scratch, SAMPLE_SIZE)
        # sshd gives up root in favour of a user of its own.
        etc = site.etc_files()
        etc["passwd"] += "sshd:x:10023:65534::/run/sshd:/usr/sbin/nologin\n"
        lab = stack.enter_context(Lab(direct, etc))
        furnish(lab)
        daemons = [
            servers.web(site, scratch),
            servers.ftp(site, scratch),
            servers.shell(scratch),
            servers.names(scratch),
        ]
        daemons += [servers.echo(sys.executable), *servers.second_proxies(scratch)]
        running = {daemon.name: stack.enter_context(daemon.running(lab.server)) for daemon in daemons}
        lab.check_isolation(WEB_PORT)
        for host in ("127.0.0.1", "::1", GATEWAY_INSIDE[4], *GATEWAY_OUTSIDE.values()):
            stack.enter_context(lab.gateway.listen(host, GREETING_PORT))
            check_reach(lab, host, GREETING_PORT)
        for host in (FORBIDDEN, *SERVER.values()):
            check_reach(lab, host, WEB_PORT)
        if not direct and lab.gateway.knock(DEEP, WEB_PORT) is None:
            raise LabError(f"the gateway reaches {DEEP} without a second proxy: the lab is broken")
        yield Bench(lab, site, scratch, running)


def check_reach(lab: Lab, host: str, port: int) -> None:
    """A target that the gateway could not reach would prove nothing by being refused."""
    if (answer := lab.gateway.knock(host, port)) is not None:
        raise LabError(f"the gateway does not reach {host} port {port}: {answer}: the lab is broken")


def outcome(stage: Stage, case: Case) -> Result:
    """Play a case; print what a failure has to show."""
    stage.begin()
    problem = ""
    try:
        case.play(stage)
    except FAILURES as error:
        problem = f"{error}" or type(error).__name__
    gap = case.gaps.get(stage.kind, "")
    if gap and problem:
        return Result(case.label, stage.kind, "n/a", gap)
    if not problem and not gap:
        return Result(case.label, stage.kind, "ok")
    problem = problem or f"works after all, though {gap}"
    print(f"FAIL {stage.kind} {case.label}: {problem}\n{stage.details()}", flush=True)
    return Result(case.label, stage.kind, "FAIL", problem)


def perform(kind: str, way: Way, cases: list[Case], bench: Bench, complaints: list[str]) -> Iterator[Result]:
    """Play the cases of one way in with one gateway."""
    tried = [case for case in cases if case.direct] if kind == "direct" else cases if knows(kind, way) else []
    for case in cases:
        if case not in tried:
            yield Result(case.label, kind, "n/a", NO_WAY[kind])
    if not tried:
        return
    done = 0
    try:
        with staged(kind, way, bench, complaints) as stage:
            for case in tried:
                yield outcome(stage, case)
                done += 1
    except LabError as error:
        print(f"FAIL {kind} {way.name}: {error}", flush=True)
        for case in tried[done:]:
            yield Result(case.label, kind, "FAIL", f"the gateway does not run: {error}")
        if done == len(tried):
            complaints.append(f"{kind} {way.name}: {error}")


def table(cases: list[Case], kinds: list[str], results: dict[tuple[str, str], Result]) -> str:
    """Rows are cases, columns gateways; a number behind n/a is that of its reason below."""
    reasons: list[str] = []
    widest = max(len(case.label) for case in cases)
    lines = [" ".join((" " * widest, *(f"{kind:10}" for kind in kinds))).rstrip()]
    for case in cases:
        if all(results[case.label, kind].reason == NO_WAY.get(kind, "") != "" for kind in kinds):
            continue
        cells = []
        for kind in kinds:
            result = results[case.label, kind]
            mark = result.status
            if mark == "n/a":
                if result.reason not in reasons:
                    reasons.append(result.reason)
                mark = f"n/a {reasons.index(result.reason) + 1}"
            cells.append(f"{mark:10}")
        lines.append(" ".join((f"{case.label:{widest}}", *cells)).rstrip())
    return "\n".join([*lines, "", *(f"n/a {number}: {reason}" for number, reason in enumerate(reasons, 1))])


def run_table(gateway: str, only: str, report: Path | None) -> int:
    """Run the cases, return the exit status: 0 only if nothing failed."""
    cases = chosen_cases(only)
    kinds = list(GATEWAYS[:-1]) if gateway == "all" else [gateway]
    results: dict[tuple[str, str], Result] = {}
    complaints: list[str] = []
    with built_bench(direct=gateway == "direct") as bench:
        for kind in kinds:
            for way in WAYS:
                if here := [case for case in cases if case.way is way]:
                    for result in perform(kind, way, here, bench, complaints):
                        results[result.label, kind] = result
    print(table(cases, kinds, results))
    if report:
        rows = [vars(result) for result in results.values()]
        report.write_text(json.dumps({"results": rows, "gateway": complaints}, indent=2))
    counts = [result.status for result in results.values()]
    return summary(counts.count("ok"), counts.count("FAIL"), complaints)

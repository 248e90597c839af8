"""The table of RFC 6455 and RFC 7692: our raw client plays each case against each server, directly and through the
gateway; real clients then meet a server that misbehaves. A case passes when both verdicts are the same, or the row
allows the one through the gateway.

With `--gateway direct` each verdict is held against what the RFC allows and what `known.py` lists.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.gateway import Gateway
from tests.peers.namespaces import SERVER, Namespace
from tests.peers.processes import LabError
from tests.peers.rig import guarded, summary

from . import gateway, install, reverse
from .cases import every_case
from .cases.case import Case
from .chromium import opened, trust
from .clients import Surroundings
from .gateway import LEGS, MITMPROXY, MODES, PORTS, ROGUE_PORT
from .known import known
from .player import play
from .reverse import Encounter
from .servers import Stand, listening, rogue, stand


@dataclass(frozen=True)
class Result:
    """The verdicts of one case with one server or client."""

    area: str
    name: str
    peer: str
    direct: str
    through: str
    status: str


_REASON = re.compile(r"(?<=[0-9]{4}) [a-z_]+$")  # of a close frame of the gateway
_OF_THE_LEG = re.compile(r"; (?:client|server)_(?:max_window_bits|no_context_takeover)(?:=\"?[0-9]+\"?)?|compressed ")


def plain(verdict: str) -> str:
    """A verdict without what a gateway that reads frames agrees on with each side: how compression is done, and whether."""
    return _OF_THE_LEG.sub("", verdict)


def judged(case: Case, server: str, direct: str, through: str | None, *, reads: bool = False) -> Result:
    """Hold the verdicts against each other, and the direct one against the RFC.

    A gateway that reads frames is an end of each leg: it may do all that the RFC allows.
    """
    status = "ok"
    if through is None:
        status = "ok" if case.fits(direct) else "known" if known(server, case.label) == direct else "FAIL"
    elif through != direct and not (reads and plain(through) == plain(direct)):
        fits = reads and (case.fits(through) or plain(through) in map(plain, case.expected))
        status = "allowed" if case.permits(through) or fits else "FAIL"
    return Result(case.area, case.name, server, direct, through or "", status)


def forward(built: Stand, middle: Gateway, mode: str, cases: list[Case]) -> Iterator[Result]:
    """Our client against both servers."""
    near = built.lab.client if mode == "direct" else built.lab.gateway
    for server, (port, _) in PORTS.items():
        for case in cases:
            log_start = middle.log_length()
            direct = play(case, near, SERVER[4], port)
            through = None if mode == "direct" else play(case, built.lab.client, middle.hosts[4], port)
            result = judged(case, server, direct, through, reads=mode == "frames")
            if result.status == "FAIL":
                report(result, case.expected, middle.log_since(log_start))
            yield result


def backward(built: Stand, middle: Gateway, mode: str, chosen: list[Encounter]) -> Iterator[Result]:
    """Real clients against our server."""
    near = built.lab.client if mode == "direct" else built.lab.gateway
    with ExitStack() as stack:
        browser = any(encounter.client == "chromium" for encounter in chosen)
        first = surroundings(stack, built, near, "near", browser)
        second = None if mode == "direct" else surroundings(stack, built, built.lab.client, "far", browser)
        for encounter in chosen:
            log_start = middle.log_length()
            direct = encounter.play(first, f"ws://{SERVER[4]}:{ROGUE_PORT}")
            through = encounter.play(second, f"ws://{middle.hosts[4]}:{ROGUE_PORT}") if second else ""
            status = "FAIL" if encounter.wrong(direct) else "ok"
            if second and through != direct:
                said = _REASON.sub("", through)
                status = "allowed" if said in encounter.allowed else "FAIL"
            result = Result(encounter.area, encounter.path, encounter.client, direct, through, status)
            if status == "FAIL":
                report(result, encounter.allowed, middle.log_since(log_start))
            yield result


def surroundings(stack: ExitStack, built: Stand, namespace: Namespace, name: str, browser: bool) -> Surroundings:
    """Where clients run, with a browser if one is wanted."""
    authority = built.certificates.authority
    if not browser:
        return Surroundings(namespace, authority)
    home = built.scratch / f"home-{name}"
    trust(home, authority)
    return Surroundings(namespace, authority, stack.enter_context(opened(namespace, home)))


def report(result: Result, expected: frozenset[str], log: list[str]) -> None:
    """Print a failure with what helps to see why."""
    print(f"FAIL {result.area}/{result.name} with {result.peer}\n    direct:  {result.direct[:400]}")
    if result.through:
        print(f"    through: {result.through[:400]}")
    for one in sorted(expected)[:8]:
        print(f"    wanted:  {one[:400]}")
    for line in log[-10:]:
        print(f"    log:     {line}")
    sys.stdout.flush()


def counted(results: list[Result]) -> str:
    """A row for each area."""
    columns = ("ok", "allowed", "known", "FAIL")
    lines = [f"{'area':28}{'cases':>7}{'played':>8}{''.join(f'{column:>9}' for column in columns)}"]
    for area in [*dict.fromkeys(result.area for result in results), ""]:
        mine = [result for result in results if area in ("", result.area)]
        names = {(result.area, result.name) for result in mine}
        counts = Counter(result.status for result in mine)
        words = "".join(f"{counts[column]:>9}" for column in columns)
        lines.append(f"{area or 'all':28}{len(names):>7}{len(mine):>8}{words}")
    return "\n".join(lines)


def run_table(mode: str, only: str, file: Path | None) -> int:
    """Run, print the counts, return the exit status: 0 only if nothing failed."""
    install.check()
    words = only.split()
    cases = [case for case in every_case() if all(word in case.label for word in words)]
    chosen = [one for one in reverse.encounters() if all(word in one.label for word in words)]
    if not cases and not chosen:
        raise LabError(f"--only {only} fits no case: names look like pings/ten, reverse, frames/rsv1/ws")
    begin = time.monotonic()
    results: list[Result] = []
    complaints: list[str] = []
    with stand(mode == "direct", secure=False) as built, listening(built.lab, "rogue", ROGUE_PORT, rogue()):
        built.lab.check_isolation(PORTS["ws"][0])
        ports = [*(plain for plain, _ in PORTS.values()), ROGUE_PORT]
        with gateway.start(built.lab, mode, LEGS[0], ports, built.certificates, built.scratch) as middle:
            results += forward(built, middle, mode, cases)
            results += backward(built, middle, mode, chosen)
            complaints += middle.finish()
    print(counted(results))
    print(f"{time.monotonic() - begin:.0f} s in all, gateway: {mode}")
    if file is not None:
        file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    failed = sum(result.status == "FAIL" for result in results)
    return summary(len(results) - failed, failed, complaints)


def main() -> int:
    """Parse the arguments, then run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.ws.rfc6455", description=__doc__)
    parser.add_argument(
        "--gateway",
        choices=[mode for mode in MODES if mode not in MITMPROXY],
        default="alg",
        help="direct: none, verdicts against the RFC",
    )
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. pings, 'deflate bad', reverse")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict as JSON")
    options = parser.parse_args()
    return guarded(lambda: run_table(options.gateway, options.only, options.json))


if __name__ == "__main__":
    sys.exit(main())

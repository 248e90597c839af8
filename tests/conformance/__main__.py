"""Prints which case holds in which host: `python -m tests.conformance [--host NAME] [--only WORD]`.

`WORD` is part of a case's name, or a section of the design. The exit status is 1 if something failed.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.conformance.hosts import HOSTS
from tests.conformance.runner import Result, cases, judge


def main(arguments: list[str]) -> int:
    """Play the cases that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="cases against hosts")
    parser.add_argument("--host", choices=[host.name for host in HOSTS], help="this host only")
    parser.add_argument("--only", default="", metavar="WORD", help="cases of that name or section only")
    parser.add_argument("--trace", action="store_true", help="print where a case failed")
    chosen = parser.parse_args(arguments)
    hosts = [host for host in HOSTS if chosen.host in (None, host.name)]
    found = cases(chosen.only)
    if not found:
        parser.error(f"no case is called {chosen.only!r}")
    width = max(len(case.name) for case in found)
    print("".join([f"{'section':8}{'case':{width + 2}}", *(f"{host.name:11}" for host in hosts)]))
    notes: list[str] = []
    failed = 0
    for case in found:
        cells = []
        for host in hosts:
            result = judge(host, case)
            cells.append(f"{result.verdict:11}")
            failed += result.verdict == "FAILED"
            if result.why:
                notes.append(f"{host.name} {case.name}: {result.verdict}, {result.why}")
            if chosen.trace:
                _print_trace(result)
        print(f"{case.section:8}{case.name:{width + 2}}{''.join(cells)}".rstrip(), flush=True)
    print("\n".join(["", *_grouped(notes, len(found))]))
    print(f"{len(found)} cases, {failed} failed")
    return 1 if failed else 0


def _print_trace(result: Result) -> None:
    if result.error is not None:
        traceback.print_exception(result.error)


def _grouped(notes: list[str], count: int) -> list[str]:
    """The notes; what is the same for all cases of a host only once."""
    whole: dict[tuple[str, str], int] = {}
    for note in notes:
        head, _, why = note.partition(": ")
        key = head.split()[0], why
        whole[key] = whole.get(key, 0) + 1
    grouped = [f"{host}, all cases: {why}" for (host, why), times in whole.items() if times == count > 1]
    single = [note for note in notes if not (whole[note.split()[0], note.partition(": ")[2]] == count > 1)]
    return grouped + single


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

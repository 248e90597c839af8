"""Prints which case holds in which host: `python -m tests.conformance [--host NAME] [--only WORD] [--trace]`.

`WORD` is part of a case's name, or a section of the design. The exit status is 1 if something failed that is not known.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import defaultdict

from tests.conformance.hosts import HOSTS
from tests.conformance.runner import Verdict, cases, judge


def main(arguments: list[str]) -> int:
    """Play the cases that were asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="which case holds in which host")
    parser.add_argument("--host", choices=[host.name for host in HOSTS], help="this host only")
    parser.add_argument("--only", default="", metavar="WORD", help="cases with that in their name, or of that section")
    parser.add_argument("--trace", action="store_true", help="print where a case failed")
    chosen = parser.parse_args(arguments)
    hosts = [host for host in HOSTS if chosen.host in (None, host.name)]
    found = cases(chosen.only)
    if not found:
        parser.error(f"no case is called {chosen.only!r}")
    width = max(len(case.name) for case in found) + 2
    print(f"{'':5}{'case':{width}}{''.join(f'{host.name:11}' for host in hosts)}")
    notes: dict[str, list[str]] = defaultdict(list)
    failed = 0
    for case in found:
        results = [judge(host, case) for host in hosts]
        print(
            f"{case.section:5}{case.name:{width}}{''.join(f'{each.verdict.value:11}' for each in results)}", flush=True
        )
        failed += sum(result.verdict is Verdict.FAILED for result in results)
        for host, result in zip(hosts, results, strict=True):
            if result.why:
                notes[f"{host.name}: {result.verdict.value}: {result.why}"].append(case.name)
            if chosen.trace and result.error is not None:
                traceback.print_exception(result.error)
    print()
    for note, names in notes.items():
        print(f"{note} ({', '.join(names) if len(names) < len(found) else 'all cases'})")
    print(f"{len(found)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

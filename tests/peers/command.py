"""The command line that all labs have: what each of them installs, what joins the two sides, which rows, and where results go."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from .rig import guarded


def lab_parser(
    name: str, about: str | None, only: str, *, gateways: Sequence[str] = (), default: str = "alg", gateway: str = ""
) -> argparse.ArgumentParser:
    """The options of the lab `python -m NAME`; `only` are examples of rows, `gateway` explains the `gateways`, if it has any."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    if gateways:
        words = gateway or f"what joins the two sides (default: {default})"
        parser.add_argument("--gateway", choices=gateways, default=default, help=words)
    parser.add_argument("--only", default="", metavar="WORDS", help=f"e.g. {only}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    return parser


def run_lab(
    parser: argparse.ArgumentParser, install: Callable[[], None], work: Callable[[argparse.Namespace], int]
) -> int:
    """Parse the arguments, then install, or do the work; return the exit status."""
    options = parser.parse_args()

    def chosen() -> int:
        if options.install:
            install()
            return 0
        return work(options)

    return guarded(chosen)

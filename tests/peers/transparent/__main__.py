"""The command line of the transparent table: `python -m tests.peers.transparent`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.peers.rig import guarded

from . import install, table
from .middle import KINDS


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.transparent", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument(
        "--gateway", choices=(*KINDS, "all"), default="all", help="what stands between; default all, side by side"
    )
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. 'vsftpd curl PORT', tls, 'ncftp active'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        kinds = list(KINDS) if options.gateway == "all" else [options.gateway]
        return table.run_table(kinds, options.only, options.json)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

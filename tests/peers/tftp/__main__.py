"""The command line of the TFTP lab: `python -m tests.peers.tftp`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.peers.rig import guarded

from . import install, table
from .gateway import MODES


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.tftp", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--gateway", choices=MODES, default="alg", help="what joins the two sides (default: alg)")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. tftpd-hpa/curl, 'atftpd blksize put'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        return table.run_table(options.gateway, options.only, options.json)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the lab of ways in: `python -m tests.peers.ways`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.peers.rig import guarded

from . import install, table


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.ways", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch proxies, servers and clients, then stop")
    every = f"what joins the two sides (default: alg); all: {', '.join(table.GATEWAYS[:-1])}, side by side"
    parser.add_argument("--gateway", choices=(*table.GATEWAYS, "all"), default="alg", help=every)
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. 'socks/ftp', 'udp fragments', 'via http'")
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

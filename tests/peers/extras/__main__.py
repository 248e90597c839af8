"""The command line of the extras: `python -m tests.peers.extras`."""

from __future__ import annotations

import argparse
import sys

from tests.peers.rig import guarded

from . import install, table


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.extras", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. proxy, 'tiny vsftpd', ccc/curl")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        return table.run_table(options.only)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

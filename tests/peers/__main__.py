"""The command line of the peer lab: `python -m tests.peers`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import install, matrix
from .gateway import MODES
from .rig import guarded


def main() -> int:
    """Parse the arguments, then install or run the matrix."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=matrix.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--gateway", choices=MODES, default="alg", help="direct: no gateway, to check the lab itself")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="e.g. vsftpd, curl/PORT, EPSV/6/upload")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        return matrix.run_matrix(options.gateway, options.only, options.json)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

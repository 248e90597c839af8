"""The command line of the TLS lab: `python -m tests.peers.tls`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.peers import install
from tests.peers.gateway import MODES
from tests.peers.processes import LabError
from tests.peers.rig import guarded

from . import cells, matrix


def main() -> int:
    """Parse the arguments, then install or run a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.tls", description=matrix.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--gateway", choices=MODES, default="alg", help="direct: no gateway, to see what fails anyway")
    parser.add_argument("--table", choices=("matrix", "cells"), default="matrix", help="cells: legs that differ")
    parser.add_argument("--mint", action="store_true", help="the gateway's own authority makes its certificates")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. vsftpd, curl/explicit, '/P/passive 1.3'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        if options.gateway == "direct" and (options.mint or options.table == "cells"):
            raise LabError("--mint and --table cells are about the gateway: they have no direct mode")
        if options.table == "cells":
            return cells.run_cells(options.only, options.mint)
        return matrix.run_matrix(options.gateway, options.only, options.mint, options.json)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

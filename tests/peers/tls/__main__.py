"""The command line of the TLS lab: `python -m tests.peers.tls`."""

from __future__ import annotations

import argparse
import sys

from tests.peers import install
from tests.peers.command import lab_parser, run_lab
from tests.peers.gateway import MODES
from tests.peers.processes import LabError

from . import cells, matrix


def main() -> int:
    """Parse the arguments, then install or run a table."""
    gateway = "direct: no gateway, to see what fails anyway"
    only = "vsftpd, curl/explicit, '/P/passive 1.3'"
    parser = lab_parser("tests.peers.tls", matrix.__doc__, only, gateways=MODES, gateway=gateway)
    parser.add_argument("--table", choices=("matrix", "cells"), default="matrix", help="cells: legs that differ")
    parser.add_argument("--mint", action="store_true", help="the gateway's own authority makes its certificates")

    def work(options: argparse.Namespace) -> int:
        if options.gateway == "direct" and (options.mint or options.table == "cells"):
            raise LabError("--mint and --table cells are about the gateway: they have no direct mode")
        if options.table == "cells":
            return cells.run_cells(options.only, options.mint)
        return matrix.run_matrix(options.gateway, options.only, options.mint, options.json)

    return run_lab(parser, install.install, work)


if __name__ == "__main__":
    sys.exit(main())

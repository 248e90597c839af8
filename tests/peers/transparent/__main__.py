"""The command line of the transparent table: `python -m tests.peers.transparent`."""

from __future__ import annotations

import argparse
import sys

from tests.peers.command import lab_parser, run_lab

from . import install, table
from .middle import KINDS


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = lab_parser(
        "tests.peers.transparent",
        table.__doc__,
        "'vsftpd curl PORT', tls, 'ncftp active'",
        gateways=(*KINDS, "all"),
        default="all",
        gateway="what stands between; default all, side by side",
    )

    def work(options: argparse.Namespace) -> int:
        kinds = list(KINDS) if options.gateway == "all" else [options.gateway]
        return table.run_table(kinds, options.only, options.json)

    return run_lab(parser, install.install, work)


if __name__ == "__main__":
    sys.exit(main())

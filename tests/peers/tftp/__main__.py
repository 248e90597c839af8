"""The command line of the TFTP lab: `python -m tests.peers.tftp`."""

from __future__ import annotations

import sys

from tests.peers.command import lab_parser, run_lab

from . import install, table
from .gateway import MODES


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = lab_parser("tests.peers.tftp", table.__doc__, "tftpd-hpa/curl, 'atftpd blksize put'", gateways=MODES)
    return run_lab(
        parser, install.install, lambda options: table.run_table(options.gateway, options.only, options.json)
    )


if __name__ == "__main__":
    sys.exit(main())

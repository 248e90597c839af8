"""The command line of the peer lab: `python -m tests.peers`."""

from __future__ import annotations

import sys

from . import install, matrix
from .command import lab_parser, run_lab
from .gateway import MODES


def main() -> int:
    """Parse the arguments, then install or run the matrix."""
    gateway = "direct: no gateway, to check the lab itself"
    parser = lab_parser(
        "tests.peers", matrix.__doc__, "vsftpd, curl/PORT, EPSV/6/upload", gateways=MODES, gateway=gateway
    )
    return run_lab(
        parser, install.install, lambda options: matrix.run_matrix(options.gateway, options.only, options.json)
    )


if __name__ == "__main__":
    sys.exit(main())

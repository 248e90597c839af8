"""The command line of the lab of ways in: `python -m tests.peers.ways`."""

from __future__ import annotations

import sys

from tests.peers.command import lab_parser, run_lab

from . import install, table


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = lab_parser(
        "tests.peers.ways",
        table.__doc__,
        "'socks/ftp', 'udp fragments', 'via http'",
        gateways=(*table.GATEWAYS, "all"),
        gateway=f"what joins the two sides (default: alg); all: {', '.join(table.GATEWAYS[:-1])}, side by side",
    )
    return run_lab(
        parser, install.install, lambda options: table.run_table(options.gateway, options.only, options.json)
    )


if __name__ == "__main__":
    sys.exit(main())

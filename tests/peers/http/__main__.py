"""The command line of the HTTP lab: `python -m tests.peers.http`."""

from __future__ import annotations

import argparse
import sys

from tests.peers.command import lab_parser, run_lab
from tests.peers.mitm import newest

from . import install, table
from .gateway import MITMPROXY, MODES


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = lab_parser("tests.peers.http", table.__doc__, "cdp/playwright, 'elasticsearch tls'", gateways=MODES)
    parser.add_argument("--wire", action="store_true", help="show requests and addresses as the client's side saw them")
    parser.add_argument(
        "--newest", action="store_true", help="mitm, mitmdump: the newest mitmproxy, in a tree of its own"
    )

    def work(options: argparse.Namespace) -> int:
        if options.newest:
            if options.gateway not in MITMPROXY:
                parser.error("--newest is for --gateway mitm and mitmdump")
            newest.prepare()
        return table.run_table(options.gateway, options.only, options.json, wire=options.wire, newest=options.newest)

    return run_lab(parser, install.install, work)


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the HTTP lab: `python -m tests.peers.http`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.peers.mitm import newest
from tests.peers.rig import guarded

from . import install, table
from .gateway import MITMPROXY, MODES


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.http", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--gateway", choices=MODES, default="alg", help="what joins the two sides (default: alg)")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. cdp/playwright, 'elasticsearch tls'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    parser.add_argument("--wire", action="store_true", help="show requests and addresses as the client's side saw them")
    parser.add_argument(
        "--newest", action="store_true", help="mitm, mitmdump: the newest mitmproxy, in a tree of its own"
    )
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        if options.newest:
            if options.gateway not in MITMPROXY:
                parser.error("--newest is for --gateway mitm and mitmdump")
            newest.prepare()
        return table.run_table(options.gateway, options.only, options.json, wire=options.wire, newest=options.newest)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the mitmproxy lab: `python -m tests.peers.mitm`."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from tests.peers.command import lab_parser, run_lab

from . import install, newest, table
from .program import from_folder


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = lab_parser("tests.peers.mitm", table.__doc__, "reverse/vsftpd, 'socks5 /curl/ /P/', loss")
    parser.add_argument("--plain", action="store_true", help="without the addon, to see what fails then")
    parser.add_argument(
        "--newest", action="store_true", help="the newest mitmproxy, in a tree of Debian's next release"
    )
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="another folder with mitmdump and alg-mitmdump")

    def work(options: argparse.Namespace) -> int:
        if options.newest:
            newest.prepare()
        program = newest.newest if options.newest else functools.partial(from_folder, folder=options.programs)
        return table.run_table(program, not options.plain, options.only, options.json)

    return run_lab(parser, install.install, work)


if __name__ == "__main__":
    sys.exit(main())

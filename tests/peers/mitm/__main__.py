"""The command line of the mitmproxy lab: `python -m tests.peers.mitm`."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from tests.peers.rig import guarded

from . import install, newest, table
from .program import from_folder


def main() -> int:
    """Parse the arguments, then install or run the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.mitm", description=table.__doc__)
    parser.add_argument("--install", action="store_true", help="fetch servers and clients, then stop")
    parser.add_argument("--plain", action="store_true", help="without the addon, to see what fails then")
    parser.add_argument(
        "--newest", action="store_true", help="the newest mitmproxy, in a tree of Debian's next release"
    )
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="another folder with mitmdump and alg-mitmdump")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. reverse/vsftpd, 'socks5 /curl/ /P/', loss")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as JSON")
    options = parser.parse_args()

    def work() -> int:
        if options.install:
            install.install()
            return 0
        if options.newest:
            newest.prepare()
        program = newest.newest if options.newest else functools.partial(from_folder, folder=options.programs)
        return table.run_table(program, not options.plain, options.only, options.json)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())

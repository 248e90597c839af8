"""Starts pyftpdlib in the foreground, on port 21 of every address given.

`--reply` names an odd spelling of the answers to PASV and EPSV, all of which exist in the field;
the address and the port stay those of a socket that really listens, except where lying is the point.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

# Each takes the numbers "h1,h2,h3,h4,p1,p2" of an ordinary 227.
ODD_227: dict[str, Callable[[list[str]], str]] = {
    "spaces": lambda n: f"227 Entering passive mode ({', '.join(n)}).",
    "digit": lambda n: f"227 Passive mode 2 ok ({','.join(n)}).",
    "zeros": lambda n: f"227 Entering passive mode (0,0,0,0,{n[4]},{n[5]}).",
    "loopback": lambda n: f"227 Entering passive mode (127,0,0,1,{n[4]},{n[5]}).",
    "multi-line": lambda n: f"227-Passive mode follows.\r\n 1,2 is not an address.\r\n227 Entering ({','.join(n)}).",
    "no-parentheses": lambda n: f"227 Entering passive mode {','.join(n)}",
    "equals": lambda n: f"227 Entering passive mode ={','.join(n)}",
    "open-parenthesis": lambda n: f"227 Entering passive mode ({','.join(n)}",
    "padding": lambda n: f"227 Entering passive mode ({','.join(part.zfill(3) for part in n)}).",
    "trailing": lambda n: f"227 Entering passive mode ({','.join(n)}). Welcome, client 7.",
}

# Each takes the port of an ordinary 229.
ODD_229: dict[str, Callable[[str], str]] = {
    "digit": lambda port: f"229 Extended passive mode 2 ok (|||{port}|).",
    "multi-line": lambda port: f"229-Extended passive mode follows.\r\n229 Entering (|||{port}|).",
    "delimiter": lambda port: f"229 Entering extended passive mode (!!!{port}!).",
    "trailing": lambda port: f"229 Entering extended passive mode (|||{port}|). Welcome, client 7.",
}

ODD_REPLIES = ("plain", *sorted(ODD_227.keys() | ODD_229.keys()))


def altered(reply: str, kind: str) -> str:
    """The reply in its odd spelling; replies of other codes stay as they are."""
    if reply.startswith("227 ") and kind in ODD_227:
        match = re.search(r"\(([\d,]+)\)", reply)
        assert match is not None
        return ODD_227[kind](match[1].split(","))
    if reply.startswith("229 ") and kind in ODD_229:
        match = re.search(r"\|(\d+)\|\)", reply)
        assert match is not None
        return ODD_229[kind](match[1])
    return reply


def site_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every start script: where to listen, what to show, to whom."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--root", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    return parser


def serve(handler: type[FTPHandler], options: argparse.Namespace, port: int) -> None:
    """Serve until a signal ends the process."""
    authorizer = DummyAuthorizer()
    authorizer.add_user(options.user, options.password, options.root, perm="elradfmwMT")
    handler.authorizer = authorizer
    loop = IOLoop()
    for address in options.addresses:
        FTPServer((address, port), handler, ioloop=loop)
    while True:
        loop.loop()


def main() -> None:
    """Serve until a signal ends the process."""
    parser = site_parser(__doc__)
    parser.add_argument("--reply", choices=ODD_REPLIES, default="plain")
    options = parser.parse_args()

    class Handler(FTPHandler):  # type: ignore[misc]
        """The stock handler with its replies respelt on the way out."""

        def respond(self, resp: str, *rest: object, **named: object) -> None:
            """Send a reply."""
            super().respond(altered(resp, options.reply), *rest, **named)

    serve(Handler, options, 21)


if __name__ == "__main__":
    main()

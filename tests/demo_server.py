"""`python -m tests.demo_server ADDRESS FOLDER`: an FTP server for the demo; user `demo`, password `secret`."""

from __future__ import annotations

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


def main(address: str, folder: str) -> None:
    """Serve until the process is ended."""
    logging.basicConfig(level=logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_user("demo", "secret", folder, perm="elradfmwMT")
    handler = type("DemoHandler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer((address, 0), handler)
    print(f"listening at {server.socket.getsockname()[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

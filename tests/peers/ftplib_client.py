"""Moves one file with Python's ftplib in a given data mode.

ftplib chooses PASV and PORT on IPv4, EPSV and EPRT on IPv6. The extended commands on IPv4 are
had by overriding its two documented decision points with its own parser and sender.
"""

from __future__ import annotations

import argparse
import ftplib
from pathlib import Path
from typing import Any


class ExtendedFTP(ftplib.FTP):
    """An FTP client that uses EPSV and EPRT whatever the IP version."""

    def makepasv(self) -> tuple[str, int]:
        """Ask for a passive port with EPSV."""
        assert self.sock is not None
        host, port = ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return host, port

    def sendport(self, host: str, port: int) -> Any:
        """Announce an active port with EPRT."""
        return self.sendeprt(host, port)


def transfer_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every ftplib script: one transfer."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("mode", choices=("PASV", "EPSV", "PORT", "EPRT"))
    parser.add_argument("direction", choices=("download", "upload"))
    parser.add_argument("remote")
    parser.add_argument("local", type=Path)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--timeout", type=float, required=True)
    return parser


def move(ftp: ftplib.FTP, options: argparse.Namespace) -> None:
    """Move the file, once logged in."""
    ftp.set_pasv(options.mode in ("PASV", "EPSV"))
    if options.direction == "download":
        with options.local.open("wb") as target:
            ftp.retrbinary(f"RETR {options.remote}", target.write)
    else:
        with options.local.open("rb") as source:
            ftp.storbinary(f"STOR {options.remote}", source)


def main() -> None:
    """Log in, move the file, say goodbye."""
    options = transfer_parser(__doc__).parse_args()
    kind = ExtendedFTP if options.mode in ("EPSV", "EPRT") else ftplib.FTP
    with kind(timeout=options.timeout) as ftp:
        ftp.set_debuglevel(1)
        ftp.connect(options.host, options.port)
        ftp.login(options.user, options.password)
        move(ftp, options)


if __name__ == "__main__":
    main()

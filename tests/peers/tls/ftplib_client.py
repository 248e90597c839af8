"""Moves one file with Python's FTP_TLS, stock or in the two customary subclasses.

Stock FTP_TLS knows explicit TLS only and opens a new TLS session for each data connection, which
servers that demand session reuse refuse (bpo-19500). `--reuse` resumes the control connection's.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from pathlib import Path

from tests.peers.ftplib_client import move, transfer_parser

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ImplicitFTP(ftplib.FTP_TLS):
    """FTP_TLS whose control connection begins with the handshake."""

    _socket: socket.socket | None = None

    @property
    def sock(self) -> socket.socket | None:
        """The control connection."""
        return self._socket

    @sock.setter
    def sock(self, value: socket.socket | None) -> None:
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._socket = value


class ResumingFTP(ftplib.FTP_TLS):
    """FTP_TLS whose data connections resume the TLS session of the control connection."""

    _prot_p: bool

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p and isinstance(self.sock, ssl.SSLSocket):
            session = self.sock.session
            connection = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        return connection, size


class ImplicitResumingFTP(ImplicitFTP, ResumingFTP):
    """Both."""


KINDS = {
    ("explicit", False): ftplib.FTP_TLS,
    ("explicit", True): ResumingFTP,
    ("implicit", False): ImplicitFTP,
    ("implicit", True): ImplicitResumingFTP,
}


def main() -> None:
    """Log in, move the file, say goodbye."""
    parser = transfer_parser(__doc__)
    parser.add_argument("--authority", type=Path, required=True)
    parser.add_argument("--security", choices=("explicit", "implicit"), required=True)
    parser.add_argument("--protection", choices=("C", "P"), required=True)
    parser.add_argument("--version", choices=VERSIONS, required=True)
    parser.add_argument("--reuse", action="store_true")
    options = parser.parse_args()

    context = ssl.create_default_context(cafile=options.authority)
    context.minimum_version = context.maximum_version = VERSIONS[options.version]
    with KINDS[options.security, options.reuse](timeout=options.timeout, context=context) as ftp:
        ftp.set_debuglevel(1)
        ftp.connect(options.host, options.port)
        ftp.login(options.user, options.password)
        if options.protection == "P":
            ftp.prot_p()
        else:
            ftp.voidcmd("PBSZ 0")
            ftp.prot_c()
        move(ftp, options)


if __name__ == "__main__":
    main()

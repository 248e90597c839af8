"""An FTP client over bare sockets that sends exactly the bytes it is told to, in as many pieces.

It trusts nothing: an address that it is given must be the one it speaks to, and a data connection
must come from there.
"""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from .namespaces import Namespace
from .servers import PASSWORD, SAMPLE, USER

PATIENCE_SECONDS = 8.0
# Long enough that the pieces of a command arrive one by one.
PIECE_PAUSE_SECONDS = 0.05
ADDRESS_227 = re.compile(r"(\d+), ?(\d+), ?(\d+), ?(\d+), ?(\d+), ?(\d+)")
PORT_229 = re.compile(r"\((.)\1\1(\d+)\1\)")


class OddError(Exception):
    """The transfer did not come about; the text says where it ended."""


class RawClient:
    """One control connection, logged in, in binary mode."""

    def __init__(self, namespace: Namespace, host: str, port: int) -> None:
        self._namespace = namespace
        self.host = host
        self._socket = namespace.connect(host, port, PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        self.expect("2")
        for command, code in ((f"USER {USER}", "3"), (f"PASS {PASSWORD}", "2"), ("TYPE I", "2")):
            self.send([f"{command}\r\n"])
            self.expect(code)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close()
        self._socket.close()

    def send(self, pieces: Sequence[str]) -> None:
        """Send each piece in a segment of its own."""
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(PIECE_PAUSE_SECONDS)
            self._socket.sendall(piece.encode("ascii"))

    def expect(self, digit: str) -> str:
        """Read one reply, which must begin with this digit; return its last line."""
        lines: list[str] = []
        while True:
            try:
                line = self._replies.readline().decode("latin-1").rstrip("\r\n")
            except TimeoutError as error:
                raise OddError(f"no reply within {PATIENCE_SECONDS:.0f} s") from error
            if not line:
                raise OddError("the control connection was closed")
            lines.append(line)
            if line[3:4] == " " and line[:3] == lines[0][:3]:
                break
        if not line.startswith(digit):
            raise OddError(f"the reply was '{' / '.join(lines)}'")
        return line

    def listen(self) -> socket.socket:
        """Wait for a data connection on the address that this client speaks from."""
        listener = self._namespace.listen(str(self._socket.getsockname()[0]))
        listener.settimeout(PATIENCE_SECONDS)
        return listener

    def accept(self, listener: socket.socket) -> socket.socket:
        """Take the data connection; it must come from the host that we speak to."""
        try:
            connection, peer = listener.accept()
        except TimeoutError as error:
            raise OddError(f"no data connection within {PATIENCE_SECONDS:.0f} s") from error
        connection.settimeout(PATIENCE_SECONDS)
        if peer[0] != self.host:
            connection.close()
            raise OddError(f"the data connection came from {peer[0]}, not from {self.host}")
        return connection

    def passive(self, command: str, check_address: bool) -> socket.socket:
        """Ask for a passive port and connect to it, on the host that we speak to."""
        self.send([f"{command}\r\n"])
        reply = self.expect("2")
        if command == "PASV":
            numbers = ADDRESS_227.search(reply)
            if not numbers:
                raise OddError(f"no address in '{reply}'")
            host = ".".join(str(int(number)) for number in numbers.groups()[:4])
            if check_address and host != self.host:
                raise OddError(f"the address in '{reply}' is not {self.host}")
            port = int(numbers[5]) * 256 + int(numbers[6])
        else:
            match = PORT_229.search(reply)
            if not match:
                raise OddError(f"no port in '{reply}'")
            port = int(match[2])
        try:
            return self._namespace.connect(self.host, port, PATIENCE_SECONDS)
        except OSError as error:
            raise OddError(f"cannot connect to {self.host} port {port}: {error}") from error

    def digest(self, connection: socket.socket) -> str:
        """Read the data connection to its end; the SHA-256 of what came, once the server is content."""
        digest = hashlib.sha256()
        with connection:
            try:
                while block := connection.recv(1 << 16):
                    digest.update(block)
            except OSError as error:
                raise OddError(f"the data connection broke: {error}") from error
        self.expect("2")
        return digest.hexdigest()

    def retrieve(self) -> None:
        """Ask for the sample; the server must announce the data connection."""
        self.send([f"RETR {SAMPLE}\r\n"])
        self.expect("1")

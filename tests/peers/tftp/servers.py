"""How each TFTP server is started, and the folder that it serves.

They listen at port 69, take uploads of new files, and resend as soon as they can be told to: that makes lossy rows short.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.namespaces import SERVER, Lab, Namespace
from tests.peers.processes import LabError, Process, run

from .install import server_program

PORT = 69
LOCKED = "locked.bin"
"""A file that may be read and not written."""
RESEND_MICROSECONDS = 200_000


class Site:
    """The served folder: files of the wanted sizes, and one that may not be written."""

    def __init__(self, folder: Path, sizes: tuple[int, ...]) -> None:
        self.root = folder / "site"
        self.root.mkdir()
        # The servers give up root, and must reach the folder all the same.
        for reached in (folder, self.root):
            reached.chmod(0o755)
        self.root.chmod(0o777)
        for size in sizes:
            self._put(file_name(size), size, 0o644)
        self._put(LOCKED, 100, 0o444)

    def _put(self, name: str, size: int, mode: int) -> None:
        (self.root / name).write_bytes(random.Random(size).randbytes(size))
        (self.root / name).chmod(mode)


def file_name(size: int) -> str:
    """The name of the served file of this many bytes."""
    return f"{size}.bin"


def _hpa(root: Path) -> list[str]:
    program = str(server_program("tftpd-hpa"))
    resend = ["--retransmit", str(RESEND_MICROSECONDS)]
    return [program, "--foreground", "--create", "--umask", "000", *resend, "--secure", str(root)]


def _atftpd(root: Path) -> list[str]:
    program = str(server_program("atftpd"))
    options = ["--daemon", "--no-fork", "--logfile", "-", "--user", "nobody.nogroup", "--retry-timeout", "1"]
    return [program, *options, "--port", str(PORT), "--bind-address", SERVER[4], str(root)]


@dataclass(frozen=True)
class Server:
    """A server: its name, its command line, what it can do and what it cannot."""

    name: str
    command: Callable[[Path], list[str]]
    families: tuple[int, ...] = (4, 6)
    unknown: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()

    @contextmanager
    def running(self, lab: Lab, site: Site) -> Iterator[Process]:
        """Start it, wait until it listens, and stop it afterwards."""
        with Process(lab.server.command(*self.command(site.root)), self.name) as process:
            wait_bound(lab.server, PORT, len(self.families), process)
            yield process


SERVERS = (
    Server(
        "tftpd-hpa",
        _hpa,
        unknown=frozenset({"windowsize"}),
        gaps=("windowsize: the server does not know it, and the transfer goes on without",),
    ),
    Server("atftpd", _atftpd, (4,), gaps=("IPv6: as a daemon it binds IPv4 whatever the address is",)),
)


def wait_bound(namespace: Namespace, port: int, sockets: int, process: Process, timeout: float = 10.0) -> None:
    """Return once so many UDP sockets have this port; nothing is sent to them."""
    deadline = time.monotonic() + timeout
    while True:
        rows = [row.split()[3] for row in run(*namespace.command("ss", "-Hlun")).splitlines()]
        bound = [row for row in rows if row.endswith(f":{port}")]
        if len(bound) >= sockets:
            return
        if time.monotonic() > deadline or not process.alive():
            raise LabError(f"{len(bound)} of {sockets} sockets have UDP port {port}; {process.name}: {process.tail()}")
        time.sleep(0.02)

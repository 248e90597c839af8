"""What the rows of their own stand on: the lab, the gateway with its rules, a server, and what the gateway has written."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.clients import Transfer
from tests.peers.extras.stage import check, until
from tests.peers.gateway import Orders
from tests.peers.mover import Mover, sections_text
from tests.peers.namespaces import SERVER, Lab
from tests.peers.processes import Process
from tests.peers.servers import FTP_PORT, Server, Site, start_vsftpd
from tests.peers.tls.certificates import Certificates

from .middle import ALLOWED, FTP, ROUTES, Middle, orders, rules
from .plan import CLIENTS


@dataclass(frozen=True)
class Stage:
    """What the rows stand on."""

    lab: Lab
    kind: str
    site: Site
    scratch: Path
    certificates: Certificates
    mover: Mover

    @contextmanager
    def gateway(
        self, *more: str, ports: tuple[str, ...] = FTP, only: tuple[str, ...] = ("--interface", "inside")
    ) -> Iterator[Middle]:
        """The gateway with these further arguments, and the rules for it, `only` for these interfaces; it must end well."""
        with rules(self.lab, self.kind, *ROUTES, *ports, *ALLOWED, *more, *only):
            told = Orders((*ROUTES, *ports, *ALLOWED, *more), len(ROUTES), self.certificates.home, ready=READY)
            with Middle(self.lab, self.kind, told) as gateway:
                yield gateway
                check(not (wrong := gateway.finish()), "; ".join(wrong))

    @contextmanager
    def vsftpd(self, more: str = "") -> Iterator[Process]:
        """The server, with further lines of configuration."""
        with Server("vsftpd", lambda site, scratch: start_vsftpd(site, scratch, more)).start(
            self.lab, self.site, self.scratch
        ) as process:
            yield process

    def move(self, gateway: Middle, client: str, mode: str, family: int, direction: str) -> None:
        """Make a transfer that must succeed."""
        label = f"{client}/{mode}/{family}/{direction}"
        local = self.mover.local_file(label, direction)
        transfer = Transfer(mode, family, direction, SERVER[family], FTP_PORT, local)
        start = gateway.log_length()
        trial = self.mover.run(transfer, CLIENTS[client](transfer))
        shown = sections_text({"client": trial.said.splitlines(), "gateway log": gateway.log_since(start)})
        check(not trial.problem, f"{label}: {trial.problem}\n{shown}")

    def told(self, gateway: Middle, words: str, times: int = 1) -> None:
        """The gateway must have written exactly so many records with these words."""
        until(lambda: count(gateway, words) >= times, f"no record says {words!r}: {gateway.log_since(0)[-8:]}")
        check(count(gateway, words) == times, f"{count(gateway, words)} records say {words!r}, wanted {times}")


READY = orders(Path()).ready
Single = Callable[[Stage], None]
"""A row: it raises `RowError` where something is not as it must be."""


def count(gateway: Middle, words: str) -> int:
    """How many lines of its log have them."""
    return sum(words in line for line in gateway.log_since(0))


def descriptors(gateway: Middle) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def hang_up(sock: socket.socket) -> bytes:
    """What comes until the other end hangs up, however it does; an error if it does not."""
    said = b""
    with sock:
        try:
            while more := sock.recv(4096):
                said += more
        except ConnectionResetError:
            pass
    return said

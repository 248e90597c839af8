"""Makes the transfers of the table through one kind of gateway, and judges them by the client, the files and the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.peers.clients import Transfer
from tests.peers.control_tap import Tap, modes_used
from tests.peers.mover import Mover, sections_text
from tests.peers.namespaces import SERVER, Lab
from tests.peers.processes import LabError, Process
from tests.peers.servers import FTP_PORT, SERVERS, Server, Site
from tests.peers.tls.certificates import Certificates
from tests.peers.tls.clients import TlsTransfer
from tests.peers.tls.runner import Runner as TlsRunner
from tests.peers.tls.runner import leg, running
from tests.peers.tls.services import Service, tls_server

from .middle import OURS, Middle
from .plan import CLIENTS, TLS_VERSION, Row

SERVICE = Service("explicit", "P", TLS_VERSION)
PATIENCE = {True: 12, False: 5}  # by whether it is ours: what the kernel fails at would take minutes
LIMITS = {True: 20.0, False: 8.0}


@dataclass(frozen=True)
class Result:
    """What came of one row."""

    gateway: str
    row: Row
    status: str
    reason: str = ""
    seconds: float = 0.0
    details: str = ""


class Runner:
    """One lab, one kind of gateway."""

    def __init__(self, lab: Lab, site: Site, scratch: Path, gateway: Middle, certificates: Certificates) -> None:
        self._lab = lab
        self._site = site
        self._scratch = scratch
        self._gateway = gateway
        self._certificates = certificates
        self._ours = gateway.kind in OURS
        self.mover = Mover(lab, site, scratch)

    def perform(self, rows: list[Row]) -> Iterator[Result]:
        """Make the transfers, server by server."""
        for server in SERVERS:
            for security in ("plain", "tls"):
                mine = [row for row in rows if (row.server, row.security) == (server.name, security)]
                yield from (Result(self._gateway.kind, row, "n/a", row.gap) for row in mine if row.gap)
                mine = [row for row in mine if not row.gap]
                if mine:
                    yield from self._at(
                        server if security == "plain" else tls_server(server.name, SERVICE, self._certificates.server),
                        mine,
                    )

    def _at(self, server: Server, rows: list[Row]) -> Iterator[Result]:
        with ExitStack() as stack:
            process = stack.enter_context(server.start(self._lab, self._site, self._scratch))
            if rows[0].security == "plain":
                taps = [
                    stack.enter_context(closing(Tap(side, FTP_PORT))) for side in (self._lab.client, self._lab.server)
                ]
                yield from (self._plain(row, *taps) for row in rows)
            else:
                ports = {"plain": FTP_PORT, "explicit": FTP_PORT}
                tls = stack.enter_context(running(self._lab, self.mover, ports))
                yield from (self._tls(row, tls, process) for row in rows)

    def _plain(self, row: Row, inside: Tap, outside: Tap) -> Result:
        local = self.mover.local_file(row.label, row.direction)
        patience = PATIENCE[self._ours]
        transfer = Transfer(row.mode, row.family, row.direction, SERVER[row.family], FTP_PORT, local, patience)
        invocation = CLIENTS[row.client](transfer)
        log_start = self._gateway.log_length()
        inside.lines()
        outside.lines()
        trial = self.mover.run(transfer, invocation, LIMITS[self._ours])
        at_client, at_server = inside.lines(), outside.lines()
        reason = trial.problem
        for side, lines in (("client", at_client), ("server", at_server)):
            if not reason and (used := modes_used(lines)) != [row.mode]:
                reason = f"wanted one transfer with {row.mode}, the wire at the {side} shows {used or 'none'}"
        details = {
            "command": [" ".join(invocation.command)],
            "client": trial.said.splitlines(),
            "gateway log": self._gateway.log_since(log_start),
            "control channel at the client": at_client,
            "control channel at the server": at_server,
        }
        return self._result(row, reason, trial.seconds, sections_text(details))

    def _tls(self, row: Row, runner: TlsRunner, server: Process) -> Result:
        mode = "passive" if row.mode in ("PASV", "EPSV") else "active"
        transfer = TlsTransfer(
            row.mode,
            row.family,
            row.direction,
            SERVER[row.family],
            FTP_PORT,
            self.mover.local_file(row.label, row.direction),
            PATIENCE[self._ours],
            security="explicit",
            protection="P",
            version=TLS_VERSION,
            authority=self._certificates.trusted if self._ours else self._certificates.authority,
        )
        wanted = leg(SERVICE, mode)
        outcome = runner.transfer(row.client, transfer, (wanted, wanted), (self._gateway, server), LIMITS[self._ours])
        return self._result(row, outcome.problem, outcome.seconds, outcome.details)

    def _result(self, row: Row, reason: str, seconds: float, details: str) -> Result:
        if reason:
            return Result(self._gateway.kind, row, "FAIL", reason, seconds, details)
        return Result(self._gateway.kind, row, "ok", seconds=seconds)


def check_closed(lab: Lab) -> None:
    """Fail unless the client cannot reach a server while there are no rules: nothing forwards.

    Nobody answers, so each IP version takes a second.
    """
    with closing(lab.server.listen("::", FTP_PORT)):
        for address in SERVER.values():
            try:
                lab.client.connect(address, FTP_PORT, timeout=1.0).close()
            except OSError:
                continue
            raise LabError(f"the client reaches {address} without the gateway: the lab is broken")

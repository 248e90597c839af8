"""The rows of the table: server x client x security x data mode x IP version x direction, and what cannot be asked of whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.peers import clients
from tests.peers.clients import COLUMNS, DIRECTIONS, Gap, Invocation, Transfer, gap_reason
from tests.peers.servers import PASSWORD, SERVERS, USER
from tests.peers.tls.known import KNOWN
from tests.peers.tls.plan import Cell, first_fit
from tests.peers.tls.runner import COMMANDS

SECURITIES = ("plain", "tls")
TLS_VERSION = "1.3"
# Those that resume the session of their control connection, as vsftpd and ProFTPD demand.
TLS_CLIENTS = ("curl", "lftp", "wget", "ftplib-reuse")
TLS_COLUMNS = tuple((command, family) for (_, family), command in COMMANDS.items())


def inetutils(transfer: Transfer) -> Invocation:
    """GNU inetutils' ftp; `epsv4` toggles EPSV and EPRT on IPv4, which are off."""
    command = ["inetutils-ftp", f"-{transfer.family}", "-n", "-v", "-d", "-p" if transfer.passive else "-A"]
    script = [f"user {USER} {PASSWORD}", "binary"]
    if transfer.extended and transfer.family == 4:
        script.append("epsv4")
    if transfer.download:
        script.append(f"get {transfer.remote} {transfer.local}")
    else:
        script.append(f"put {transfer.local} {transfer.remote}")
    return Invocation([*command, transfer.host, str(transfer.port)], "\n".join([*script, "quit", ""]))


CLIENTS: dict[str, Callable[[Transfer], Invocation]] = {**clients.CLIENTS, "inetutils": inetutils}
GAPS: tuple[Gap, ...] = clients.GAPS


@dataclass(frozen=True)
class Row:
    """One transfer of the table."""

    server: str
    client: str
    security: str
    mode: str
    family: int
    direction: str

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        return f"{self.server}/{self.client}/{self.security}/{self.mode}/{self.family}/{self.direction}"

    @property
    def gap(self) -> str:
        """Why the client cannot make this transfer, whatever is between; empty if it can."""
        if self.security == "plain":
            return gap_reason(self.client, self.mode, self.family, self.direction) or ""
        if self.client == "wget" and self.direction == "upload":
            return "wget only downloads"
        mode = "passive" if self.mode in ("PASV", "EPSV") else "active"
        cell = Cell(self.server, self.client, "explicit", "P", mode, TLS_VERSION, self.direction)
        known = first_fit(KNOWN, cell)
        return known.reason if known else ""


def planned(only: str) -> list[Row]:
    """Every row whose name holds all the words, in order."""
    rows = [
        Row(server.name, client, security, mode, family, direction)
        for server in SERVERS
        for security in SECURITIES
        for client in (CLIENTS if security == "plain" else TLS_CLIENTS)
        for mode, family in (COLUMNS if security == "plain" else TLS_COLUMNS)
        for direction in DIRECTIONS
    ]
    return [row for row in rows if all(word in f"/{row.label}/".lower() for word in only.lower().split())]

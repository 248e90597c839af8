"""The second table: what the gateway makes of two legs that differ. It has no direct mode.

Each row is a shape (see `shapes.py`) with a gateway of its own; each column a server and a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.peers.clients import DIRECTIONS
from tests.peers.control_tap import Tap, modes_used
from tests.peers.gateway import Gateway
from tests.peers.mover import SAMPLE_SIZE, TRANSFER_SECONDS, Mover
from tests.peers.namespaces import GATEWAY_INSIDE, Lab
from tests.peers.processes import LabError, Process
from tests.peers.rig import built_lab, summary
from tests.peers.servers import FTP_PORT, Site

from .certificates import make_certificates
from .clients import TlsTransfer
from .gateway import CERTIFICATES, control_ports
from .known import KNOWN
from .plan import Cell, first_fit
from .runner import COMMANDS, Outcome, Runner, leg
from .services import tls_server
from .shapes import PLAIN, Shape, shapes

SERVERS = ("vsftpd", "pyftpdlib")
CLIENTS = ("curl", "lftp", "ftplib")


@dataclass(frozen=True)
class Trip:
    """One transfer of the table."""

    shape: Shape
    server: str
    client: str
    direction: str

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        return f"{self.shape.group}/{self.shape.label}/{self.server}/{self.client}/{self.direction}"

    @property
    def gap(self) -> str:
        """Why the client cannot make it, with or without a gateway."""
        client = self.shape.legs[0]
        words = (client.security, client.protection, self.shape.client_mode, client.version, self.direction)
        # Only what the client fails at with every server: the server has the gateway before it.
        mine = tuple(known for known in KNOWN if not known.server)
        known = first_fit(mine, Cell(self.server, self.client, *words))
        return known.reason if known and client != PLAIN else ""


@dataclass(frozen=True)
class Result:
    """What came of a trip; no problem and no gap means that it went well."""

    trip: Trip
    problem: str = ""
    details: str = ""


class Table:
    """Makes the trips in a lab."""

    def __init__(self, lab: Lab, site: Site, scratch: Path, runner: Runner, server_tap: Tap, mint: bool) -> None:
        self._lab = lab
        self._site = site
        self._scratch = scratch
        self._runner = runner
        self._server_tap = server_tap
        self._certificates = make_certificates(scratch / CERTIFICATES, mint)
        self.complaints: list[str] = []

    def results(self, trips: list[Trip]) -> Iterator[Result]:
        """Make the trips: a server and a gateway of their own for each shape and server."""
        for shape in dict.fromkeys(trip.shape for trip in trips):
            orders = shape.orders(self._scratch, self._certificates)
            with Gateway(self._lab, "alg", orders) as gateway:
                for name in SERVERS:
                    mine = [trip for trip in trips if trip.shape == shape and trip.server == name and not trip.gap]
                    if not mine:
                        continue
                    server = tls_server(name, shape.legs[1], self._certificates.server)
                    with server.start(self._lab, self._site, self._scratch) as process:
                        yield from (self._result(trip, gateway, process) for trip in mine)
                self.complaints += [f"{shape.label}: {complaint}" for complaint in gateway.finish()]

    def _result(self, trip: Trip, gateway: Gateway, server: Process) -> Result:
        self._server_tap.lines()
        outcome = self._outcome(trip, gateway, server)
        said = self._server_tap.lines()
        problem = outcome.problem
        if not problem and trip.shape.legs[1] == PLAIN:
            used = modes_used(said)
            if len(used) != 1 or used[0] not in trip.shape.server_modes:
                problem = f"the server saw {used or 'nothing'}, not one of {trip.shape.server_modes}"
        return Result(trip, problem, outcome.details if problem else "")

    def _outcome(self, trip: Trip, gateway: Gateway, server: Process) -> Outcome:
        shape = trip.shape
        client = shape.legs[0]
        transfer = TlsTransfer(
            COMMANDS[shape.client_mode, shape.families[0]],
            shape.families[0],
            trip.direction,
            GATEWAY_INSIDE[shape.families[0]],
            self._runner.ports[client.security],
            self._runner.local_file(trip.label, trip.direction),
            security=client.security,
            protection=client.protection,
            version=client.version,
            authority=self._certificates.trusted,
        )
        legs = leg(client, shape.client_mode), leg(shape.legs[1], shape.server_mode)
        return self._runner.transfer(trip.client, transfer, legs, (gateway, server), TRANSFER_SECONDS)


def planned(only: str) -> list[Trip]:
    """Every transfer of the table whose name holds all the words, in order."""
    trips = [
        Trip(shape, server, client, direction)
        for shape in shapes()
        for server in SERVERS
        for client in CLIENTS
        for direction in DIRECTIONS
    ]
    return [trip for trip in trips if all(word in trip.label.lower() for word in only.lower().split())]


def square(trips: list[Trip], results: dict[Trip, Result]) -> str:
    """The word for one square of the table: both directions."""
    made = [results[trip] for trip in trips if trip in results]
    if any(result.problem for result in made):
        return "FAIL"
    if not made:
        return "n/a" if trips else "-"
    return "ok" if len(made) == len(DIRECTIONS) else f"ok ({made[0].trip.direction[:4]})"


def table(trips: list[Trip], results: dict[Trip, Result]) -> str:
    """Rows shapes, columns server by client."""
    columns = [(server, client) for server in SERVERS for client in CLIENTS]
    lines = [f"{'':62}" + "".join(f"{f'{server} {client}':18}" for server, client in columns).rstrip()]
    for shape in dict.fromkeys(trip.shape for trip in trips):
        row = [trip for trip in trips if trip.shape == shape]
        words = [square([trip for trip in row if (trip.server, trip.client) == column], results) for column in columns]
        lines.append(f"{shape.label:62}" + "".join(f"{word:18}" for word in words).rstrip())
    return "\n".join(lines)


def run_cells(only: str, mint: bool) -> int:
    """Run, print the table, return the exit status: 0 only if nothing failed."""
    trips = planned(only)
    if not trips:
        raise LabError(
            f"--only {only} fits no row: names look like 'mode/client active, server_data_mode PASV, plain/vsftpd/lftp/upload'"
        )
    results: dict[Trip, Result] = {}
    with built_lab(False, SAMPLE_SIZE) as (lab, site, scratch):
        mover = Mover(lab, site, scratch)
        with (
            closing(Runner(lab, mover, control_ports("alg"))) as runner,
            closing(Tap(lab.server, FTP_PORT)) as server_tap,
        ):
            work = Table(lab, site, scratch, runner, server_tap, mint)
            for result in work.results(trips):
                results[result.trip] = result
                if result.problem:
                    print(f"FAIL {result.trip.label}: {result.problem}\n{result.details}", flush=True)
    print(table(trips, results))
    for gap in sorted({f"n/a: {trip.client}, {trip.shape.label}: {trip.gap}" for trip in trips if trip.gap}):
        print(gap)
    failed = sum(bool(result.problem) for result in results.values())
    return summary(len(results) - failed, failed, work.complaints)

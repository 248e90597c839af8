"""Makes single transfers over TLS and judges them by the client, the files and the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import Gateway
from tests.peers.mover import Mover, sections_text
from tests.peers.namespaces import Lab
from tests.peers.processes import Process

from .clients import CLIENTS, TlsTransfer
from .services import Service
from .wire import TlsTap, View

# Data mode by IP version: the commands that every client of the table knows.
COMMANDS = {
    ("passive", 4): "PASV",
    ("active", 4): "PORT",
    ("passive", 6): "EPSV",
    ("active", 6): "EPRT",
}


@dataclass(frozen=True)
class Leg:
    """What the wire must show on one side: security of the control and the data channel, and who opens the latter."""

    control: str
    data: str
    opener: str


@dataclass(frozen=True)
class Outcome:
    """How a transfer ended: what is wrong with it, if anything, with everything that helps to see why."""

    problem: str
    seconds: float
    said: str
    details: str


def leg(service: Service, mode: str) -> Leg:
    """What the wire shows of a client or a server that does this."""
    control = "plain" if service.security == "plain" else service.version
    data = service.version if control != "plain" and service.private else "plain"
    return Leg(control, data, "client" if mode == "passive" else "server")


def wire_problem(side: str, view: View, wanted: Leg) -> str:
    """What the wire of one side shows that it should not, or nothing."""
    if set(view.control) != {wanted.control}:
        return f"at the {side} the control channel should be {wanted.control}: {view}"
    if len(view.data) != 1 or view.data[0] != (wanted.data, wanted.opener):
        return f"at the {side} one data channel should be {wanted.data}, opened by the {wanted.opener}: {view}"
    return ""


class Runner:
    """Both sides of the lab watched, one transfer at a time."""

    def __init__(self, lab: Lab, mover: Mover, ports: dict[str, int]) -> None:
        self._mover = mover
        self.ports = ports
        client_ports = frozenset(ports.values())
        server_ports = frozenset((Service("plain").port, Service("implicit").port))
        self._inside = TlsTap(lab.client, client_ports, server_side=False)
        self._outside = TlsTap(lab.server, server_ports, server_side=True)

    def close(self) -> None:
        """Give the packet sockets back."""
        self._inside.close()
        self._outside.close()

    def transfer(
        self,
        client: str,
        transfer: TlsTransfer,
        legs: tuple[Leg, Leg],
        logs: tuple[Gateway, Process],
        limit: float,
    ) -> Outcome:
        """Make a transfer and hold it against what the wire should show at the client and at the server."""
        gateway, server = logs
        invocation = CLIENTS[client](transfer)
        gateway_start, server_start = gateway.log_length(), len(server.lines)
        self._inside.view()
        self._outside.view()
        trial = self._mover.run(transfer, invocation, limit)
        inside, outside = self._inside.view(), self._outside.view()
        problem = trial.problem or wire_problem("client", inside, legs[0]) or wire_problem("server", outside, legs[1])
        details = {
            "command": [" ".join(invocation.command)],
            "client": trial.said.splitlines(),
            "gateway log": gateway.log_since(gateway_start),
            "server": server.lines[server_start:],
            "wire": [f"at the client: {inside}", f"at the server: {outside}"],
        }
        return Outcome(problem, trial.seconds, trial.said, sections_text(details))

    def local_file(self, label: str, direction: str) -> Path:
        """The client's file for a transfer."""
        return self._mover.local_file(label, direction)


@contextmanager
def running(lab: Lab, mover: Mover, ports: dict[str, int]) -> Iterator[Runner]:
    """A runner that gives its sockets back."""
    runner = Runner(lab, mover, ports)
    try:
        yield runner
    finally:
        runner.close()

"""How the servers are started, each in the clear and with TLS, and the lab that they stand in."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.install import CHECKOUT
from tests.peers.namespaces import SERVER, Lab
from tests.peers.processes import LabError, Process
from tests.peers.tls.certificates import Certificates, make_certificates

from .gateway import PORTS, ROGUE_PORT
from .install import MODULES

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stand:
    """A running lab: namespaces, certificates and, by name and whether it speaks TLS, the servers."""

    lab: Lab
    certificates: Certificates
    scratch: Path
    servers: dict[tuple[str, bool], Process]


def node(script: str, *arguments: str) -> list[str]:
    """The command line of a script of ours, with the unpacked modules."""
    return ["env", f"NODE_PATH={MODULES}", "node", str(HERE / script), *arguments]


def command(name: str, port: int, certificate: Path | None) -> list[str]:
    """The command line of a server."""
    if name == "ws":
        return node("ws_server.js", str(port), *([str(certificate)] if certificate else []))
    more = ["--certificate", str(certificate)] if certificate else []
    return [sys.executable, "-m", "tests.peers.ws.websockets_server", str(port), *more]


def rogue() -> list[str]:
    """The command line of the server that misbehaves."""
    return [sys.executable, "-m", "tests.peers.ws.rogue_server", str(ROGUE_PORT)]


@contextmanager
def listening(lab: Lab, name: str, port: int, arguments: Sequence[str]) -> Iterator[Process]:
    """Start a server, and end it whatever happens."""
    with Process(lab.server.command(*arguments), name, cwd=CHECKOUT) as process:
        try:
            lab.server.wait_listening(SERVER[4], port, process.alive)
        except LabError as error:
            raise LabError(f"{name} did not start: {error}; its output: {process.tail()}") from error
        yield process


@contextmanager
def stand(direct: bool, secure: bool = True) -> Iterator[Stand]:
    """Build the lab, start the servers, take everything down whatever happens."""
    with tempfile.TemporaryDirectory(prefix="alg-peers-") as folder, ExitStack() as stack:
        scratch = Path(folder)
        certificates = make_certificates(scratch / "certificates", mint=True)
        lab = stack.enter_context(Lab(direct, {}))
        servers: dict[tuple[str, bool], Process] = {}
        for name, ports in PORTS.items():
            for tls, port in enumerate(ports if secure else ports[:1]):
                arguments = command(name, port, certificates.server if tls else None)
                process = stack.enter_context(listening(lab, name, port, arguments))
                servers[name, bool(tls)] = process
        yield Stand(lab, certificates, scratch, servers)

"""What a case stands on: one gateway with one way in, the servers behind it, clients' command lines, a transcript."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.extras.stage import Ran, check, until
from tests.peers.gateway import Gateway
from tests.peers.install import CHECKOUT
from tests.peers.mover import sections_text
from tests.peers.namespaces import GATEWAY_INSIDE, Lab
from tests.peers.processes import LabError, Process, run_limited
from tests.peers.servers import SAMPLE, UPLOADS, Site, digest_of

from . import alg
from .install import PYTHON, module
from .others import OTHERS
from .places import Way

CLIENT_SECONDS = 8
LIMIT_SECONDS = 15.0
SOCKET_SECONDS = 6.0


@dataclass(frozen=True)
class Case:
    """One row. `gaps` are the gateways that cannot do it, with the reason: they are tried, and must fail.

    `direct`: the client does the same without a proxy, over ordinary routes.
    """

    name: str
    way: Way
    play: Callable[[Stage], None]
    gaps: Mapping[str, str] = field(default_factory=dict)
    direct: bool = False

    @property
    def label(self) -> str:
        """The row's name in the table."""
        return f"{self.way.name}/{self.name}"


@dataclass(frozen=True)
class Bench:
    """What all cases share."""

    lab: Lab
    site: Site
    scratch: Path
    servers: dict[str, Process]


@dataclass
class Stage:
    """A running gateway, as its cases see it; the transcript begins anew with each."""

    bench: Bench
    kind: str
    way: Way
    lines: Callable[[], list[str]]
    _transcript: list[str] = field(default_factory=list)
    _log_start: int = 0
    _server_starts: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """A case begins: nothing was said yet, nothing moved."""
        self._transcript.clear()
        self._log_start = len(self.lines())
        self._server_starts = {name: len(server.lines) for name, server in self.bench.servers.items()}
        for folder in (self.bench.site.uploads, self.folder):
            for file in folder.iterdir():
                file.unlink()

    @property
    def direct(self) -> bool:
        """Whether there is no gateway."""
        return self.kind == "direct"

    @property
    def folder(self) -> Path:
        """The client's folder for downloads."""
        folder = self.bench.scratch / "got"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def sample(self) -> Path:
        """What is uploaded; the server shows the same file."""
        return self.bench.site.root / SAMPLE

    def write(self, name: str, text: str) -> str:
        """Write a configuration of a client; return its path."""
        file = self.bench.scratch / name
        file.write_text(text)
        return str(file)

    def note(self, text: str) -> None:
        """Add to the transcript."""
        self._transcript += text.splitlines()

    def log(self) -> list[str]:
        """What the gateway has logged in this case."""
        return self.lines()[self._log_start :]

    def server_said(self, name: str) -> list[str]:
        """What a server has printed in this case."""
        return self.bench.servers[name].lines[self._server_starts[name] :]

    def details(self) -> str:
        """Everything that helps to see why a case failed."""
        sections = {"clients": self._transcript[-40:], "gateway log": self.log()[-30:]}
        return sections_text(sections | {name: self.server_said(name)[-10:] for name in self.bench.servers})

    def run(self, *command: str, script: str = "", **variables: str) -> Ran:
        """Run a client to its end, with these variables in its environment."""
        modules = os.pathsep.join(filter(None, (str(module(PYTHON, "socks")), os.environ.get("PYTHONPATH"))))
        fixed = {"PATH": os.environ["PATH"], "PYTHONPATH": modules, "HOME": str(self.bench.scratch)}
        environment = {**fixed, "LC_ALL": "C", "TERM": "dumb", **variables}
        inside = self.bench.lab.client.command(*command)
        status, said = run_limited(inside, LIMIT_SECONDS, CHECKOUT, environment, script)
        self.note(f"$ {' '.join(command)}\n{said}\n-> {status}")
        return Ran(status, said)

    def curl(self, *arguments: str) -> Ran:
        """Run curl."""
        return self.run(
            "curl", "--silent", "--show-error", "--fail", "--globoff", "--verbose", *self._patience(), *arguments
        )

    def _patience(self) -> tuple[str, ...]:
        return ("--max-time", str(CLIENT_SECONDS))

    def python(self, name: str, *arguments: str) -> Ran:
        """Run a client in Python, by the name of its module."""
        return self.run(sys.executable, "-m", name, *arguments)

    @contextmanager
    def connection(self, family: int = 4, source: str = "") -> Iterator[socket.socket]:
        """A connection of the client's to the way in, perhaps from another address of its own."""
        where = (GATEWAY_INSIDE[family], self.way.port)
        with self.bench.lab.client.entered():
            opened = socket.create_connection(where, SOCKET_SECONDS, (source, 0) if source else None)
        with opened:
            yield opened

    def is_sample(self, name: str) -> None:
        """Fail unless a file that the client got is the sample."""
        check(digest_of(self.folder / name) == self.bench.site.sample_digest, f"the download {name} is not the sample")

    def has_uploaded(self, name: str) -> None:
        """Fail unless the server has the sample under this name."""
        uploaded = self.bench.site.root / UPLOADS / name
        until(lambda: digest_of(uploaded) == self.bench.site.sample_digest, f"the upload {name} is not what was sent")


def knows(kind: str, way: Way) -> bool:
    """Whether a gateway has anything at all for this way in."""
    return kind == "direct" or way in (alg.ARGUMENTS if kind == "alg" else OTHERS[kind])


@contextmanager
def staged(kind: str, way: Way, bench: Bench, complaints: list[str]) -> Iterator[Stage]:
    """Start a gateway with this way in, and end it whatever happens; `complaints` are about ALG's own running."""
    with ExitStack() as stack:
        if kind == "direct":
            yield Stage(bench, kind, way, list)
        elif kind == "alg":
            gateway = stack.enter_context(Gateway(bench.lab, "alg", alg.orders(way)))
            yield Stage(bench, kind, way, lambda: gateway.log_since(0))
            complaints += [f"{way.name}: {complaint}" for complaint in gateway.finish()]
        else:
            daemon = OTHERS[kind][way](bench.lab, bench.scratch)
            process = stack.enter_context(daemon.running(bench.lab.gateway))
            yield Stage(bench, kind, way, lambda: process.lines)
            if not process.alive():
                raise LabError(f"{kind} ended by itself; its last words: {process.tail()}")

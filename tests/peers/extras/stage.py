"""What a row of the table stands on: servers and a gateway that run, a client's command line, a transcript.

A scene says what runs; its rows are functions that get the running `Stage` and raise `RowError` where something is
not as it must be.
"""

from __future__ import annotations

import contextlib
import ftplib
import io
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.gateway import GATEWAY_PORT, Gateway, Orders
from tests.peers.install import CHECKOUT
from tests.peers.mover import sections_text
from tests.peers.namespaces import GATEWAY_INSIDE, Lab, Namespace
from tests.peers.processes import LabError, Process, run, run_limited
from tests.peers.servers import SAMPLE, UPLOADS, Site, digest_of
from tests.peers.tls.certificates import Certificates

CLIENT_SECONDS = 12
LIMIT_SECONDS = 20.0
WAIT_SECONDS = 5.0
POLL_SECONDS = 0.02


class RowError(Exception):
    """What was seen is not what must be; the text says both."""


def check(fine: bool, problem: str) -> None:
    """Fail the row unless that is so."""
    if not fine:
        raise RowError(problem)


def until(condition: Callable[[], bool], problem: str, seconds: float = WAIT_SECONDS) -> None:
    """Return once that is so; fail the row where it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, f"{problem}, after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Daemon:
    """A server: the command line that starts it, and the endpoints at which it must listen then."""

    name: str
    command: list[str]
    listens: tuple[tuple[str, int], ...]

    @contextmanager
    def running(self, namespace: Namespace) -> Iterator[Process]:
        """Start it, and end it whatever happens."""
        with Process(namespace.command(*self.command), self.name, cwd=CHECKOUT) as process:
            try:
                for host, port in self.listens:
                    namespace.wait_listening(host, port, process.alive)
            except LabError as error:
                raise LabError(f"{self.name} did not start: {error}; its output: {process.tail()}") from error
            yield process


@dataclass(frozen=True)
class Ran:
    """A client that has ended: its status (None: it took too long) and all that it printed."""

    status: int | None
    said: str

    def succeeded(self) -> Ran:
        """Fail the row unless the client is content."""
        check(self.status == 0, f"the client ended with {self.status}")
        return self

    def failed(self) -> Ran:
        """Fail the row if the client is content, or had to be killed."""
        check(self.status not in (0, None), f"the client should have failed, and ended with {self.status}")
        return self

    def ended(self, status: int) -> Ran:
        """Fail the row unless the client ended with this status."""
        check(self.status == status, f"the client should end with {status}, and ended with {self.status}")
        return self

    def shows(self, *patterns: str) -> Ran:
        """Fail the row unless the client printed these."""
        for pattern in patterns:
            check(re.search(pattern, self.said) is not None, f"the client does not show '{pattern}'")
        return self


@dataclass(frozen=True)
class Bench:
    """What all scenes share."""

    lab: Lab
    site: Site
    scratch: Path
    certificates: Certificates

    def toml(self, text: str) -> tuple[str, ...]:
        """The arguments for the gateway that name a file with this text."""
        file = self.scratch / "extras.toml"
        file.write_text(text)
        return ("--config", str(file))


Row = Callable[["Stage"], None]


@dataclass(frozen=True)
class Scene:
    """What runs, and what is tried with it. `orders` is what follows `alg run`."""

    name: str
    orders: Callable[[Bench], tuple[str, ...]]
    servers: Callable[[Bench], list[Daemon]]
    rows: Mapping[str, Row]
    routes: int = 1


@dataclass
class Stage:
    """A running scene; the transcript begins anew with each row."""

    bench: Bench
    gateway: Gateway
    servers: dict[str, Process]
    _transcript: list[str] = field(default_factory=list)
    _log_start: int = 0
    _server_starts: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """A row begins: nothing was said yet, nothing uploaded."""
        self._transcript.clear()
        self._log_start = self.gateway.log_length()
        self._server_starts = {name: len(server.lines) for name, server in self.servers.items()}
        for folder in (self.bench.site.uploads, self.folder):
            for file in folder.iterdir():
                file.unlink()

    @property
    def lab(self) -> Lab:
        """The namespaces."""
        return self.bench.lab

    @property
    def folder(self) -> Path:
        """The client's folder for downloads."""
        folder = self.bench.scratch / "got"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def authority(self) -> str:
        """The authority that clients trust."""
        return str(self.bench.certificates.trusted)

    def log(self) -> list[str]:
        """What the gateway has logged in this row."""
        return self.gateway.log_since(self._log_start)

    def logged(self, pattern: str) -> str:
        """Wait for a record of the gateway; return it."""
        wanted = re.compile(pattern)
        until(lambda: any(map(wanted.search, self.log())), f"the gateway has no record '{pattern}'")
        return next(line for line in self.log() if wanted.search(line))

    def server_said(self, name: str) -> list[str]:
        """What a server has printed in this row."""
        return self.servers[name].lines[self._server_starts[name] :]

    def note(self, text: str) -> None:
        """Add to the transcript."""
        self._transcript += text.splitlines()

    def details(self) -> str:
        """Everything that helps to see why a row failed."""
        sections = {"clients": list(self._transcript), "gateway log": self.log()}
        return sections_text(sections | {name: self.server_said(name) for name in self.servers})

    def run(self, *command: str, script: str = "", seconds: float = LIMIT_SECONDS) -> Ran:
        """Run a client to its end."""
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH")}
        environment = {**kept, "HOME": str(self.bench.scratch), "LC_ALL": "C", "TERM": "dumb"}
        status, said = run_limited(self.lab.client.command(*command), seconds, CHECKOUT, environment, script)
        self.note(f"$ {' '.join(command)}\n{said}\n-> {status}")
        return Ran(status, said)

    def curl(self, *arguments: str) -> Ran:
        """Run curl, which trusts the lab's authority."""
        fixed = ("--silent", "--show-error", "--verbose", "--max-time", str(CLIENT_SECONDS), "--cacert", self.authority)
        return self.run("curl", *fixed, *arguments)

    def lftp(self, script: str) -> Ran:
        """Run lftp, which trusts the lab's authority; the script fails with its first command that does."""
        fixed = (
            f"set net:max-retries 1; set net:timeout {CLIENT_SECONDS}; set cmd:fail-exit yes; "
            f"set xfer:clobber yes; set ssl:ca-file {self.authority}; "
        )
        return self.run("lftp", "--norc", "-d", "-c", fixed + script)

    @contextmanager
    def ftplib(self, kind: Callable[..., ftplib.FTP]) -> Iterator[ftplib.FTP]:
        """Let Python's ftplib speak from the client's side; what it prints goes to the transcript."""
        words = io.StringIO()
        try:
            with self.lab.client.entered(), contextlib.redirect_stdout(words):
                ftp = kind(timeout=CLIENT_SECONDS)
                ftp.set_debuglevel(1)
                with ftp:
                    yield ftp
        finally:
            self.note(f"$ ftplib\n{words.getvalue()}")

    def secure_context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """TLS for ftplib: it trusts the lab's authority, and speaks that one version."""
        context = ssl.create_default_context(cafile=self.authority)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def is_sample(self, name: str) -> None:
        """Fail the row unless a file that the client got is the sample."""
        check(digest_of(self.folder / name) == self.bench.site.sample_digest, f"the download {name} is not the sample")

    def has_uploaded(self, name: str, source: Path) -> None:
        """Fail the row unless the server has that file of the client's."""
        until(
            lambda: digest_of(self.bench.site.root / UPLOADS / name) == digest_of(source),
            f"the upload {name} is not what was sent",
        )

    def listening_ports(self) -> set[int]:
        """The TCP ports at which the gateway listens, all families."""
        found = run(*self.lab.gateway.command("ss", "-Htln"))
        return {int(line.split()[3].rpartition(":")[2]) for line in found.splitlines()}

    def nothing_listens(self, *control_ports: int) -> None:
        """Fail the row unless the gateway is back at its control ports alone."""
        wanted = set(control_ports or (GATEWAY_PORT,))
        until(lambda: self.listening_ports() == wanted, f"the gateway should listen at {wanted} only")


@contextmanager
def staged(scene: Scene, bench: Bench, complaints: list[str]) -> Iterator[Stage]:
    """Start what a scene needs, and end it whatever happens; `complaints` are about the gateway itself."""
    orders = Orders(scene.orders(bench), scene.routes, home=bench.certificates.home)
    with contextlib.ExitStack() as stack:
        servers = {
            daemon.name: stack.enter_context(daemon.running(bench.lab.server)) for daemon in scene.servers(bench)
        }
        with Gateway(bench.lab, "alg", orders) as gateway:
            yield Stage(bench, gateway, servers)
            complaints += [f"{scene.name}: {complaint}" for complaint in gateway.finish()]


HOST = GATEWAY_INSIDE[4]
URL = f"ftp://{HOST}:{GATEWAY_PORT}"
SAMPLE_URL = f"{URL}/{SAMPLE}"

"""What a row of the table stands on: servers and a gateway that run, a client's command line, what came of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.extras.stage import Daemon, check
from tests.peers.gateway import Gateway
from tests.peers.install import CHECKOUT
from tests.peers.mover import sections_text
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER, Lab
from tests.peers.processes import Process, run_limited

from .gateway import NAME, Discovery, authority, orders
from .install import CACHE, NODE_MODULES, PYTHON, node, overlay
from .wire import HttpTap

LIMIT_SECONDS = 45.0
CLIENTS = Path(__file__).parent / "clients"
PICTURES = CACHE / "pictures"
# Where the clients' libraries look for authorities that they trust.
TRUST = (
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CURL_CA_BUNDLE"),
    *("REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"),
)


@dataclass(frozen=True)
class Bench:
    """What all scenes share."""

    lab: Lab
    scratch: Path
    mode: str
    newest: bool = False

    @property
    def home(self) -> Path:
        """Where the gateway keeps its files."""
        return self.scratch / "home"

    @property
    def authority(self) -> Path:
        """The gateway's authority, which clients trust."""
        return authority(self.mode, self.home)

    def host(self, mode: str) -> str:
        """The address at which clients begin."""
        return SERVER[4] if mode == "direct" else GATEWAY_INSIDE[4]


@dataclass(frozen=True)
class Row:
    """One client: its command line, and what must have come of it.

    `plain` says why it succeeds through a relay that looks at nothing, too; `direct` why it fails without any gateway;
    `bare` why it succeeds through mitmproxy without the addon.
    """

    command: Callable[[Stage], list[str]]
    shows: tuple[str, ...] = ()
    then: Callable[[Stage], str] | None = None
    plain: str = ""
    direct: str = ""
    bare: str = ""


@dataclass(frozen=True)
class Scene:
    """What runs, and what is tried with it."""

    name: str
    discovery: Discovery
    servers: Callable[[Bench], list[Daemon]]
    rows: Mapping[str, Row]


@dataclass
class Stage:
    """A running scene, as its rows see it; the transcript begins anew with each row."""

    bench: Bench
    mode: str
    discovery: Discovery
    gateway: Gateway
    servers: dict[str, Process]
    tap: HttpTap
    said: str = ""
    row: str = ""
    _starts: dict[str, int] = field(default_factory=dict)
    _log_start: int = 0
    _wire: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The address at which clients begin."""
        return self.bench.host(self.mode)

    @property
    def url(self) -> str:
        """Where clients begin."""
        return f"{self.discovery.scheme}://{self.host}:{self.discovery.port}"

    @property
    def named_url(self) -> str:
        """The same by a name."""
        return f"{self.discovery.scheme}://{NAME}:{self.discovery.port}"

    @property
    def picture(self) -> Path:
        """Where a client puts its picture of this row."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        return PICTURES / f"{re.sub('[^a-z0-9]+', '-', f'{self.row} {self.mode}'.lower())}.png"

    def begin(self, row: str) -> None:
        """A row begins: nothing was said yet, and there is no picture."""
        self.row, self.said = row, ""
        self.picture.unlink(missing_ok=True)
        self._log_start = self.gateway.log_length()
        self._starts = {name: len(server.lines) for name, server in self.servers.items()}
        self._wire.clear()
        self.tap.lines()

    def run(self, command: list[str]) -> int | None:
        """Run a client to its end; return its status."""
        ours = {"HOME": str(self.bench.scratch), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        trust = dict.fromkeys(TRUST, str(self.bench.authority))
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(NODE_MODULES), **ours, **trust}
        whole = self.bench.lab.client.command(*command)
        status, said = run_limited(whole, LIMIT_SECONDS, CHECKOUT, environment)
        self.said = f"$ {' '.join(command)}\n{said}\n-> {status}"
        return status

    def server_said(self, name: str) -> list[str]:
        """What a server has printed in this row."""
        return self.servers[name].lines[self._starts[name] :]

    def wire(self) -> list[str]:
        """What was seen at the client in this row."""
        self._wire += self.tap.lines()
        return self._wire

    def details(self) -> str:
        """Everything that helps to see why a row failed."""
        sections = {"client": self.said.splitlines()[-30:], "wire at the client": self.wire()[-40:]}
        sections["gateway log"] = self.gateway.log_since(self._log_start)[-30:]
        return sections_text(sections | {name: self.server_said(name)[-15:] for name in self.servers})


def python_client(script: str, *arguments: str, over: str = "") -> list[str]:
    """A client in Python, perhaps with an overlay's packages before the others."""
    path = [f"PYTHONPATH={overlay(over)}"] if over else []
    return ["env", *path, str(PYTHON), str(CLIENTS / script), *arguments]


def node_client(script: str, *arguments: str) -> list[str]:
    """A client in Node."""
    return [str(node()), str(CLIENTS / script), *arguments]


@contextmanager
def staged(scene: Scene, bench: Bench, mode: str, servers: dict[str, Process], wrong: list[str]) -> Iterator[Stage]:
    """Start the gateway of a scene whose servers run; `wrong` gets the complaints about the gateway itself."""
    with ExitStack() as stack:
        tap = HttpTap(bench.lab.client)
        stack.callback(tap.close)
        told = orders(mode, scene.discovery, bench.home, newest=bench.newest)
        with Gateway(bench.lab, "direct" if mode == "direct" else "alg", told) as gateway:
            yield Stage(bench, mode, scene.discovery, gateway, servers, tap)
            wrong += [f"{scene.name}, {mode}: {complaint}" for complaint in gateway.finish()]


def attempt(stage: Stage, row: Row) -> str:
    """Run a row's client and look at what came of it; return the evidence in one line."""
    began = time.monotonic()
    status = stage.run(row.command(stage))
    check(status == 0, "the client took too long" if status is None else f"the client ended with {status}")
    for pattern in row.shows:
        check(re.search(pattern, stage.said) is not None, f"the client does not show '{pattern}'")
    evidence = [line.removeprefix("seen: ") for line in stage.said.splitlines() if line.startswith("seen: ")]
    if row.then:
        evidence.append(row.then(stage))
    return f"{time.monotonic() - began:.1f} s; {'; '.join(evidence)}"

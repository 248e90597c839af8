"""Protocols whose HTTP, JSON or XML answers carry network addresses: real clients that follow them, through the gateway.

Browsers' debugging interface, WebDriver with BiDi, ONVIF cameras, Elasticsearch's sniffing, WebHDFS. With `alg`, each
client is tried a second time through a relay that looks at nothing, where it must fail: that row is called `plain`. With
`mitm` the plugin is in mitmproxy; with `mitmdump` there is no plugin, and what succeeds all the same says why.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.peers.extras.stage import RowError
from tests.peers.namespaces import PRIVATE_ETC, SERVER, Lab
from tests.peers.processes import LabError, Process
from tests.peers.rig import summary

from . import cdp, elasticsearch, onvif, selenium, webhdfs
from .gateway import MITMPROXY, NAME, export_authority
from .stage import Bench, Row, Scene, Stage, attempt, staged

TOPICS = (cdp, onvif, elasticsearch, webhdfs, selenium)
KNOCK_PORT = 7
GATEWAYS = {"alg": ("alg", "tcp"), "tcp": ("tcp",), "direct": ("direct",)}
GATEWAYS |= {mode: (mode,) for mode in MITMPROXY}


@dataclass(frozen=True)
class Result:
    """What became of a row."""

    row: str
    gateway: str
    status: str
    text: str

    def line(self) -> str:
        """The row in the table."""
        plain = " plain" if self.gateway == "tcp" else ""
        return f"{self.status:4} {self.row}{plain}: {self.text}"


def scenes(only: str) -> Iterator[Scene]:
    """Every scene with those of its rows whose name holds all the words."""
    words = only.lower().split()
    for topic in TOPICS:
        for scene in topic.scenes():
            names = [name for name in scene.rows if all(word in f"{scene.name}/{name}".lower() for word in words)]
            if names:
                yield replace(scene, rows={name: scene.rows[name] for name in names})


@contextmanager
def built_bench(mode: str, *, newest: bool) -> Iterator[Bench]:
    """Build the namespaces, see that they are apart, give clients their names; take all down whatever happens."""
    with (
        tempfile.TemporaryDirectory(prefix="alg-peers-", ignore_cleanup_errors=True) as folder,
        Lab(mode == "direct", {}) as lab,
    ):
        with ExitStack() as listeners:
            for address in SERVER.values():
                listeners.enter_context(lab.server.listen(address, KNOCK_PORT))
            lab.check_isolation(KNOCK_PORT)
        bench = Bench(lab, Path(folder), mode, newest)
        bench.home.mkdir()
        names = [f"{bench.host(mode)} {NAME}"]
        if mode == "direct":
            names += [f"{SERVER[4]} {name}" for name in elasticsearch.NAMES]
        hosts = PRIVATE_ETC / lab.client.name / "hosts"
        hosts.write_text(hosts.read_text() + "\n".join(names) + "\n")
        if mode not in MITMPROXY:
            export_authority(bench.home, bench.authority)
        yield bench


def outcome(stage: Stage, scene: Scene, name: str) -> Result:
    """Run one row, and judge it by what must come of it with this gateway."""
    row, label = scene.rows[name], f"{scene.name}/{name}"
    stage.begin(label)
    problem = ""
    try:
        text = attempt(stage, row)
    except (RowError, OSError) as error:
        text = problem = f"{error}" or type(error).__name__
    wanted, reason = expectation(stage.mode, row)
    if wanted and not problem:
        return Result(label, stage.mode, "ok", f"{text} ({reason})" if reason else text)
    if problem and not wanted:
        said = [line for line in stage.said.splitlines() if line.strip()][-2:-1]
        return Result(label, stage.mode, "n/a" if reason else "ok", f"fails: {reason or short(problem, said)}")
    return Result(label, stage.mode, "FAIL", f"{problem or 'should fail, and works: ' + text}\n{stage.details()}")


def expectation(mode: str, row: Row) -> tuple[bool, str]:
    """Whether a row must succeed with this gateway; where that is unusual, why."""
    if mode == "tcp":
        return bool(row.plain), row.plain
    if mode == "direct":
        return not row.direct, row.direct
    if mode == "mitmdump":
        return bool(row.bare), row.bare
    return True, ""


def short(problem: str, said: list[str]) -> str:
    """A failure in one line."""
    return f"{problem}: {said[0].strip()[:200]}" if said else problem


def perform(bench: Bench, scene: Scene, modes: tuple[str, ...], wrong: list[str], *, wire: bool) -> Iterator[Result]:
    """Start a scene's servers, and try its rows with each gateway."""
    if bench.mode == "direct" and scene.discovery.tls:
        for name in scene.rows:
            yield Result(f"{scene.name}/{name}", "direct", "n/a", "the server speaks in the clear")
        return
    with ExitStack() as stack:
        servers: dict[str, Process] = {}
        for daemon in scene.servers(bench):
            servers[daemon.name] = stack.enter_context(daemon.running(bench.lab.server))
        for mode in modes:
            with staged(scene, bench, mode, servers, wrong) as stage:
                for name in scene.rows:
                    yield outcome(stage, scene, name)
                    if wire:
                        print("\n".join(f"     {line}" for line in stage.wire()), flush=True)


def run_table(mode: str, only: str, report: Path | None, *, wire: bool, newest: bool) -> int:
    """Run the rows, return the exit status: 0 only if nothing failed."""
    chosen = list(scenes(only))
    if not chosen:
        raise LabError(f"--only {only} fits no row: names look like 'cdp tls/playwright'")
    wrong: list[str] = []
    results: list[Result] = []
    with built_bench(mode, newest=newest) as bench:
        for scene in chosen:
            for result in perform(bench, scene, GATEWAYS[mode], wrong, wire=wire):
                results.append(result)
                print(result.line(), flush=True)
    if report:
        report.write_text(json.dumps({"rows": [asdict(result) for result in results], "gateway": wrong}, indent=2))
    counts = [result.status for result in results]
    return summary(counts.count("ok"), counts.count("FAIL"), wrong)

"""The third table: tiny files and broken transfers, CCC, TLS passed on, servers chosen by clients, the PROXY protocol,
the transfer log, client certificates, plain clients of TLS servers, and both address families.

Each row stands for itself: real clients and servers with the gateway between them, and what they must see.
"""

from __future__ import annotations

import ftplib
from collections.abc import Iterator

from tests.peers.mover import SAMPLE_SIZE
from tests.peers.processes import LabError
from tests.peers.rig import built_lab, summary
from tests.peers.tls.certificates import make_certificates

from . import broken, ccc, choice, families, opaque, plain, proxied, tiny, transfer_log, trust
from .names import name_everybody
from .stage import Bench, RowError, Scene, Stage, staged

TOPICS = (tiny, broken, ccc, opaque, choice, proxied, transfer_log, trust, plain, families)
# What clients and servers end a row with, besides what a row finds itself.
FAILURES = (RowError, OSError, EOFError, ftplib.Error)


def scenes(only: str) -> Iterator[Scene]:
    """Every scene with those of its rows whose name holds all the words."""
    words = only.lower().split()
    for topic in TOPICS:
        for scene in topic.scenes():
            rows = {
                name: row
                for name, row in scene.rows.items()
                if all(word in f"{scene.name}/{name}".lower() for word in words)
            }
            if rows:
                yield Scene(scene.name, scene.orders, scene.servers, rows, scene.routes)


def outcome(stage: Stage, scene: Scene, name: str) -> bool:
    """Run a row, print its line; return whether all was well."""
    stage.begin()
    problem = ""
    try:
        scene.rows[name](stage)
    except FAILURES as error:
        problem = f"{error}" or type(error).__name__
    if problem:
        print(f"FAIL {scene.name}/{name}: {problem}\n{stage.details()}", flush=True)
    else:
        print(f"ok   {scene.name}/{name}", flush=True)
    return not problem


def run_table(only: str) -> int:
    """Run the rows, return the exit status: 0 only if nothing failed."""
    chosen = list(scenes(only))
    if not chosen:
        raise LabError(f"--only {only} fits no row: names look like 'tiny vsftpd P 1.3/curl'")
    complaints: list[str] = []
    results: list[bool] = []
    with built_lab(False, SAMPLE_SIZE) as (lab, site, scratch):
        bench = Bench(lab, site, scratch, make_certificates(scratch / "certificates"))
        name_everybody(bench)
        for scene in chosen:
            with staged(scene, bench, complaints) as stage:
                results += [outcome(stage, scene, name) for name in scene.rows]
    return summary(sum(results), len(results) - sum(results), complaints)

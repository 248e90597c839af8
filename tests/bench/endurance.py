"""The measures that run once, each with a fresh gateway: 5,000 idle FTP sessions, and 200 clients killed."""

import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import processes
from tests.bench.generators import Figures, Generator
from tests.bench.measures import Aim
from tests.bench.methods import FTP, FTP_PORT, METHODS, Running
from tests.bench.namespaces import CLIENT, CLIENT_ADDRESSES

IDLE, WARM, PROBES, TURNS = 5000, 250, 500, 15
CLIENTS, CLEAN_BYTES, BACK_WITHIN = 200, 4 << 20, 10.0


@dataclass(frozen=True)
class Endurance:
    """A measure of one method by itself; its aims are absolute."""

    name: str
    title: str
    methods: tuple[str, ...]
    take: Callable[[str], Figures]
    aims: tuple[Aim, ...]
    subject: str = "alg"  # whose figures have the aims


def _idle(name: str) -> Figures:
    """Memory by the slope between 250 and 5,250 held sessions, so that start-up costs drop out. The round trip
    of one more session is taken in turns with that through a second gateway without idle sessions,
    so that both meet the same machine; the two gateways' ratio before counts as 1."""
    with _fresh(name, "idle") as full, _fresh(name, "empty") as empty, _holder(full) as held, _holder(empty) as alone:

        def compare() -> tuple[list[float], list[float]]:
            order = f"probe {PROBES}"
            with processes.one_core():
                pairs = [(_ask(alone, order)["p50"], _ask(held, order)["p50"]) for _ in range(TURNS)]
            return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

        def ratio(without: list[float], loaded: list[float]) -> float:
            return statistics.median(b / a for a, b in zip(without, loaded, strict=True))

        for holder in (alone, held):  # what a process learns from its first sessions, both shall know
            _ask(holder, f"open {WARM}")
            _ask(holder, "close")
        base = ratio(*compare())
        _ask(held, f"open {WARM}")
        before = processes.private_bytes(full.pids)
        _ask(held, f"open {WARM + IDLE}")
        after = processes.private_bytes(full.pids)
        without, loaded = compare()
        answered = _ask(held, "check")["answered"] - WARM
    return {
        "KB a session": (after - before) / IDLE / 1024,
        "round trip ratio": ratio(without, loaded) / base,
        "p50 us alone": statistics.median(without),
        "p50 us with idle": statistics.median(loaded),
        "answered": answered,
    }


def _holder(running: Running) -> Generator:
    return Generator(running, "ftpidle", running.target, FTP_PORT, CLIENT, CLIENT_ADDRESSES)


def _ask(holder: Generator, order: str) -> Figures:
    holder.order(order)
    return holder.figures(patience=120)


def _fresh(name: str, purpose: str) -> Running:
    return Running(METHODS[name], frozenset({FTP}), f"-{purpose}")


def _killed(name: str) -> Figures:
    """The baseline is what the gateway holds after 200 transfers that ended in good order: a pool that these filled
    is no leak."""
    with _fresh(name, "killed") as running:
        arguments = (running.target, FTP_PORT, CLIENT, CLIENT_ADDRESSES, CLIENTS)
        start = processes.descriptors(running.pids)
        with Generator(running, "ftpmany", *arguments, CLEAN_BYTES) as clean:
            clean.figures(patience=60)
        before = _settled(running)
        with Generator(running, "ftpmany", *arguments, 0) as broken:
            broken.line(patience=60)
            during = processes.descriptors(running.pids)
            for pid in processes.tree([broken.pid]):
                os.kill(pid, signal.SIGKILL)
            since = time.monotonic()
            back = processes.wait_for(lambda: processes.descriptors(running.pids) <= before, BACK_WITHIN)
            seconds = time.monotonic() - since
        after = processes.descriptors(running.pids)
    return {
        "fds at start": start,
        "fds before": before,
        "fds during": during,
        "fds after": after,
        "seconds": seconds,
        "back": float(back),
    }


def _settled(running: Running) -> int:
    """The descriptors when their number changes no more: ended sessions linger for a moment."""
    known = -1
    for _ in range(20):
        now = processes.descriptors(running.pids)
        if now == known:
            break
        known = now
        time.sleep(0.5)
    return known


ENDURANCE = (
    Endurance(
        "idle",
        f"{IDLE} idle FTP control sessions",
        ("alg", "haproxy"),
        _idle,
        (
            Aim("KB a session", "", "<=", 8),
            Aim("round trip ratio", "", "<=", 1.1),
            Aim("answered", "", ">=", IDLE),
        ),
    ),
    Endurance(
        "killed",
        f"{CLIENTS} FTP clients killed in mid-transfer",
        ("alg", "ftp-proxy"),
        _killed,
        (Aim("back", "", ">=", 1), Aim("seconds", "", "<=", BACK_WITHIN)),
    ),
)

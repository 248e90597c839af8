"""The measures that run in rounds: bulk, round trips, TCP sessions, FTP sessions; and what each aims at."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.bench.generators import Figures, Generator, whole, window
from tests.bench.methods import FTP, FTP_PORT, TCP, TCP_PORT, Running
from tests.bench.namespaces import BenchError
from tests.bench.processes import one_core

PARALLEL_TCP, PARALLEL_FTP, BURSTS = 16, 8, 5


@dataclass(frozen=True)
class Settings:
    rounds: int
    seconds: float
    ends: str  # of bulk transfers: "cheap" or "copy"


@dataclass(frozen=True)
class Aim:
    """A figure of the measure's subject, divided by that of another method unless `other` is empty, against a bound."""

    figure: str
    other: str
    relation: str  # ">=" or "<="
    bound: float

    def met(self, value: float) -> bool:
        return value >= self.bound if self.relation == ">=" else value <= self.bound


@dataclass(frozen=True)
class Measure:
    """`sample` gives the figures of one method in one round; the first figure is the main one."""

    name: str
    title: str
    service: str
    methods: tuple[str, ...]
    sample: Callable[[Running, Settings], Figures]
    aims: tuple[Aim, ...] = field(default=())
    subject: str = "alg"  # whose figures are divided by the others'


def _bulk(connections: int, running: Running, settings: Settings) -> Figures:
    arguments = (running.target, TCP_PORT, connections, settings.seconds, settings.ends)
    figures, cpu = window(running, settings.seconds, "bulk", *arguments)
    if figures["starved"]:
        raise BenchError(f"{running.method.name}: {figures['starved']:.0f} of {connections} connections got no data")
    gigabytes = figures["bytes"] / 1e9
    return {"GB/s": gigabytes / figures["seconds"], "CPU s/GB": cpu / gigabytes}


def _round_trips(running: Running, settings: Settings) -> Figures:
    """The median of short bursts, since the scheduler's choice of cores stays for a whole connection."""
    bursts = [_burst(running, settings.seconds / BURSTS) for _ in range(BURSTS)]
    return {figure: statistics.median(burst[figure] for burst in bursts) for figure in bursts[0]}


def _round_trips_on_one_core(running: Running, settings: Settings) -> Figures:
    with one_core():
        return _burst(running, settings.seconds / 2)


def _burst(running: Running, seconds: float) -> Figures:
    before = running.cpu()
    with Generator(running, "echo", running.target, TCP_PORT, seconds) as generator:
        figures = generator.figures(patience=seconds + 10)
    cpu = running.cpu() - before
    return {"p50 us": figures["p50"], "p99 us": figures["p99"], "CPU us": cpu * 1e6 / figures["trips"]}


def _sessions(running: Running, settings: Settings) -> Figures:
    arguments = (running.target, TCP_PORT, PARALLEL_TCP, settings.seconds)
    figures, cpu = whole(running, settings.seconds, "session", *arguments)
    return per_session(figures, cpu)


def _ftp(mode: str, running: Running, settings: Settings) -> Figures:
    arguments = (running.target, FTP_PORT, mode, PARALLEL_FTP, settings.seconds)
    figures, cpu = whole(running, settings.seconds, "ftpload", *arguments)
    return per_session(figures, cpu)


def per_session(figures: Figures, cpu: float) -> Figures:
    """What a generator of whole sessions counted, by the second and by the session."""
    return {"sessions/s": figures["sessions"] / figures["seconds"], "CPU us": cpu * 1e6 / figures["sessions"]}


def verify(running: Running) -> None:
    """A relay that mixes up bytes is not measured."""
    window(running, 0.2, "bulk", running.target, TCP_PORT, 4, 0.2, "verify")


_TCP_METHODS = ("alg", "haproxy", "nat", "direct")
_FTP_METHODS = ("alg", "nat-ftp", "ftp-proxy", "mod_proxy", "direct")

MEASURES = (
    *(
        Measure(
            "bulk",
            f"bulk download, {connections} connection{'s' if connections > 1 else ''}",
            TCP,
            _TCP_METHODS,
            partial(_bulk, connections),
            (
                Aim("GB/s", "haproxy", ">=", 1.0),
                Aim("CPU s/GB", "haproxy", "<=", 1.1),
                Aim("GB/s", "nat", ">=", 0.95),
            ),
        )
        for connections in (1, 8, 64)
    ),
    Measure(
        "roundtrip",
        "round trip of 64 bytes",
        TCP,
        _TCP_METHODS,
        _round_trips,
        (Aim("p50 us", "haproxy", "<=", 1.15),),
    ),
    # Without an aim: no wake-up of another core hides the relay's own time here, and the figures hardly vary.
    Measure("roundtrip", "round trip of 64 bytes, all on one core", TCP, _TCP_METHODS, _round_trips_on_one_core),
    Measure(
        "sessions",
        f"TCP sessions, {PARALLEL_TCP} at a time",
        TCP,
        _TCP_METHODS,
        _sessions,
        (Aim("sessions/s", "haproxy", ">=", 0.75),),
    ),
    *(
        Measure(
            "ftp",
            f"FTP sessions, {mode.upper()}, {PARALLEL_FTP} at a time",
            FTP,
            _FTP_METHODS,
            partial(_ftp, mode),
            (
                Aim("sessions/s", "nat-ftp", ">=", 0.4),
                Aim("sessions/s", "ftp-proxy", ">=", 8),
                Aim("sessions/s", "mod_proxy", ">=", 50),
            ),
        )
        for mode in ("pasv", "port")
    ),
)

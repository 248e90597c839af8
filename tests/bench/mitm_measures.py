"""ALG's addon inside mitmproxy beside mitmproxy's own TCP relays: bulk through a data channel, and FTP sessions.

Those relays cannot find a data channel, so what they carry is the same bytes on a bare connection to the same kind
of source, and FTP sessions without data. `alg` is the daemon, `direct` no gateway: the ceiling.
"""

import statistics
import time
from functools import partial

from tests.bench.endurance import Endurance
from tests.bench.generators import Figures, whole, window
from tests.bench.measures import Aim, Measure, Settings
from tests.bench.methods import FTP_PORT, METHODS, MITM, MITM_FTP_PORT, TCP_PORT, Running
from tests.bench.namespaces import BenchError

NAME, SUBJECT = "mitmproxy", "mitm-alg"
PARALLEL, STARTS, HALF = 8, 11, 2.5
RELAYS = ("mitm-tcp", "mitm-quiet", "mitm-ignore")
KNOW_FTP = (SUBJECT, "alg", "direct")


def _ftp_port(running: Running) -> int:
    return MITM_FTP_PORT if running.gateway else FTP_PORT  # directly, there is nothing but the server


def _bulk(direction: str, connections: int, running: Running, settings: Settings) -> Figures:
    bare = running.method.name in RELAYS
    where = (running.target, TCP_PORT, "tcp") if bare else (running.target, _ftp_port(running), "ftp")
    memory: list[int] = []
    figures, cpu = window(
        running,
        settings.seconds,
        "transfer",
        *(*where, direction, connections, settings.seconds),
        meanwhile=lambda: memory.append(running.memory(MITM)),
    )
    if figures["starved"]:
        raise BenchError(f"{running.method.name}: {figures['starved']:.0f} of {connections} transfers stood still")
    gigabytes = figures["bytes"] / 1e9
    return {"GB/s": gigabytes / figures["seconds"], "CPU s/GB": cpu / gigabytes, "MB resident": memory[0] / 1e6}


def _sessions(mode: str, running: Running, settings: Settings) -> Figures:
    arguments = (running.target, _ftp_port(running), mode, PARALLEL, settings.seconds)
    figures, cpu = whole(running, settings.seconds, "ftpload", *arguments)
    return {
        "sessions/s": figures["sessions"] / figures["seconds"],
        "CPU us": cpu * 1e6 / figures["sessions"],
        "MB resident": running.memory(MITM) / 1e6,
    }


def _memory(name: str) -> Figures:
    """Of a fresh process: in rounds, a relay that keeps all still holds what earlier transfers left."""
    with Running(METHODS[name], frozenset({MITM}), "-memory") as running:
        before = running.memory(MITM) / 1e6
        figures = _bulk("retr", 1, running, Settings(1, 2 * HALF, "cheap"))
    return {"MB before": before, f"MB after {HALF:g} s": figures["MB resident"], "GB/s": figures["GB/s"]}


def _start(name: str) -> Figures:
    """From the command until the last port listens, looked at every 20 ms; the first start, which fills caches and
    makes a certificate authority, does not count."""
    seconds = []
    with Running(METHODS[name], frozenset({MITM}), "-start") as running:
        for _ in range(STARTS):
            for process in running.gateway.values():
                running.lab.stop(process)
            begin = time.monotonic()
            running.gateway = METHODS[name].start(running.lab, frozenset({MITM}))
            seconds.append(time.monotonic() - begin)
        resident = running.memory(MITM) / 1e6
    return {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "MB resident": resident,
    }


_BULK_AIMS = (
    Aim("GB/s", "mitm-tcp", ">=", 1),
    Aim("GB/s", "mitm-quiet", ">=", 1),
    Aim("GB/s", "mitm-ignore", ">=", 0.8),
)

MITM_MEASURES = (
    *(
        Measure(
            NAME,
            f"mitmproxy: {direction.upper()} over {connections} connection{'s' if connections > 1 else ''}",
            MITM,
            (SUBJECT, *RELAYS, "alg", "direct"),
            partial(_bulk, direction, connections),
            _BULK_AIMS,
            SUBJECT,
        )
        for direction in ("retr", "stor")
        for connections in (1, 8)
    ),
    Measure(
        NAME,
        f"mitmproxy: FTP sessions without data, {PARALLEL} at a time",
        MITM,
        (SUBJECT, *RELAYS, "alg", "direct"),
        partial(_sessions, "none"),
        (Aim("sessions/s", "mitm-tcp", ">=", 0.75),),
        SUBJECT,
    ),
    *(
        Measure(
            NAME,
            f"mitmproxy: FTP sessions, {mode.upper()}, {PARALLEL} at a time",
            MITM,
            KNOW_FTP,
            partial(_sessions, mode),
            (),
            SUBJECT,
        )
        for mode in ("pasv", "port")
    ),
)

MITM_ENDURANCE = (
    Endurance(NAME, "mitmproxy: memory of a fresh process, one RETR", (SUBJECT, *RELAYS), _memory, ()),
    Endurance(NAME, f"mitmproxy: start until it listens, {STARTS} times", (SUBJECT, "mitm-tcp"), _start, ()),
)

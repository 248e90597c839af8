"""Takes the samples: every method is up from the start, and all run in rotating order within each round."""

import sys
from dataclasses import dataclass, field

from tests.bench.generators import Figures
from tests.bench.measures import Measure, Settings, verify
from tests.bench.methods import METHODS, TCP, Running
from tests.bench.namespaces import BenchError
from tests.bench.processes import NoiseWatch
from tests.bench.socks_gateways import SOCKS
from tests.bench.socks_measures import verify_socks
from tests.bench.websocket_gateways import WEBSOCKET
from tests.bench.websocket_measures import verify_echo

NOISY = 0.15  # share of all cores taken by others; such a sample is repeated
REPEATS = 2


@dataclass
class Record:
    """Samples by measure title, method and round (a failed one is missing), and what went wrong."""

    samples: dict[str, dict[str, dict[int, Figures]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    repeated: int = 0
    noisy: int = 0
    taken: int = 0

    def fail(self, why: str) -> None:
        self.failures.append(why)
        say(f"failed: {why}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def start(measures: list[Measure], chosen: list[str], record: Record) -> dict[str, Running]:
    """Start every method that some measure wants."""
    running: dict[str, Running] = {}
    for name in chosen:
        services = frozenset(measure.service for measure in measures if name in measure.methods)
        if not services:
            continue
        try:
            running[name] = Running(METHODS[name], services)
            if TCP in services:
                verify(running[name])
            if WEBSOCKET in services:
                verify_echo(running[name])
            if SOCKS in services:
                verify_socks(running[name])
        except BenchError as why:
            record.fail(f"{name}: {why}")
            if name in running:
                running.pop(name).close()
    return running


def take(measures: list[Measure], running: dict[str, Running], settings: Settings, record: Record) -> None:
    # Repeats are bounded in all, so that a machine that is never quiet prolongs the run by a tenth at most.
    total = settings.rounds * sum(len([name for name in measure.methods if name in running]) for measure in measures)
    spare = total // 10
    for turn in range(settings.rounds):
        for place, measure in enumerate(measures):
            methods = [name for name in measure.methods if name in running]
            for step in range(len(methods)):
                name = methods[(turn + place + step) % len(methods)]
                figures, used = _quiet(measure, running[name], settings, record, spare)
                spare -= used
                if figures is not None:
                    record.samples.setdefault(measure.title, {}).setdefault(name, {})[turn] = figures
        say(f"round {turn + 1} of {settings.rounds} done")


def _quiet(
    measure: Measure, running: Running, settings: Settings, record: Record, spare: int
) -> tuple[Figures | None, int]:
    """One sample; when others used the machine meanwhile, the quietest of up to three."""
    best: Figures | None = None
    least = 0.0
    used = 0
    while True:
        watch = NoiseWatch()
        try:
            figures = measure.sample(running, settings)
        except BenchError as why:
            record.fail(f"{measure.title}: {why}")
            return best, used
        noise = watch.stop().worst
        if best is None or noise < least:
            best, least = figures, noise
        if least <= NOISY or used >= min(REPEATS, spare):
            break
        used += 1
    record.taken += 1
    record.repeated += used
    record.noisy += least > NOISY
    return best, used

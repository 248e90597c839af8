"""`python -m tests.bench`: builds, measures, reports. Ends with 0 unless something could not run: this is a
measurement and no test."""

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.bench import endurance, report, rounds, tools
from tests.bench.ftps import FTPS_MEASURES
from tests.bench.generators import Figures
from tests.bench.measures import MEASURES, Settings
from tests.bench.methods import METHODS
from tests.bench.mitm_measures import MITM_ENDURANCE, MITM_MEASURES
from tests.bench.namespaces import BenchError, raise_descriptor_limit, require_root, sweep
from tests.bench.socks_measures import SOCKS_MEASURES
from tests.bench.udp_measures import UDP_MEASURES
from tests.bench.websocket_measures import WEBSOCKET_ENDURANCE, WEBSOCKET_MEASURES

IN_ROUNDS = (*MEASURES, *FTPS_MEASURES, *MITM_MEASURES, *WEBSOCKET_MEASURES, *SOCKS_MEASURES, *UDP_MEASURES)
ONCE = (*endurance.ENDURANCE, *MITM_ENDURANCE, *WEBSOCKET_ENDURANCE)
NAMES = list(dict.fromkeys([*(each.name for each in IN_ROUNDS), *(each.name for each in ONCE)]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    only = f"only this measure, repeatable: {', '.join(NAMES)}"
    add("--only", action="append", choices=NAMES, metavar="NAME", help=only)
    add("--methods", metavar="A,B", help=f"only these methods: {','.join(METHODS)}")
    subject = "divide this method by the others (default: alg, and alg-ws, alg-socks, alg-udp, mitm-alg for what these alone do)"
    add("--subject", choices=METHODS, metavar="NAME", help=subject)
    add("--rounds", type=int, default=7, metavar="N", help="default: 7")
    add("--seconds", type=float, default=1.5, metavar="S", help="length of one sample (default: 1.5)")
    ends = "of bulk transfers: the cheapest there are, or such as copy, as programs do (default: cheap)"
    add("--ends", choices=("cheap", "copy"), default="cheap", help=ends)
    add("--json", type=Path, metavar="FILE", help="write every sample there")
    add("--install", action="store_true", help="first install what is compared (apt-get)")
    options = parser.parse_args()
    unknown = set(chosen(options)) - METHODS.keys()
    if unknown:
        parser.error(f"no such method: {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def chosen(options: argparse.Namespace) -> list[str]:
    return options.methods.split(",") if options.methods else list(METHODS)


def common(methods: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    return tuple(name for name in methods if name in names)


def environment(options: argparse.Namespace) -> dict[str, object]:
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "ends": options.ends,
        **tools.versions(),
    }


def measure(options: argparse.Namespace) -> int:
    record = rounds.Record()
    settings = Settings(options.rounds, options.seconds, options.ends)
    wanted, names = options.only or NAMES, chosen(options)
    in_rounds = [replace(each, methods=common(each.methods, names)) for each in IN_ROUNDS if each.name in wanted]
    once = [replace(each, methods=common(each.methods, names)) for each in ONCE if each.name in wanted]
    facts = environment(options)
    running = rounds.start(in_rounds, names, record)
    try:
        rounds.take(in_rounds, running, settings, record)
    finally:
        for method in running.values():
            method.close()
    found: dict[str, dict[str, Figures]] = {}
    for each in once:
        for name in each.methods:
            rounds.say(f"{each.title}: {name}")
            try:
                found.setdefault(each.title, {})[name] = each.take(name)
            except BenchError as why:
                record.fail(f"{each.title}: {name}: {why}")
    print("; ".join(f"{key} {value}" for key, value in facts.items()))
    for block in (
        *(report.measure_table(each, record.samples.get(each.title, {}), options.subject) for each in in_rounds),
        *(report.endurance_table(each, found.get(each.title, {})) for each in once),
    ):
        print(f"\n{block}")
    noise = f"{record.repeated} repetitions for noise, {record.noisy} samples noisy in spite of them"
    print(f"\n{record.taken} samples; {noise}")
    for failure in record.failures:
        print(f"could not run: {failure}")
    if options.json:
        result = report.document(facts, in_rounds, record, once, found, options.subject)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if record.failures else 0


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the laboratories are taken down
    try:
        require_root()
        if options.install:
            tools.install()
        raise_descriptor_limit()
        tools.build()
        sweep()
        return measure(options)
    except BenchError as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

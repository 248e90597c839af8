"""Every TFTP server by every client, option, IP version and direction; each row moves files of five sizes.

A row passes when the client ends well, the bytes are the same on both sides, and the wire shows the options agreed. Two
more rows for each pair show that errors arrive: a file that is missing, and one that may not be written. With `plain` no
row may pass: the answer comes from a port that nothing but knowledge of TFTP lets through.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.namespaces import Lab
from tests.peers.processes import LabError
from tests.peers.rig import summary

from . import install
from .clients import CLIENTS, DIRECTIONS, GET, PUT, Client, Options, title
from .gateway import DIRECT, PLAIN, joined
from .mover import Mover, Outcome
from .servers import LOCKED, SERVERS, Server, Site, file_name
from .wire import Tap

SIZES = (0, 511, 512, 513, 3 * 1024 * 1024)
MISSING = "missing.bin"
# A client that gets no answer asks again for half a minute: here, one that fails shall fail soon.
PLAIN_SECONDS = 2.0
SECONDS = 30.0
ERROR_SECONDS = 4.0
UNDEFINED, NOT_FOUND, ACCESS_VIOLATION = 0, 1, 2
"""Codes of RFC 1350, appendix I."""


@dataclass(frozen=True)
class Row:
    """What a row tries; `refused` are the codes of which one must arrive, where the transfer must fail."""

    server: Server
    client: Client
    options: Options
    family: int
    direction: str
    files: tuple[str, ...]
    refused: tuple[int, ...] = ()
    remark: str = ""

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        what = f"{title(self.options)}/{self.family}/{self.direction}"
        return f"{self.server.name}/{self.client.name}/{what}{self.remark}"


@dataclass(frozen=True)
class Result:
    """What came of a row."""

    row: str
    status: str
    text: str = ""
    seconds: float = 0.0


def moved(client: Client, options: Options, direction: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
    """The files that a row moves."""
    empty = not options or direction == PUT or client.empty_with_options
    return tuple(file_name(size) for size in sizes if size or empty)


def planned(only: str, sizes: tuple[int, ...]) -> list[Row]:
    """The rows whose name holds all the words."""
    words = only.lower().split()
    rows: list[Row] = []
    for server in SERVERS:
        for client in CLIENTS:
            for options in client.variants:
                for family in sorted({*client.families} & {*server.families}):
                    rows += [
                        Row(server, client, options, family, way, moved(client, options, way, sizes))
                        for way in DIRECTIONS
                    ]
            rows += [
                Row(server, client, {}, 4, GET, (MISSING,), (NOT_FOUND,), " missing"),
                Row(server, client, {}, 4, PUT, (LOCKED,), (UNDEFINED, ACCESS_VIOLATION), " refused"),
            ]
    return [row for row in rows if all(word in row.label.lower() for word in words)]


class Judge:
    """Runs rows, and says what came of them."""

    def __init__(self, mode: str, mover: Mover, tap: Tap) -> None:
        self._mode = mode
        self._mover = mover
        self._tap = tap

    def judge(self, row: Row) -> Result:
        """Try every file of a row, up to the first that goes wrong."""
        seconds = 0.0
        wanted_to_fail = self._mode == PLAIN
        for file in row.files:
            self._tap.messages()
            limit = PLAIN_SECONDS if wanted_to_fail else ERROR_SECONDS if row.refused else SECONDS
            outcome = self._mover.move(row.client, row.options, row.direction, row.family, file, limit)
            problem = (
                self._refusal(row, outcome) if row.refused else outcome.problem or self._disagreement(row, outcome)
            )
            seconds += outcome.seconds
            if wanted_to_fail:
                if problem:
                    return Result(row.label, "ok", f"fails, as it must: {problem}", round(seconds, 2))
                return Result(row.label, "FAIL", f"{file}: should fail, and works", round(seconds, 2))
            if problem:
                return Result(row.label, "FAIL", f"{file}: {problem}\n{self._details(outcome)}", round(seconds, 2))
        return Result(row.label, "ok", seconds=round(seconds, 2))

    def _refusal(self, row: Row, outcome: Outcome) -> str:
        outcome.messages.extend(self._tap.messages())
        codes = [message.code for message in outcome.messages if message.kind == "ERROR"]
        if outcome.status is None:
            return f"the client had not ended after {ERROR_SECONDS:.0f} s; the wire shows the errors {codes or 'none'}"
        if not set(codes) & set(row.refused):
            return f"wanted error {row.refused}, the wire shows {codes or 'none'}"
        return ""

    def _disagreement(self, row: Row, outcome: Outcome) -> str:
        """What the server knows and was asked for, it must have agreed to."""
        outcome.messages.extend(self._tap.messages())
        wanted = {name for name in row.options if name not in row.server.unknown}
        agreed = {word.lower() for message in outcome.messages if message.kind == "OACK" for word in message.words[::2]}
        return f"{', '.join(sorted(wanted - agreed))} was not agreed to" if wanted - agreed else ""

    def _details(self, outcome: Outcome) -> str:
        seen = [message.line() for message in (*outcome.messages, *self._tap.messages())]
        sections = {"command": [" ".join(outcome.command)], "client": outcome.said.splitlines()[-20:], "wire": seen}
        return "\n".join(
            f"  {name}:\n" + "\n".join(f"    {line}" for line in lines) for name, lines in sections.items()
        )


@contextmanager
def built(direct: bool, sizes: tuple[int, ...]) -> Iterator[tuple[Lab, Site, Path]]:
    """Namespaces, the served folder and one for the rest; all is taken down whatever happens."""
    install.check()
    with tempfile.TemporaryDirectory(prefix="alg-peers-", ignore_cleanup_errors=True) as folder, Lab(direct, {}) as lab:
        yield lab, Site(Path(folder), sizes), Path(folder)


def perform(mode: str, rows: list[Row], sizes: tuple[int, ...], wrong: list[str]) -> Iterator[Result]:
    """Run the rows, server by server; what is wrong with the gateway itself goes to `wrong`."""
    with built(mode == DIRECT, sizes) as (lab, site, home), joined(lab, mode, home, wrong) as joint:
        for server in SERVERS:
            mine = [row for row in rows if row.server is server]
            if not mine:
                continue
            with server.running(lab, site), closing(Tap(lab.client)) as tap:
                judge = Judge(mode, Mover(lab, site, home, joint.hosts), tap)
                yield from map(judge.judge, mine)


def run_table(mode: str, only: str, report: Path | None) -> int:
    """Run, print each row, return the exit status: 0 only if nothing failed."""
    rows = planned(only, SIZES)
    if not rows:
        raise LabError(f"--only {only} fits no row: names look like 'tftpd-hpa/curl/blksize 1428/4/get'")
    wrong: list[str] = []
    results: list[Result] = []
    for result in perform(mode, rows, SIZES, wrong):
        results.append(result)
        print(
            f"{result.status:4} {result.row} ({result.seconds} s){': ' if result.text else ''}{result.text}", flush=True
        )
    for peer in (*CLIENTS, *SERVERS):
        for gap in peer.gaps:
            print(f"n/a  {peer.name}, {gap}")
    if report is not None:
        report.write_text(
            json.dumps({"rows": [asdict(result) for result in results], "gateway": wrong}, indent=1) + "\n"
        )
    statuses = [result.status for result in results]
    return summary(statuses.count("ok"), statuses.count("FAIL"), wrong)

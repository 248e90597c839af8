"""TFTP over links that lose, reorder and double packets: the bytes must be right, and the packets not many more.

Each row is moved with several seeds, first over ordinary routes and then through the gateway, over the same link with
the same weather. What is compared is the median of the packets at the client and at the server: a relay that answers
for itself, or twice, shows there. Loss is by chance, so a single transfer says nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.peers.namespaces import Lab
from tests.peers.processes import LabError
from tests.peers.rig import guarded, summary

from .clients import CLIENTS, DIRECTIONS, GET, Client, Options, title
from .gateway import ALG, DIRECT, KERNEL, joined
from .link import SIDES, opened
from .mover import Mover
from .servers import SERVERS, Server, file_name
from .table import built
from .weather import Chances
from .wire import Tap, packets

SIZE = 32 * 1024 + 1
SEEDS = 5
SECONDS = 90.0
CALLS = 5
"""How often a client is called that has given up: atftp does if the first packets are lost ("unexpected OACK")."""
MOST = 1.5
"""How many packets there may be for each that there is without a gateway."""
KINDS = {
    "loss": Chances(loss=0.05),
    "reordering": Chances(reorder=0.05),
    "doubling": Chances(duplicate=0.05),
    "all three": Chances(0.05, 0.05, 0.05),
}
# A server that waits for whole seconds, and clients that wait for five, make lossy rows long: these are enough. The
# client of tftp-hpa is not asked to put: it gives up at the second loss or so, with no gateway as well. With windows, a
# doubled packet gives atftp between 30 and 60 packets for a file that it puts, so that nothing can be compared.
PEERS: tuple[tuple[str, str, Options, tuple[str, ...]], ...] = (
    ("tftpd-hpa", "tftp-hpa", {}, (GET,)),
    ("tftpd-hpa", "atftp", {"blksize": "1428", "timeout": "1"}, DIRECTIONS),
    ("atftpd", "atftp", {"blksize": "1428", "windowsize": "4", "timeout": "1"}, (GET,)),
)


@dataclass(frozen=True)
class Row:
    """A kind of weather, the link that has it, who moves a file over it, and which way."""

    kind: str
    side: str
    server: Server
    client: Client
    options: Options
    direction: str

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        return f"{self.kind} {self.side}/{self.server.name}/{self.client.name}/{title(self.options)}/{self.direction}"


@dataclass
class Count:
    """The packets of a row's transfers, seed by seed, how often a client was called again, and what went wrong.

    `untold` are the clients that gave up although the bytes are right: no server waits for ever to see whether its last
    acknowledgement was lost (RFC 1350, section 6).
    """

    client: list[int]
    server: list[int]
    problems: list[str]
    untold: list[str]
    again: int = 0


def planned(only: str) -> list[Row]:
    """The rows whose name holds all the words."""
    servers, clients = {each.name: each for each in SERVERS}, {each.name: each for each in CLIENTS}
    rows = [
        Row(kind, side, servers[server], clients[client], options, direction)
        for kind in KINDS
        for side in SIDES
        for server, client, options, directions in PEERS
        for direction in directions
    ]
    return [row for row in rows if all(word in row.label.lower() for word in only.lower().split())]


def counted(mode: str, rows: list[Row], seeds: int, wrong: list[str]) -> Iterator[tuple[Row, Count]]:
    """Move every row in one mode; a laboratory for each side, since its link is cut."""
    for side in SIDES:
        here = [row for row in rows if row.side == side]
        if not here:
            continue
        with (
            built(mode == DIRECT, (SIZE,)) as (lab, site, home),
            opened(lab, side) as link,
            joined(lab, mode, home, wrong) as joint,
        ):
            mover = Mover(lab, site, home, joint.hosts)
            for server in SERVERS:
                mine = [row for row in here if row.server is server]
                if not mine:
                    continue
                with server.running(lab, site), closing(Tap(lab.client)) as tap:
                    for row in mine:
                        count = Count([], [], [], [])
                        for seed in range(seeds):
                            with link.weather(KINDS[row.kind], seed):
                                transfer(lab, mover, row, tap, count)
                        yield row, count


def transfer(lab: Lab, mover: Mover, row: Row, tap: Tap, count: Count) -> None:
    """Move the file once, and count. A client that has given up is called again, as a person would."""
    before = packets(lab.client), packets(lab.server)
    for _ in range(CALLS):
        outcome = mover.move(row.client, row.options, row.direction, 4, file_name(SIZE), SECONDS)
        if outcome.same_bytes or not outcome.status:
            break
        count.again += 1
    count.client.append(packets(lab.client) - before[0])
    count.server.append(packets(lab.server) - before[1])
    seen = [message.line() for message in tap.messages()]
    if outcome.problem:
        to = count.untold if outcome.same_bytes else count.problems
        to.append(f"{outcome.problem}: {' '.join(outcome.said.split())[-200:]}; the wire: {seen}")


def verdict(ours: Count, direct: Count) -> tuple[float, str]:
    """How many packets there are for each of the direct way, at the end that has more; what is wrong."""
    pairs = ((ours.client, direct.client), (ours.server, direct.server))
    ratio = max(statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs)
    if ours.problems:
        return ratio, f"{len(ours.problems)} of {len(ours.client)} transfers failed: {ours.problems[0]}"
    return ratio, f"more than {MOST} packets for each of the direct way" if ratio > MOST else ""


def run_faults(mode: str, only: str, seeds: int, report: Path | None) -> int:
    """Run, print each row, return the exit status: 0 only if nothing failed."""
    rows = planned(only)
    if not rows:
        raise LabError(f"--only {only} fits no row: names look like 'loss inside/tftpd-hpa/tftp-hpa/plain/get'")
    wrong: list[str] = []
    directly = {row.label: count for row, count in counted(DIRECT, rows, seeds, wrong)}
    results: list[dict[str, object]] = []
    failed = 0
    for row, count in counted(mode, rows, seeds, wrong):
        direct = directly[row.label]
        ratio, problem = verdict(count, direct)
        said = [f"without a gateway, {len(direct.problems)} of {seeds} failed as well"] if direct.problems else []
        if count.again or direct.again:
            said.append(f"the client had to be called again {count.again} times, directly {direct.again} times")
        if count.untold or direct.untold:
            said.append(f"last word lost: {len(count.untold)} times, directly {len(direct.untold)} times")
        failed += bool(problem)
        figures = f"{statistics.median(count.client):.0f} and {statistics.median(count.server):.0f} packets"
        text = "; ".join([f"{figures}, {ratio:.2f} for each of the direct way", *said, *([problem] if problem else [])])
        print(f"{'FAIL' if problem else 'ok':4} {row.label}: {text}", flush=True)
        results.append(
            {"row": row.label, "ratio": ratio, "problem": problem, mode: asdict(count), "without": asdict(direct)}
        )
    if report is not None:
        report.write_text(json.dumps({"rows": results, "gateway": wrong}, indent=1) + "\n")
    return summary(len(rows) - failed, failed, wrong)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.tftp.faults", description=__doc__)
    parser.add_argument("--gateway", choices=(ALG, KERNEL, DIRECT), default=ALG, help="compared with direct")
    parser.add_argument("--only", default="", metavar="WORDS", help="e.g. 'loss inside', 'atftpd put'")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"transfers for each row ({SEEDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every count as JSON")
    options = parser.parse_args()
    return guarded(lambda: run_faults(options.gateway, options.only, options.seeds, options.json))


if __name__ == "__main__":
    sys.exit(main())

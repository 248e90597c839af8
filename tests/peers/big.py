"""One gibibyte down and up, passive and active: `python -m tests.peers.big`.

curl against vsftpd, all files in memory. The hashes must be equal, and the gateway's resident
memory may not grow with the file: it is sampled from after a small transfer until the end.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .clients import CLIENTS, DIRECTIONS, Invocation, Transfer
from .gateway import MODES
from .install import CHECKOUT
from .processes import LabError, run_limited
from .rig import Rig, built_rig, guarded, summary
from .servers import BLOCK, FTP_PORT, SAMPLE, SERVERS, UPLOADS, digest_of, make_sample

MEMORY_FOLDER = Path("/dev/shm")
MODES_USED = ("PASV", "PORT")
TRANSFER_SECONDS = 300
GROWTH_LIMIT_MIB = 16.0
SAMPLE_SECONDS = 0.05


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError as error:
        raise LabError(f"the gateway, process {pid}, has ended") from error
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


class MemoryWatch(threading.Thread):
    """Remembers the highest resident memory of a process until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._done = threading.Event()
        self.start_mib = resident_mib(pid)
        self.highest_mib = self.start_mib

    def run(self) -> None:
        """Sample at a steady pace."""
        try:
            while not self._done.wait(SAMPLE_SECONDS):
                self.highest_mib = max(self.highest_mib, resident_mib(self._pid))
        except LabError:
            # The main thread finds out by itself that the gateway is gone.
            return

    def finish(self) -> float:
        """Stop, and return the growth in MiB."""
        self._done.set()
        self.join()
        return self.highest_mib - self.start_mib


Client = Callable[[Transfer], Invocation]


def transfer(rig: Rig, mode: str, direction: str, digest: str, client: Client = CLIENTS["curl"]) -> str:
    """Move the sample one way; return what is wrong, or nothing."""
    sample = rig.site.root / SAMPLE
    local = rig.scratch / "local.bin"
    if direction == "upload":
        os.link(sample, local)
    plan = Transfer(mode, 4, direction, rig.gateway.hosts[4], rig.gateway.port, local, TRANSFER_SECONDS)
    environment = {"PATH": os.environ["PATH"], "HOME": str(rig.scratch), "LC_ALL": "C"}
    begin = time.monotonic()
    invocation = client(plan)
    command = rig.lab.client.command(*invocation.command)
    status, said = run_limited(command, TRANSFER_SECONDS + 5, CHECKOUT, environment)
    seconds = time.monotonic() - begin
    arrived = local if direction == "download" else rig.site.root / UPLOADS / local.name
    found = digest_of(arrived)
    size = sample.stat().st_size / BLOCK
    arrived.unlink(missing_ok=True)
    local.unlink(missing_ok=True)
    wrong = ""
    if status != 0:
        wrong = f"{invocation.command[0]} ended with {status}: {' | '.join(said.splitlines()[-6:])}"
    elif found != digest:
        wrong = "the file is different"
    print(f"{'FAIL' if wrong else 'ok  '} {mode} {direction:8} {size:.0f} MiB in {seconds:.1f} s {wrong}", flush=True)
    return wrong


def run_big(mode: str, size: int) -> int:
    """Warm up, move the big file every way, look at hashes and memory."""
    vsftpd = next(server for server in SERVERS if server.name == "vsftpd")
    plans = [(data_mode, direction) for data_mode in MODES_USED for direction in DIRECTIONS]
    wrong: list[str] = []
    with built_rig(mode, BLOCK, MEMORY_FOLDER) as rig, vsftpd.start(rig.lab, rig.site, rig.scratch):
        rig.lab.check_isolation(FTP_PORT)
        for data_mode, direction in plans:
            if problem := transfer(rig, data_mode, direction, rig.site.sample_digest):
                raise LabError(f"the small transfer before the big ones failed: {problem}")
        digest = make_sample(rig.site.root / SAMPLE, size)
        watch = MemoryWatch(rig.gateway.pid) if rig.gateway.pid else None
        if watch:
            watch.start()
        wrong = [problem for plan in plans if (problem := transfer(rig, *plan, digest))]
        if watch:
            growth = watch.finish()
            print(f"gateway memory: {watch.start_mib:.1f} MiB, grew by {growth:.1f} MiB (below {GROWTH_LIMIT_MIB:.0f})")
            if growth >= GROWTH_LIMIT_MIB:
                rig.complaints.append(f"the gateway's memory grew by {growth:.1f} MiB")
    return summary(len(plans) - len(wrong), len(wrong), rig.complaints)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.big", description=__doc__)
    parser.add_argument("--gateway", choices=MODES, default="alg", help="direct: no gateway, to check the lab itself")
    parser.add_argument("--size", type=int, default=1024 * BLOCK, metavar="BYTES")
    options = parser.parse_args()
    return guarded(lambda: run_big(options.gateway, options.size))


if __name__ == "__main__":
    sys.exit(main())

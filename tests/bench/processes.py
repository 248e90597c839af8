"""What /proc tells: CPU of a process tree with its reaped children, private memory, descriptors, noise."""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KTHREADD = 2
# What /proc says of a TCP socket that listens, and of a UDP socket that is not connected.
LISTENING = {"tcp": "0A", "udp": "07"}


@dataclass(frozen=True)
class Process:
    parent: int
    cpu: float  # seconds of user and system time, with those of its reaped children


def _processes() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(name)] = Process(int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    return found


def _descendants(roots: Iterable[int], known: dict[int, Process]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, process in known.items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    ahead = [pid for pid in roots if pid in known]
    while ahead:
        pid = ahead.pop()
        if pid not in found:
            found.add(pid)
            ahead += children.get(pid, [])
    return found


def tree(roots: Iterable[int]) -> set[int]:
    """These processes and their living descendants."""
    return _descendants(roots, _processes())


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU of the trees so far. A reaped child's share moves into its parent's, so nothing is lost."""
    known = _processes()
    return sum(known[pid].cpu for pid in _descendants(roots, known))


def private_bytes(roots: Iterable[int]) -> int:
    """Memory that would be free again without these trees: pages that nobody shares."""
    return _memory(roots, "Private_Clean:", "Private_Dirty:")


def resident_bytes(roots: Iterable[int]) -> int:
    """Resident memory of the trees; a page of several processes counts in shares (PSS), so forks do not multiply it."""
    return _memory(roots, "Pss:")


def _memory(roots: Iterable[int], *kinds: str) -> int:
    total = 0
    for pid in tree(roots):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(kinds):
                    total += int(line.split()[1]) * 1024
    return total


def descriptors(roots: Iterable[int]) -> int:
    total = 0
    for pid in tree(roots):
        try:
            total += len(os.listdir(f"/proc/{pid}/fd"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def listens(pid: int, address: str, port: int, protocol: str = "tcp") -> bool:
    """Whether anybody in this process's namespace listens there; looks without connecting."""
    words = [struct.unpack("=I", socket.inet_aton(host))[0] for host in (address, "0.0.0.0")]
    wanted = {f"{word:08X}:{port:04X}" for word in words}
    try:
        rows = Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError, OSError):
        return False
    return any(row.split()[1] in wanted and row.split()[3] == LISTENING[protocol] for row in rows)


def wait_for(true: Callable[[], bool], seconds: float, while_runs: "subprocess.Popen[str] | None" = None) -> bool:
    """Look until it is true, the time is over, or the process has ended."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end or (while_runs is not None and while_runs.poll() is not None):
            return False
        time.sleep(0.02)
    return True


@contextmanager
def one_core() -> Iterator[None]:
    """Meanwhile, everything of this benchmark runs on one core. Where the scheduler puts processes that wake each
    other decides between 35 and 85 us a round trip, and says nothing of them."""
    everywhere = os.sched_getaffinity(0)
    _pin({min(everywhere)})
    try:
        yield
    finally:
        _pin(everywhere)


def _pin(cores: set[int]) -> None:
    for pid in tree([os.getpid()]):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


@dataclass(frozen=True)
class Noise:
    """What disturbed a sample, as shares of all cores."""

    steal: float  # taken by the host of this virtual machine
    foreign: float  # used by processes that are not this benchmark's

    @property
    def worst(self) -> float:
        return max(self.steal, self.foreign)


class NoiseWatch:
    """Started before a sample; tells afterwards what else ran."""

    def __init__(self) -> None:
        self._before = _processes()
        self._steal = self._stolen()
        self._time = time.monotonic()

    @staticmethod
    def _stolen() -> float:
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICKS

    def stop(self) -> Noise:
        capacity = (time.monotonic() - self._time) * (os.cpu_count() or 1)
        steal = self._stolen() - self._steal
        now = _processes()
        # Kernel threads work for us as well (softirq), and nobody can say how much.
        ours = _descendants([os.getpid(), KTHREADD], now)
        foreign = 0.0
        for pid in now.keys() - ours:
            before = self._before.get(pid)
            foreign += now[pid].cpu - (before.cpu if before is not None else 0.0)
        return Noise(steal / capacity, max(foreign, 0.0) / capacity)

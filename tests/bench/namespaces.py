"""A laboratory: client, gateway and server in three network namespaces joined by veth.

Every method gets a laboratory of its own, all with the same addresses. So one method's TIME_WAIT sockets, port
searches and conntrack entries never burden another, and conntrack runs only where NAT is the method.
"""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.bench import processes

CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER = "10.77.1.2", "10.77.1.1", "10.77.2.1", "10.77.2.2"
CLIENT_ADDRESSES = 20  # 10.77.1.2 upwards: a gateway may well limit the sessions of one client
PREFIX = "alg-bench"
MEMORY = Path("/dev/shm")

# A finished connection's port may be taken again after a second; the data ports of the tools (10000-29999) lie
# below the kernel's own range, so neither end starves and no explicit port meets an ephemeral one.
# Reno is the one congestion control that every kernel allows in a new namespace; BBR would pace, and
# the pacing would be the limit.
SYSCTLS = (
    "net.ipv4.tcp_tw_reuse=1",
    "net.ipv4.ip_local_port_range=30000 65535",
    "net.ipv4.tcp_congestion_control=reno",
    "net.core.somaxconn=4096",
)


class BenchError(Exception):
    """Something could not run: one line with the cause and the mend."""


def run(*argv: str, text: str | None = None) -> str:
    """The output of a short command; `BenchError` with its last word when it fails."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchError(f"{argv[0]} is not installed: run again with --install") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise BenchError(f"`{' '.join(argv)}` failed: {words[0]}")
    return done.stdout


def require_root() -> None:
    if os.geteuid() != 0:
        raise BenchError("network namespaces need root: run it as root")


def raise_descriptor_limit() -> int:
    """Lift the soft limit of open files to the hard one; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sweep() -> None:
    """Remove what runs left that were killed before they could: a gateway that gave up root outlives them."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if _orphaned(name):
            for pid in run("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "delete", name)
    for folder in MEMORY.glob(f"{PREFIX}-*"):
        if _orphaned(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _orphaned(name: str) -> bool:
    """Whether this is a name of ours and the process in it is gone."""
    _, ours, rest = name.partition(f"{PREFIX}-")
    return bool(ours) and not Path(f"/proc/{rest.split('-')[0]}").exists()


class Lab:
    """Three namespaces, the processes in them, and how to end both."""

    def __init__(self, name: str, folder: Path, *, routed: bool = False) -> None:
        """`routed`: the ends know a way through the gateway. Otherwise only the gateway joins them, so that an
        address which was not rewritten leads nowhere."""
        self.name = name
        self.folder = folder / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._started: list[subprocess.Popen[str]] = []
        self._namespaces: list[str] = []
        self._scratch: list[Path] = []
        try:
            self._build(routed)
        except BaseException:
            self.close()
            raise

    def _build(self, routed: bool) -> None:
        for room in ("client", "gateway", "server"):
            run("ip", "netns", "add", self.namespace(room))
            self._namespaces.append(self.namespace(room))
            run(*self._inside(room), "sysctl", "-qw", *SYSCTLS)
        client, gateway, server = self._namespaces
        for end, room, local in ((client, "inside", GATEWAY_INSIDE), (server, "outside", GATEWAY_OUTSIDE)):
            run("ip", "link", "add", "gate", "netns", end, "type", "veth", "peer", "name", room, "netns", gateway)
            run("ip", "-n", gateway, "address", "add", f"{local}/24", "dev", room)
        first, last = CLIENT.rsplit(".", 1)
        lines = [f"address add {first}.{int(last) + n}/24 dev gate" for n in range(CLIENT_ADDRESSES)]
        run("ip", "-n", client, "-batch", "-", text="\n".join(lines) + "\n")
        run("ip", "-n", server, "address", "add", f"{SERVER}/24", "dev", "gate")
        run("ip", "-n", gateway, "link", "set", "inside", "up")
        run("ip", "-n", gateway, "link", "set", "outside", "up")
        for end in (client, server):
            run("ip", "-n", end, "link", "set", "gate", "up")
        if routed:
            run("ip", "-n", client, "route", "add", "default", "via", GATEWAY_INSIDE)
            run("ip", "-n", server, "route", "add", "default", "via", GATEWAY_OUTSIDE)
            self.forward()

    def forward(self) -> None:
        run(*self._inside("gateway"), "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def namespace(self, room: str) -> str:
        return f"{PREFIX}-{os.getpid()}-{self.name}-{room}"

    def _inside(self, room: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace(room)]

    def scratch(self) -> Path:
        """A folder in memory that any user can reach, for a program's own database."""
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=MEMORY if MEMORY.is_dir() else None))
        folder.chmod(0o755)
        self._scratch.append(folder)
        return folder

    def write(self, name: str, text: str) -> str:
        """Write a configuration into this laboratory's folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def run(self, room: str, *argv: str, text: str | None = None) -> str:
        return run(*self._inside(room), *argv, text=text)

    def spawn(self, room: str, *argv: str, piped: bool = False) -> subprocess.Popen[str]:
        """Start a process that lives as long as this laboratory at most. What it says goes to a log, or, where it
        is `piped`, only its errors do, and its input and output are the caller's."""
        # Even when this program is killed, nothing that it started may stay behind.
        guarded = [*self._inside(room), "setpriv", "--pdeathsig", "KILL", *argv]
        with self.log(argv).open("a") as log:
            process = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def log(self, argv: tuple[str, ...]) -> Path:
        return self.folder / f"{Path(argv[0]).name}.log"

    def last_words(self, argv: tuple[str, ...]) -> str:
        """The last line of a process's log, for an error message."""
        log = self.log(argv)
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def serve(self, room: str, at: tuple[str, int], *argv: str, protocol: str = "tcp") -> subprocess.Popen[str]:
        """Start a server and wait until it listens."""
        process = self.spawn(room, *argv)
        if not processes.wait_for(partial(processes.listens, process.pid, *at, protocol), 15, while_runs=process):
            end = "does not listen" if process.poll() is None else f"ended with status {process.returncode}"
            words = f"{self.last_words(argv)} ({self.log(argv)})"
            raise BenchError(f"{Path(argv[0]).name} {end} at {at[0]}:{at[1]}: {words}")
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End a process and all its descendants."""
        family = processes.tree([process.pid])
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if process in self._started:
            self._started.remove(process)

    def close(self) -> None:
        for process in reversed(self._started[:]):
            self.stop(process)
        for namespace in self._namespaces:
            with suppress(BenchError):
                run("ip", "netns", "delete", namespace)
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)
        self._namespaces.clear()

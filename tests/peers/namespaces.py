"""Three network namespaces in a row: client, gateway, server.

Without forwarding nothing but a process in the middle one can join the two sides, so an address
that was not rewritten leads nowhere. With forwarding the two sides reach each other by ordinary
routes: that is how the lab checks itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import LabError, run

CLIENT = {4: "10.77.1.2", 6: "fd77:1::2"}
GATEWAY_INSIDE = {4: "10.77.1.1", 6: "fd77:1::1"}
GATEWAY_OUTSIDE = {4: "10.77.2.1", 6: "fd77:2::1"}
SERVER = {4: "10.77.2.2", 6: "fd77:2::2"}
PREFIX = {4: "24", 6: "64"}

# The kernel overlays the files of this folder on /etc for commands that run in the namespace.
PRIVATE_ETC = Path("/etc/netns")
# Names are looked up in files only: the lab has no name server, and waiting for one costs seconds.
COMMON_ETC = {
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
    # `server` has both families, `server4` one.
    "hosts": "127.0.0.1 localhost\n10.77.1.2 client\n10.77.2.2 server server4\nfd77:1::2 client\nfd77:2::2 server\n",
}
CLONE_NEWNET = 0x40000000


def bracketed(host: str) -> str:
    """An address as it stands before a port."""
    return f"[{host}]" if ":" in host else host


class Namespace:
    """One network namespace, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, *command: str) -> list[str]:
        """The command line that runs `command` inside; the process keeps its id."""
        return ["ip", "netns", "exec", self.name, *command]

    def ip(self, *arguments: str) -> None:
        """Run `ip` on this namespace."""
        run("ip", "-n", self.name, *arguments)

    def set_kernel(self, key: str, value: str) -> None:
        """Set a kernel variable of this namespace."""
        run(*self.command("sysctl", "-q", "-w", f"{key}={value}"))

    def add_address(self, device: str, addresses: dict[int, str]) -> None:
        """Give a device its IPv4 and IPv6 address and bring it up."""
        for family, address in addresses.items():
            # Duplicate address detection would hold the IPv6 address back for a second.
            flags = ["nodad"] if family == 6 else []
            self.ip("address", "add", f"{address}/{PREFIX[family]}", "dev", device, *flags)
        self.ip("link", "set", device, "up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let sockets that this thread opens belong to the namespace; they stay there afterwards."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self.name}", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise LabError(f"cannot enter namespace {self.name}: {os.strerror(ctypes.get_errno())}; run as root")
            try:
                yield
            finally:
                if libc.setns(home.fileno(), CLONE_NEWNET):
                    raise LabError(f"cannot leave namespace {self.name}: {os.strerror(ctypes.get_errno())}")

    def connect(self, host: str, port: int, timeout: float = 5.0) -> socket.socket:
        """Open a TCP connection from inside the namespace."""
        with self.entered():
            return socket.create_connection((host, port), timeout)

    def listen(self, host: str, port: int = 0) -> socket.socket:
        """Open a listening TCP socket inside the namespace."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.entered():
            return socket.create_server((host, port), family=family)

    def knock(self, host: str, port: int) -> OSError | None:
        """None if something accepts connections there, else the error."""
        try:
            self.connect(host, port).close()
        except OSError as error:
            return error
        return None

    def wait_listening(self, host: str, port: int, alive: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return when something inside the namespace accepts connections there; give up when it ended."""
        deadline = time.monotonic() + timeout
        while (answer := self.knock(host, port)) is not None:
            if not alive() or time.monotonic() > deadline:
                raise LabError(f"nothing listens on {host} port {port}: {answer}")
            time.sleep(0.05)


class Lab:
    """The three namespaces, their links and the one user `u` whom the servers know."""

    def __init__(self, forwarding: bool, server_etc: dict[str, str]) -> None:
        self.forwarding = forwarding
        stem = f"alg-{os.getpid()}"
        self.client = Namespace(f"{stem}-c")
        self.gateway = Namespace(f"{stem}-g")
        self.server = Namespace(f"{stem}-s")
        self._all = (self.client, self.gateway, self.server)
        self._server_etc = server_etc

    def __enter__(self) -> Self:
        if os.geteuid():
            raise LabError("network namespaces need root: run this command as root")
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _build(self) -> None:
        for namespace in self._all:
            private = COMMON_ETC | (self._server_etc if namespace is self.server else {})
            for name, text in private.items():
                file = PRIVATE_ETC / namespace.name / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            run("ip", "netns", "add", namespace.name)
            namespace.ip("link", "set", "lo", "up")
        self.client.ip("link", "add", "eth0", "type", "veth", "peer", "name", "inside", "netns", self.gateway.name)
        self.server.ip("link", "add", "eth0", "type", "veth", "peer", "name", "outside", "netns", self.gateway.name)
        self.client.add_address("eth0", CLIENT)
        self.gateway.add_address("inside", GATEWAY_INSIDE)
        self.gateway.add_address("outside", GATEWAY_OUTSIDE)
        self.server.add_address("eth0", SERVER)
        switch = "1" if self.forwarding else "0"
        self.gateway.set_kernel("net.ipv4.ip_forward", switch)
        self.gateway.set_kernel("net.ipv6.conf.all.forwarding", switch)
        if self.forwarding:
            for family, gateway in GATEWAY_INSIDE.items():
                self.client.ip(f"-{family}", "route", "add", "default", "via", gateway)
            for family, gateway in GATEWAY_OUTSIDE.items():
                self.server.ip(f"-{family}", "route", "add", "default", "via", gateway)

    def check_isolation(self, port: int) -> None:
        """Fail unless the client's way to the server is as closed, or as open, as this lab promises."""
        for address in SERVER.values():
            answer = self.client.knock(address, port)
            if answer is not None and answer.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, None):
                raise LabError(f"unexpected answer on the way to {address} port {port}: {answer}")
            reached = answer is None
            if reached != self.forwarding:
                state = "reaches" if reached else "does not reach"
                raise LabError(f"the client {state} {address} port {port} without the gateway: the lab is broken")

    def close(self) -> None:
        """Kill what still runs inside, then remove the namespaces and their private files."""
        # A second Ctrl-C must not leave half a lab behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for namespace in self._all:
                with suppress(LabError):
                    for pid in run("ip", "netns", "pids", namespace.name).split():
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                with suppress(LabError):
                    run("ip", "netns", "delete", namespace.name)
                shutil.rmtree(PRIVATE_ETC / namespace.name, ignore_errors=True)
            with suppress(OSError):
                PRIVATE_ETC.rmdir()
        finally:
            signal.signal(signal.SIGINT, before)

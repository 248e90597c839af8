"""`make demo`: a real FTP client fetches and stores a file through the gateway, in passive and active mode, in the clear and
under TLS that ends at the gateway.

Everything runs on loopback without privileges: the server is pyftpdlib at 127.0.0.2, which knows nothing of TLS, the
gateway listens at 127.0.0.1, the client is Python's ftplib. What the gateway says is shown as it happens.
"""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from ftplib import FTP, FTP_TLS
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import IO

from alg.authority import Authority

SERVER, GATEWAY = "127.0.0.2", "127.0.0.1"
SIZE = 4 << 20


class ExtendedActive(FTP):
    """ftplib sends EPRT on IPv6 only; this one sends it on IPv4 too."""

    def sendport(self, host: str, port: int) -> str:
        return self.sendeprt(host, port)


class ExtendedPassive(FTP):
    """ftplib sends EPSV on IPv6 only; this one sends it on IPv4 too."""

    def makepasv(self) -> tuple[str, int]:
        return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername() if self.sock else None)


class Secure(FTP_TLS):
    """Control and data connections under TLS; it verifies who the gateway is."""

    authority = ""

    def __init__(self) -> None:
        super().__init__(context=ssl.create_default_context(cadata=self.authority))

    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = True) -> str:
        answer = super().login(user, passwd, acct, secure)
        self.prot_p()
        return answer


MODES: tuple[tuple[str, Callable[[], FTP], bool], ...] = (
    ("PASV", FTP, True),
    ("EPSV", ExtendedPassive, True),
    ("PORT", FTP, False),
    ("EPRT", ExtendedActive, False),
    ("PASV under TLS", Secure, True),
    ("PORT under TLS", Secure, False),
)


def wait_for_line(stream: IO[str], start: str) -> str:
    """Read until a line begins with that, and return the rest of it."""
    for line in stream:
        if line.startswith(start):
            return line[len(start) :].strip()
        sys.stdout.write(line)
    raise SystemExit(f"demo: a process ended before it said {start!r}")


@contextlib.contextmanager
def running(*command: str, home: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that is ended afterwards; `home` is for the gateway's CA."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ALG_HOME": f"{home}/ca"}
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


def show(stream: IO[str]) -> None:
    """Show what the gateway says."""
    for line in stream:
        print(f"    gateway | {line.rstrip()}", flush=True)


def fetch_and_store(connect: Callable[[], FTP], passive: bool, port: int, content: bytes, folder: Path) -> bool:
    """Fetch the file and store it again through the gateway; return whether both arrived whole."""
    fetched = BytesIO()
    with connect() as ftp:
        ftp.connect(GATEWAY, port, timeout=10)
        ftp.login("demo", "secret")
        ftp.set_pasv(passive)
        ftp.retrbinary("RETR file.bin", fetched.write)
        ftp.storbinary("STOR copy.bin", BytesIO(content))
    digests = {hashlib.sha256(data).hexdigest() for data in (content, fetched.getvalue())}
    digests.add(hashlib.sha256((folder / "copy.bin").read_bytes()).hexdigest())
    print(f"  down and up, {len(content)} bytes each, SHA-256 {' != '.join(sorted(digests))[:72]}", flush=True)
    return len(digests) == 1


def main() -> int:
    """Run the demo; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="alg-demo-") as name, contextlib.ExitStack() as stack:
        folder = Path(name, "files")
        folder.mkdir()
        content = os.urandom(SIZE)
        (folder / "file.bin").write_bytes(content)
        server = stack.enter_context(running("-m", "tests.demo_server", SERVER, f"{name}/files", home=name))
        assert server.stdout
        server_port = int(wait_for_line(server.stdout, "listening at "))
        route = f"ftp://{SERVER}:{server_port}@{GATEWAY}:0"
        arguments = ["run", route, "--tls", "mint", "--upstream-tls", "never"]
        print("$ alg", *arguments, flush=True)
        gateway = stack.enter_context(running("-m", "alg", *arguments, home=name))
        assert gateway.stdout
        ready = wait_for_line(gateway.stdout, "ready: ")
        listen = int(ready.split()[1].rpartition(":")[2])
        print(f"    gateway | ready: {ready}", flush=True)
        Secure.authority = Authority.open(Path(name, "ca")).certificate_pem.decode("ascii")
        Thread(target=show, args=(gateway.stdout,), daemon=True).start()
        good = True
        for mode, connect, passive in MODES:
            print(f"\n{mode}: the client is told, or tells, an endpoint; the other side sees the gateway's", flush=True)
            began = time.monotonic()
            good &= fetch_and_store(connect, passive, listen, content, folder)
            print(f"  {time.monotonic() - began:.2f} s", flush=True)
    print(f"\nall {len(MODES)} modes work, both ways, hashes equal" if good else "\nFAILED: a hash differs")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

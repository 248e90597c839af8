"""A real FTP server and the daemon in front of it, as processes, for a whole file of tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemons import ROOT, Daemon
from tests.peers.processes import Process

SERVER = "127.0.0.5"


@dataclass(frozen=True)
class Site:
    """Where the server's files are, and the gateway in front of it."""

    folder: Path
    gateway: Daemon


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """pyftpdlib at one address, the gateway at another."""
    folder = tmp_path_factory.mktemp("site")
    with Process([sys.executable, "-m", "tests.demo_server", SERVER, str(folder)], "pyftpdlib", cwd=ROOT) as server:
        server.wait_for_lines("^listening at ", 1, 20)
        port = server.lines[-1].split()[-1]
        with Daemon("--log-format", "json", f"ftp://{SERVER}:{port}@127.0.0.1:0") as gateway:
            yield Site(folder, gateway)
        assert gateway.exit_code() == 0
        assert not any("Traceback" in line for line in gateway.lines)

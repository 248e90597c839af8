"""The HTTP proxy that stands behind mitmdump in its upstream mode: tinyproxy, which opens tunnels to any port."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.peers.install import CACHE
from tests.peers.namespaces import Namespace
from tests.peers.processes import LabError, Process

UPSTREAM_PORT = 8888
PACKAGE = "tinyproxy-bin"
PROGRAM = CACHE / PACKAGE / "usr" / "bin" / "tinyproxy"

CONFIGURATION = """\
Port {port}
Listen {address}
Timeout 60
MaxClients 100
LogLevel Connect
"""


@contextmanager
def upstream_proxy(namespace: Namespace, address: str) -> Iterator[Process]:
    """Run it in a namespace, at this address."""
    if not PROGRAM.is_file():
        raise LabError("tinyproxy is not there: python -m tests.peers.mitm --install")
    with tempfile.TemporaryDirectory(prefix="alg-tinyproxy-") as folder:
        file = Path(folder) / "tinyproxy.conf"
        file.write_text(CONFIGURATION.format(port=UPSTREAM_PORT, address=address))
        with Process(namespace.command(str(PROGRAM), "-d", "-c", str(file)), "tinyproxy") as process:
            namespace.wait_listening(address, UPSTREAM_PORT, process.alive)
            yield process

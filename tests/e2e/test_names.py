"""An upstream by name, while the name's address changes: in network namespaces with a hosts file of their own."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
from pathlib import Path

import pytest

from tests.daemons import Daemon
from tests.peers.namespaces import GATEWAY_INSIDE, PRIVATE_ETC, SERVER, Lab

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and the command `ip`"
)

S, K, INSIDE = SERVER[4], "10.77.2.9", GATEWAY_INSIDE[4]


def test_name_that_changes_or_vanishes(tmp_path: Path) -> None:
    """F10: a session keeps its address; later ones go to the new one; a name that is gone leaves the last one good."""
    with Lab(forwarding=False, server_etc={}) as lab, lab.server.listen(S) as old:
        lab.server.ip("address", "add", f"{K}/24", "dev", "eth0")
        new = lab.server.listen(K, old.getsockname()[1])
        hosts = PRIVATE_ETC / lab.gateway.name / "hosts"
        config = tmp_path / "alg.toml"
        route = f"tcp://server:{old.getsockname()[1]}@{INSIDE}:0"
        config.write_text(f'times = {{ resolve = 0.001 }}\n[routes.a]\nroute = "{route}"\n')
        with new, Daemon("-c", str(config), prefix=lab.gateway.command()) as gateway:
            first = lab.client.connect(INSIDE, gateway.at.port)
            with first, old.accept()[0] as far:
                hosts.write_text(f"{K} server\n")
                reached = until(lab, gateway, [old, new], new)
                hosts.write_text("127.0.0.1 localhost\n")
                knock_until(lab, gateway, [old, new], "bad_config .* server cannot be resolved: ")
                reached += until(lab, gateway, [old, new], new)
                assert reached == 2
                first.sendall(b"still the old one")
                assert far.recv(100) == b"still the old one"


def until(lab: Lab, gateway: Daemon, servers: list[socket.socket], wanted: socket.socket) -> int:
    """Connect until that server is reached; 1 if it was."""
    for _ in range(100):
        with lab.client.connect(INSIDE, gateway.at.port):
            ready = select.select(servers, [], [], 5)[0]
            ready[0].accept()[0].close()
            if ready[0] is wanted:
                return 1
    return 0


def knock_until(lab: Lab, gateway: Daemon, servers: list[socket.socket], pattern: str) -> None:
    """Connect until the gateway has said that."""
    for _ in range(100):
        until(lab, gateway, servers, servers[1])
        if any(re.search(pattern, line) for line in list(gateway.lines)):
            return
    raise AssertionError(gateway.tail())

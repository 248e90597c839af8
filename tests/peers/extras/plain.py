"""Clients that know no TLS, of a server that demands it: the gateway adds it. And openssl s_client to the gateway."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from tests.peers import clients
from tests.peers.clients import Invocation, Transfer
from tests.peers.gateway import GATEWAY_PORT
from tests.peers.servers import SAMPLE

from . import servers
from .s_client import s_client
from .stage import HOST, Bench, Daemon, Scene, Stage, check
from .tiny import secure_orders


def moved(stage: Stage, client: Callable[[Transfer], Invocation], mode: str, direction: str) -> None:
    """One file, one way."""
    source = stage.bench.site.root / SAMPLE
    local = stage.folder / "up.bin" if direction == "upload" else stage.folder / SAMPLE
    if direction == "upload":
        local.write_bytes(source.read_bytes())
    invocation = client(Transfer(mode, 4, direction, HOST, GATEWAY_PORT, local))
    stage.run(*invocation.command, script=invocation.script).succeeded()
    if direction == "upload":
        stage.has_uploaded(local.name, source)
    else:
        stage.is_sample(SAMPLE)
    stage.logged(r"transfer .*TLS none/TLSv1\.[23], complete")


def openssl(stage: Stage, *options: str) -> None:
    """openssl s_client -starttls ftp: the handshake is verified, and a person can log in."""
    said = s_client(stage, "-CAfile", stage.authority, "-verify_return_error", "-verify_ip", HOST, *options)
    check("Verification: OK" in said and "\n215 " in said, "the log-in did not come about")


def orders(bench: Bench) -> tuple[str, ...]:
    """TLS to the server whatever the client does."""
    return secure_orders(bench, "--upstream-tls", "require")


def scenes() -> Iterator[Scene]:
    """Before each of the servers."""
    made = (("wget", clients.wget), ("ncftp", clients.ncftp), ("tnftp", clients.tnftp))
    rows = {
        f"{name} {mode} {direction}": functools.partial(moved, client=client, mode=mode, direction=direction)
        for name, client in made
        for mode in ("PASV", "PORT")
        for direction in ("download", "upload")
        if (name, direction) != ("wget", "upload")
    }
    handshakes = {
        "openssl s_client 1.2": functools.partial(_openssl, option="-tls1_2"),
        "openssl s_client 1.3": functools.partial(_openssl, option="-tls1_3"),
    }
    for kind in ("vsftpd", "proftpd", "pyftpdlib"):
        start = functools.partial(_servers, kind=kind)
        yield Scene(f"plain clients of {kind} with TLS", orders, start, rows | handshakes)


def _openssl(stage: Stage, option: str) -> None:
    openssl(stage, option)


def _servers(bench: Bench, kind: str) -> list[Daemon]:
    return [servers.secure(bench, kind, "1.3")]

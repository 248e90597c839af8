"""The PROXY protocol: HAProxy stands before the server, for the control port and a few data ports, and takes the header.

Its log shows who it thinks the client is: that must be the lab's client, for control and data, on both address
families, also where TLS to the server runs through it. Behind it the server sees HAProxy alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from tests.peers.gateway import GATEWAY_PORT, route
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, SERVER, bracketed
from tests.peers.servers import FTP_PORT, PASSWORD, SAMPLE, UPLOADS, USER

from . import servers
from .install import program
from .stage import Bench, Daemon, Row, Scene, Stage, check, until
from .tiny import LOGIN

PROXY_PORT = 2180
DATA_PORTS = (30100, 30103)
LOCAL = {4: "127.0.0.1", 6: "::1"}

HAPROXY = """\
global
  log stdout format raw local0
defaults
  mode tcp
  log global
  log-format "%ft from %ci to port %fp"
  option logasap
  timeout connect 5s
  timeout client 20s
  timeout server 20s
"""
SERVICE = """\
listen {name}{family}
  bind {address}:{ports} accept-proxy
  server local {local}{port}
"""


def haproxy(bench: Bench) -> Daemon:
    """HAProxy before what listens at the loopback addresses; each data port leads to the same one there."""
    text = HAPROXY
    for family, address in SERVER.items():
        where = {"family": family, "address": bracketed(address), "local": bracketed(LOCAL[family])}
        text += SERVICE.format(name="control", ports=PROXY_PORT, port=f":{FTP_PORT}", **where)
        for port in range(DATA_PORTS[0], DATA_PORTS[1] + 1):
            # One by one: with "the same port", HAProxy means that of the header, where the client connected to.
            text += SERVICE.format(name=f"data-{port}-", ports=port, port=f":{port}", **where)
    file = bench.scratch / "haproxy.conf"
    file.write_text(text)
    # A knock without a header is none: the port is open, and that is all that counts.
    return Daemon(
        "haproxy", [str(program("haproxy")), "-db", "-f", str(file)], tuple((a, PROXY_PORT) for a in SERVER.values())
    )


def orders(bench: Bench, version: str, secure: bool) -> tuple[str, ...]:
    """A gateway that tells who its client is."""
    routes = [route("ftp", GATEWAY_INSIDE[family], GATEWAY_PORT, SERVER[family], PROXY_PORT) for family in (4, 6)]
    upstream = ("--upstream-tls", "require", "--upstream-ca", str(bench.certificates.authority))
    return (*routes, "--proxy-protocol", version, *(upstream if secure else ()))


def seen(stage: Stage, what: str, family: int, count: int) -> None:
    """HAProxy must have seen the client that often, and nobody else."""

    def sources() -> list[str]:
        found = [
            re.fullmatch(rf"{what}(?:-\d+-)?{family} from (\S+) to port \d+", line)
            for line in stage.server_said("haproxy")
        ]
        return [match[1] for match in found if match]

    until(
        lambda: sources() == [CLIENT[family]] * count,
        f"HAProxy's {what} should come {count} times from {CLIENT[family]}",
    )


def curl(stage: Stage, family: int) -> None:
    """curl, passive: down and up."""
    url = f"ftp://{bracketed(GATEWAY_INSIDE[family])}:{GATEWAY_PORT}"
    source = stage.bench.site.root / SAMPLE
    stage.curl("--globoff", *LOGIN, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    stage.curl("--globoff", *LOGIN, "--upload-file", str(source), f"{url}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin", source)
    seen(stage, "control", family, 2)
    seen(stage, "data", family, 2)


def lftp(stage: Stage, family: int) -> None:
    """lftp, passive: down and up in one session."""
    url = f"ftp://{bracketed(GATEWAY_INSIDE[family])}:{GATEWAY_PORT}"
    source = stage.bench.site.root / SAMPLE
    moves = f"get {SAMPLE} -o {stage.folder}/{SAMPLE}; put {source} -o {UPLOADS}/up.bin"
    stage.lftp(f"set ftp:ssl-allow no; open -u {USER},{PASSWORD} {url}; {moves}").succeeded()
    stage.is_sample(SAMPLE)
    stage.has_uploaded("up.bin", source)
    seen(stage, "control", family, 1)
    seen(stage, "data", family, 2)


def without_header(stage: Stage) -> None:
    """A connection without the header does not get past HAProxy: what came through above had one."""
    with stage.lab.server.connect(SERVER[4], PROXY_PORT) as connection:
        connection.sendall(b"USER u\r\n")
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            answer = b""
        check(answer == b"", "HAProxy should hang up")


ROWS = {"curl": curl, "lftp": lftp}


def scenes() -> Iterator[Scene]:
    """Both versions of the header, with and without TLS inside, before vsftpd and pyftpdlib."""
    for version in ("v1", "v2"):
        for secure in (False, True):
            for name, start in (("vsftpd", _vsftpd), ("pyftpdlib", _pyftpdlib)):
                rows: dict[str, Row] = {
                    f"{client} IPv{family}": functools.partial(row, family=family)
                    for client, row in ROWS.items()
                    for family in ((4, 6) if name == "vsftpd" else (4,))
                }
                rows["without a header"] = without_header
                label = f"proxy {version} {name} {'TLS' if secure else 'plain'}"
                told = functools.partial(orders, version=version, secure=secure)
                yield Scene(label, told, functools.partial(start, secure=secure), rows, routes=2)


def _vsftpd(bench: Bench, secure: bool) -> list[Daemon]:
    # For PASV, which lftp uses, it must name the address at which HAProxy listens.
    more = f"pasv_address={SERVER[4]}\npasv_min_port={DATA_PORTS[0]}\npasv_max_port={DATA_PORTS[1]}\n"
    certificate = bench.certificates.server if secure else None
    return [servers.vsftpd(bench, certificate=certificate, more=more), haproxy(bench)]


def _pyftpdlib(bench: Bench, secure: bool) -> list[Daemon]:
    ports = ("--passive-ports", "-".join(map(str, DATA_PORTS)))
    certificate = bench.certificates.server if secure else None
    return [servers.pyftpdlib(bench, *ports, address=LOCAL[4], certificate=certificate), haproxy(bench)]

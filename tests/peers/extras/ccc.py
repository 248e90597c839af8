"""CCC (RFC 4217 section 12.3): TLS leaves the control connection after the log-in, for the NAT boxes in the client's way.

Only where the operator says so. The server's leg stays under TLS.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing

from tests.peers.control_tap import Tap
from tests.peers.gateway import GATEWAY_PORT
from tests.peers.servers import FTP_PORT, SAMPLE, UPLOADS

from . import servers
from .stage import SAMPLE_URL, URL, Bench, Daemon, RowError, Scene, Stage, check
from .tiny import LOGIN, ROUTE, lftp_login, secure_orders

VERSIONS = ("1.2", "1.3")
LFTP_ATTEMPTS = 8


def allowing_orders(bench: Bench) -> tuple[str, ...]:
    """A gateway that takes CCC."""
    text = f'[routes.lab]\nroute = "{ROUTE}"\n[routes.lab.options]\nccc = true\n'
    return (*secure_orders(bench)[1:], *bench.toml(text))


def curl(stage: Stage, version: str, mode: str) -> None:
    """curl, which waits for the gateway's close_notify (active: sends its own first), then both ways."""
    options = (
        "--ssl-reqd",
        "--tls-max",
        version,
        f"--tlsv{version}",
        *LOGIN,
        "--ftp-ssl-ccc",
        "--ftp-ssl-ccc-mode",
        mode,
    )
    with closing(Tap(stage.lab.client, GATEWAY_PORT)) as inside, closing(Tap(stage.lab.server, FTP_PORT)) as outside:
        stage.curl(*options, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
        stage.is_sample(SAMPLE)
        source = stage.bench.site.root / SAMPLE
        stage.curl(*options, "--upload-file", str(source), f"{URL}/{UPLOADS}/up.bin").succeeded()
        stage.has_uploaded("up.bin", source)
        in_the_clear(inside, outside)


def lftp(stage: Stage, version: str) -> None:
    """lftp, both ways in one session.

    It takes a close_notify that comes together with the reply to CCC for the end of the connection; so it gets
    several attempts, and each that fails must have failed like that.
    """
    for _ in range(LFTP_ATTEMPTS):
        stage.begin()
        if lftp_attempt(stage, version):
            return
    raise RowError(f"not one of {LFTP_ATTEMPTS} attempts came about")


def lftp_attempt(stage: Stage, version: str) -> bool:
    """One attempt; False if lftp took the end of TLS for that of the connection."""
    source = stage.bench.site.root / SAMPLE
    moves = f"get {SAMPLE} -o {stage.folder}/{SAMPLE}; put {source} -o {UPLOADS}/up.bin"
    with closing(Tap(stage.lab.client, GATEWAY_PORT)) as inside, closing(Tap(stage.lab.server, FTP_PORT)) as outside:
        ran = stage.lftp(f"set ftp:ssl-use-ccc yes; {lftp_login(True, version)} {moves}")
        if ran.status and "> CCC\n<--- 200" in ran.said and "Peer closed connection" in ran.said:
            return False
        ran.succeeded()
        stage.is_sample(SAMPLE)
        stage.has_uploaded("up.bin", source)
        in_the_clear(inside, outside)
    return True


def in_the_clear(inside: Tap, outside: Tap) -> None:
    """What the wire must show: RETR in the clear at the client, PASS nowhere, nothing of both at the server."""
    ours, theirs = inside.lines(), outside.lines()
    check(any(line.startswith("> RETR") for line in ours), "RETR did not come in the clear, CCC was not used")
    check(not any("PASS " in line for line in ours), "the password went in the clear")
    check(not any("RETR" in line or "PASS " in line for line in theirs), "the server's leg lost its TLS")


def curl_refused(stage: Stage) -> None:
    """curl's CCC is refused; it goes on under TLS, or gives up."""
    with closing(Tap(stage.lab.client, GATEWAY_PORT)) as inside:
        stage.curl("--ssl-reqd", *LOGIN, "--ftp-ssl-ccc", "--output", f"{stage.folder}/x", SAMPLE_URL).shows("< 534 ")
        check(not any(line.startswith("> RETR") for line in inside.lines()), "RETR went in the clear")
    stage.logged("CCC: 534")


def lftp_refused(stage: Stage) -> None:
    """lftp's too."""
    with closing(Tap(stage.lab.client, GATEWAY_PORT)) as inside:
        script = f"set ftp:ssl-use-ccc yes; {lftp_login(True, '1.3')} get {SAMPLE} -o {stage.folder}/{SAMPLE}"
        stage.lftp(script).shows("534 ")
        check(not any(line.startswith("> RETR") for line in inside.lines()), "RETR went in the clear")
    stage.logged("CCC: 534")


def scenes() -> Iterator[Scene]:
    """CCC allowed, by version; and as it comes."""
    rows = {
        f"curl {mode} {version}": functools.partial(curl, version=version, mode=mode)
        for mode in ("active", "passive")
        for version in VERSIONS
    }
    rows |= {f"lftp {version}": functools.partial(lftp, version=version) for version in VERSIONS}
    yield Scene("ccc allowed", allowing_orders, _servers, rows)
    yield Scene("ccc by default", secure_orders, _servers, {"curl refused": curl_refused, "lftp refused": lftp_refused})


def _servers(bench: Bench) -> list[Daemon]:
    return [servers.secure(bench, "vsftpd", "1.3")]

"""Rows of their own, for either way to intercept: what holds beside the transfers of the table.

Each is a function that gets the lab and raises `RowError` where something is not as it must be.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.peers.clients import DIRECTIONS
from tests.peers.control_tap import segments, tap_socket
from tests.peers.extras.stage import RowError, check, until
from tests.peers.mover import Mover
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab, bracketed
from tests.peers.processes import LabError, Process, run, run_limited
from tests.peers.servers import FTP_PORT, SAMPLE, Site, digest_of
from tests.peers.tls.certificates import Certificates
from tests.peers.tls.clients import CLIENTS as TLS_CLIENTS
from tests.peers.tls.clients import TlsTransfer
from tests.peers.tls.services import Service, tls_server

from .datagram_singles import DATAGRAM_ROWS
from .middle import ALLOWED, FORWARDING, FTP, PORT, ROUTES, alg_nft, kernel_state, nft, rules, way_back
from .runner import SERVICE
from .stage import Single, Stage, count, descriptors, hang_up

HTTP_PORT = 80
STRANGER = "10.77.9.9"
MODES = (("PASV", 4), ("PORT", 4), ("EPSV", 6), ("EPRT", 6))
# Intercepting what the gateway itself sends out is the mistake that makes a loop.
LOOP = f"""\
table inet loop {{
  chain output {{
    type nat hook output priority -100
    tcp dport {FTP_PORT} redirect to :{PORT}
  }}
}}
"""


def no_trace(stage: Stage) -> None:
    """Installed twice it is the same as once; removed, rules and routes are byte for byte what they were."""
    before = kernel_state(stage.lab.gateway)
    told = (*ROUTES, *FTP, *ALLOWED, "--intercept", stage.kind, "--apply")
    alg_nft(stage.lab, *told)
    once = kernel_state(stage.lab.gateway)
    check("table inet alg" in once and once != before, "alg nft --apply installed nothing")
    alg_nft(stage.lab, *told)
    check(kernel_state(stage.lab.gateway) == once, "installed twice it differs from once")
    alg_nft(stage.lab, "--remove")
    check(kernel_state(stage.lab.gateway) == before, f"a trace is left: {kernel_state(stage.lab.gateway)}")


def kept_address(stage: Stage) -> None:
    """With `--keep-client-address` the server's log has the client's own address for each transfer; else the gateway's."""
    log = stage.scratch / f"vsftpd-{stage.kind}.log"
    more = f"xferlog_enable=YES\nxferlog_std_format=NO\nvsftpd_log_file={log}\n"
    for keep, addresses in ((True, CLIENT), (False, GATEWAY_OUTSIDE)):
        log.unlink(missing_ok=True)
        with ExitStack() as stack:
            if keep:
                stack.enter_context(way_back(stage.lab))
            stack.enter_context(stage.vsftpd(more))
            gateway = stack.enter_context(stage.gateway(*(["--keep-client-address"] if keep else [])))
            for mode, family in MODES:
                for direction in DIRECTIONS:
                    stage.move(gateway, "curl", mode, family, direction)
        lines = [line for line in log.read_text().splitlines() if "OK DOWNLOAD" in line or "OK UPLOAD" in line]
        wanted = [f'Client "::ffff:{addresses[4]}"'] * 4 + [f'Client "{addresses[6]}"'] * 4
        check(len(lines) == len(wanted), f"{len(lines)} transfers are in the server's log: {lines}")
        for line, words in zip(lines, wanted, strict=True):
            check(words in line, f"keep {keep}: the server's log has {line!r} instead of {words}")


def strict_client(stage: Stage) -> None:
    """ncftp refuses data that does not come from the server's own address."""
    with stage.vsftpd(), stage.gateway() as gateway:
        for direction in DIRECTIONS:
            stage.move(gateway, "ncftp", "PORT", 4, direction)


def forwarding(stage: Stage) -> None:
    """The same works on a host that forwards: what the gateway waits for does not pass it by."""
    with ExitStack() as stack:
        stack.enter_context(forwarded(stage.lab))
        stack.enter_context(stage.vsftpd())
        gateway = stack.enter_context(stage.gateway())
        for mode, family in MODES:
            stage.move(gateway, "curl", mode, family, "download")


@contextmanager
def forwarded(lab: Lab) -> Iterator[None]:
    """The gateway's host forwards, and servers know the way back: without the rules the client reaches them."""
    with way_back(lab):
        for key in FORWARDING.values():
            lab.gateway.set_kernel(key, "1")
        try:
            yield
        finally:
            for key in FORWARDING.values():
                lab.gateway.set_kernel(key, "0")


def shut(stage: Stage) -> None:
    """On a host that forwards, nobody passes by a gateway that does not run."""
    with forwarded(stage.lab), stage.vsftpd():
        for address in SERVER.values():
            check(stage.lab.client.knock(address, FTP_PORT) is None, f"{address} is not reached without the rules")
        with rules(stage.lab, stage.kind):
            for address in SERVER.values():
                answer = stage.lab.client.knock(address, FTP_PORT)
                check(answer is not None and answer.errno == errno.ECONNREFUSED, f"{address}: {answer or 'reached'}")


def port_again(stage: Stage) -> None:
    """A client that calls again from the same port is served at once, though the last connection is in TIME_WAIT."""
    with stage.vsftpd(), stage.gateway() as gateway, closing(tap_socket(stage.lab.client)) as tap:
        for _ in range(3):
            with stage.lab.client.entered():
                sock = socket.socket()
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(5)
                sock.bind((CLIENT[4], 40021))
                sock.connect((SERVER[4], FTP_PORT))
                check(sock.recv(4096).startswith(b"220"), "no greeting")
                sock.sendall(b"QUIT\r\n")
                while sock.recv(4096):
                    pass
        waiting = run(*stage.lab.gateway.command("ss", "-Htan", "state", "time-wait", "sport", "=", f":{FTP_PORT}"))
        if stage.kind == "tproxy":
            check(bool(waiting), "no connection is in TIME_WAIT: this shows nothing")
        stage.told(gateway, "session_close", 3)
        opened = sum(segment.opening for segment in segments(tap))
        check(opened == 3, f"{opened} SYN for 3 connections: the first one was not answered")


def loop(stage: Stage) -> None:
    """What the gateway sends out comes back to it: one record says so, the client is refused, nothing is left open.

    Where it dials from the client's address there is no loop: the kernel's answer goes to the client, and the dial times out.
    """
    with stage.vsftpd(), stage.gateway() as gateway:
        nft(stage.lab.gateway, LOOP)
        try:
            before = descriptors(gateway)
            hang_up(stage.lab.client.connect(SERVER[4], FTP_PORT))
            stage.told(gateway, " loop ")
            until(lambda: descriptors(gateway) == before, f"{descriptors(gateway)} files are open, {before} before")
            check(count(gateway, " session_open ") == 1, "there is more than one session")
        finally:
            nft(stage.lab.gateway, "delete table inet loop\n")


def direct(stage: Stage) -> None:
    """Who speaks to the listener itself is refused; the gateway's own ports are left alone."""
    for address in GATEWAY_INSIDE.values():
        with stage.gateway() as gateway:
            check(hang_up(stage.lab.client.connect(address, PORT)) == b"", "somebody answered")
            stage.told(gateway, " self_target ")
            answer = stage.lab.client.knock(address, FTP_PORT)
            check(
                answer is not None and answer.errno == errno.ECONNREFUSED, f"{address} port 21: {answer or 'reached'}"
            )


def not_allowed(stage: Stage) -> None:
    """A server outside `--allow-upstream` is not dialled."""
    lab = stage.lab
    lab.server.ip("address", "add", f"{STRANGER}/32", "dev", "eth0")
    lab.gateway.ip("route", "add", STRANGER, "via", SERVER[4])
    try:
        with stage.vsftpd(), stage.gateway() as gateway:
            check(hang_up(lab.client.connect(STRANGER, FTP_PORT)) == b"", "somebody answered")
            stage.told(gateway, " upstream_refused ")
    finally:
        lab.gateway.ip("route", "delete", STRANGER)
        lab.server.ip("address", "delete", f"{STRANGER}/32", "dev", "eth0")


def http(stage: Stage) -> None:
    """HTTP, both IP versions."""
    command = [sys.executable, "-m", "http.server", "--bind", "::", "--directory", str(stage.site.root), str(HTTP_PORT)]
    with (
        Process(stage.lab.server.command(*command), "http.server") as server,
        stage.gateway(ports=("--plugin", f"{HTTP_PORT}=http")) as gateway,
    ):
        for address in SERVER.values():
            stage.lab.server.wait_listening(address, HTTP_PORT, server.alive)
            local = stage.scratch / "page"
            url = f"http://{bracketed(address)}/{SAMPLE}"
            fetch = ["curl", "--silent", "--show-error", "--globoff", "--max-time", "10", "--output", str(local), url]
            status, said = run_limited(
                stage.lab.client.command(*fetch), 15, stage.scratch, {"PATH": os.environ["PATH"]}
            )
            check(status == 0 and digest_of(local) == stage.site.sample_digest, f"curl ended with {status}: {said}")
        stage.told(gateway, " session_open ", 2)
        check(count(gateway, " http#") == 4, "another plugin treated it")


def tls_passed_on(stage: Stage) -> None:
    """With `--tls pass` nobody reads the control connection: it works, and the data connections cannot."""
    with (
        tls_server("pyftpdlib", SERVICE, stage.certificates.server).start(stage.lab, stage.site, stage.scratch),
        stage.gateway("--tls", "pass"),
    ):
        for mode in ("PASV", "PORT"):
            transfer = TlsTransfer(
                *(mode, 4, "download", SERVER[4], FTP_PORT, stage.mover.local_file(f"pass {mode}", "download"), 3),
                security="explicit",
                protection="P",
                version=SERVICE.version,
                authority=stage.certificates.authority,
            )
            trial = stage.mover.run(transfer, TLS_CLIENTS["lftp"](transfer), 10)
            check("230 " in trial.said, f"{mode}: it could not even log in: {trial.said}")
            check(bool(trial.problem), f"{mode}: the file came, so who opened the data connection?")


def implicit_tls(stage: Stage) -> None:
    """TLS from the first byte, at the port of ftps: passive and active, both IP versions, both ways."""
    service = Service("implicit", "P", SERVICE.version)
    told = ("--tls", "mint", "--upstream-insecure")
    with (
        tls_server("vsftpd", service, stage.certificates.server).start(stage.lab, stage.site, stage.scratch),
        stage.gateway(*told, ports=("--plugin", f"{service.port}=ftps")) as gateway,
    ):
        for mode, family in MODES:
            for direction in DIRECTIONS:
                transfer = TlsTransfer(
                    *(mode, family, direction, SERVER[family], service.port),
                    stage.mover.local_file(f"implicit {mode} {direction}", direction),
                    security="implicit",
                    protection="P",
                    version=service.version,
                    authority=stage.certificates.trusted,
                )
                start = gateway.log_length()
                trial = stage.mover.run(transfer, TLS_CLIENTS["lftp"](transfer), 15)
                check(
                    not trial.problem, f"{mode} {direction}: {trial.problem}: {trial.said} {gateway.log_since(start)}"
                )


SINGLES: dict[str, Single] = {
    "alg nft leaves no trace": no_trace,
    "keep-client-address": kept_address,
    "ncftp active": strict_client,
    "on a host that forwards": forwarding,
    "closed while it does not run": shut,
    "the same port again": port_again,
    "loop": loop,
    "direct to the listener": direct,
    "not allowed": not_allowed,
    "http": http,
    "implicit TLS": implicit_tls,
    "TLS passed on (must fail)": tls_passed_on,
    **DATAGRAM_ROWS,
}
NAMES = tuple(SINGLES)


def perform_singles(
    lab: Lab, kind: str, site: Site, scratch: Path, certificates: Certificates, names: list[str]
) -> Iterator[tuple[str, str]]:
    """Play these rows; yield each one's name with what is wrong."""
    stage = Stage(lab, kind, site, scratch, certificates, Mover(lab, site, scratch))
    for name in names:
        try:
            SINGLES[name](stage)
        except (RowError, LabError, OSError) as error:
            yield f"{kind}: {name}", f"{error}" or repr(error)
        else:
            yield f"{kind}: {name}", ""

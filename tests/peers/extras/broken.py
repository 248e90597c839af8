"""Transfers that do not come to their end: a file that is not there, ABOR, a client that goes away in mid-download.

What comes after must work: in the same session, or in a new one where the client has left.
"""

from __future__ import annotations

import ftplib
import functools
import itertools
import ssl
from collections.abc import Callable, Iterator

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.servers import PASSWORD, SAMPLE, USER, make_sample
from tests.peers.tls.ftplib_client import VERSIONS

from . import servers
from .stage import HOST, SAMPLE_URL, URL, Bench, Daemon, Row, RowError, Scene, Stage, check
from .tiny import LOGIN, lftp_login, secure_orders

BIG = "big.bin"
BIG_SIZE = 24 * 1024 * 1024
PIECE = 64 * 1024


def secure_login(ftp: ftplib.FTP) -> ftplib.FTP_TLS:
    """Log in and ask for private data connections."""
    assert isinstance(ftp, ftplib.FTP_TLS)
    ftp.connect(HOST, GATEWAY_PORT)
    ftp.login(USER, PASSWORD)
    ftp.prot_p()
    return ftp


def fetch_sample(stage: Stage, ftp: ftplib.FTP) -> None:
    """Download the sample, and compare."""
    with (stage.folder / SAMPLE).open("wb") as target:
        ftp.retrbinary(f"RETR {SAMPLE}", target.write)
    stage.is_sample(SAMPLE)


def missing_curl(stage: Stage, version: str) -> None:
    """curl: a file that is not there, then one that is, in one session."""
    options = ("--ssl-reqd", "--tls-max", version, *LOGIN, "--output", f"{stage.folder}/#1", "--fail-early")
    ran = stage.curl(*options[:-1], f"{URL}/{{nothing.bin,{SAMPLE}}}")
    ran.shows("550 ")
    stage.is_sample(SAMPLE)
    check(ran.said.count("< 220 ") == 1, "curl should have kept the session")


def missing_lftp(stage: Stage, version: str) -> None:
    """lftp: the same."""
    script = f"set cmd:fail-exit no; get nothing.bin -o {stage.folder}/nothing; get {SAMPLE} -o {stage.folder}/{SAMPLE}"
    ran = stage.lftp(lftp_login(True, version) + script)
    ran.shows("550 ")
    stage.is_sample(SAMPLE)


def missing_ftplib(stage: Stage, version: str, passive: bool) -> None:
    """ftplib: three that are not there, then one that is; the data connection is opened and never used."""
    with stage.ftplib(functools.partial(ftplib.FTP_TLS, context=stage.secure_context(VERSIONS[version]))) as ftp:
        secure_login(ftp).set_pasv(passive)
        for _ in range(3):
            try:
                ftp.retrbinary("RETR nothing.bin", lambda block: None)
            except ftplib.error_perm as error:
                check(str(error).startswith("550"), f"the reply was '{error}'")
            else:
                raise RowError("a file that is not there was downloaded")
        fetch_sample(stage, ftp)
    stage.nothing_listens()


def big(stage: Stage) -> str:
    """The name of a file that takes its time."""
    file = stage.bench.site.root / BIG
    if not file.is_file():
        make_sample(file, BIG_SIZE)
    return BIG


def begun(stage: Stage, ftp: ftplib.FTP) -> ssl.SSLSocket:
    """The data connection of a download that has begun."""
    connection = secure_login(ftp).transfercmd(f"RETR {big(stage)}")
    assert isinstance(connection, ssl.SSLSocket)
    check(len(connection.recv(PIECE)) > 0, "the download did not begin")
    return connection


def aborted(stage: Stage, version: str) -> None:
    """ABOR in mid-download, then close; the next transfer in the same session and in a new one."""
    kind = functools.partial(ftplib.FTP_TLS, context=stage.secure_context(VERSIONS[version]))
    with stage.ftplib(kind) as ftp:
        connection = begun(stage, ftp)
        # ftplib's `abort` sends it as urgent data, which TLS has not.
        ftp.putline("ABOR")
        connection.close()
        # Servers differ in how many replies there are, and in which order; NOOP's is the last.
        ftp.putline("NOOP")
        replies = [ftp.getmultiline()]
        while not replies[-1].startswith("200"):
            replies.append(ftp.getmultiline())
        check(any(reply[:1] == "2" for reply in replies[:-1]), f"ABOR was answered with {replies}")
    stage.logged("transfer.*RETR.*big.bin.*(failed|unknown)")
    next_session(stage, kind)


def left(stage: Stage, version: str) -> None:
    """The client goes without a word in mid-download; the next transfer is in a new session."""
    kind = functools.partial(ftplib.FTP_TLS, context=stage.secure_context(VERSIONS[version]))
    with stage.ftplib(kind) as ftp:
        connection = begun(stage, ftp)
        connection.close()
        assert ftp.sock is not None
        ftp.close()
    stage.logged("transfer.*RETR.*big.bin.*(failed|unknown)")
    next_session(stage, kind)


def next_session(stage: Stage, kind: Callable[..., ftplib.FTP]) -> None:
    """A transfer in a new session; then nothing of the old one is left."""
    with stage.ftplib(kind) as ftp:
        fetch_sample(stage, secure_login(ftp))
    stage.nothing_listens()


def range_curl(stage: Stage, version: str) -> None:
    """curl breaks off after the first 10000 bytes, and fetches a whole file afterwards."""
    options = ("--ssl-reqd", "--tls-max", version, *LOGIN)
    part = stage.folder / "part"
    stage.curl(*options, "--range", "0-9999", "--output", str(part), f"{URL}/{big(stage)}")
    check(part.stat().st_size == 10000, f"curl got {part.stat().st_size} bytes, not 10000")
    stage.curl(*options, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
    stage.is_sample(SAMPLE)


def pipe_lftp(stage: Stage, version: str) -> None:
    """lftp's reader goes away in mid-download (a broken pipe); a new session fetches a whole file."""
    script = f"set cmd:fail-exit no; cat {big(stage)} | head -c 100000 > /dev/null; "
    stage.lftp(lftp_login(True, version) + script)
    stage.lftp(f"{lftp_login(True, version)} get {SAMPLE} -o {stage.folder}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)


ROWS: dict[str, Callable[..., None]] = {
    "missing file, then a good one: curl": missing_curl,
    "missing file, then a good one: lftp": missing_lftp,
    "missing file, then a good one: ftplib passive": functools.partial(missing_ftplib, passive=True),
    "missing file, then a good one: ftplib active": functools.partial(missing_ftplib, passive=False),
    "ABOR in mid-download: ftplib": aborted,
    "client gone in mid-download: ftplib": left,
    "broken off after 10000 bytes: curl": range_curl,
    "broken pipe: lftp": pipe_lftp,
}


def scenes() -> Iterator[Scene]:
    """Every server, both versions."""
    for kind, version in itertools.product(("vsftpd", "proftpd", "pyftpdlib"), ("1.2", "1.3")):
        rows: dict[str, Row] = {name: functools.partial(row, version=version) for name, row in ROWS.items()}
        yield Scene(
            f"broken {kind} {version}", secure_orders, functools.partial(_servers, kind=kind, version=version), rows
        )


def _servers(bench: Bench, kind: str, version: str) -> list[Daemon]:
    return [servers.secure(bench, kind, version)]

"""Files of no byte, of one, and of one more than a TLS record holds, down and up, and an empty folder.

Also a hundred files in one session. A data connection that carries nothing is where one side is gone before the other
has begun its handshake.
"""

from __future__ import annotations

import ftplib
import functools
import io
import itertools
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.namespaces import SERVER
from tests.peers.servers import FTP_PORT, PASSWORD, UPLOADS, USER, digest_of, make_sample
from tests.peers.tls.ftplib_client import VERSIONS

from . import servers
from .stage import HOST, URL, Bench, Daemon, Scene, Stage, check

SIZES = {"zero": 0, "one": 1, "odd": 16385}
EMPTY = "empty"
MANY = "many"
COUNT = 100
ROUTE = f"ftp://{SERVER[4]}:{FTP_PORT}@{HOST}:{GATEWAY_PORT}"
LOGIN = ("--user", f"{USER}:{PASSWORD}")


def secure_orders(bench: Bench, *more: str) -> tuple[str, ...]:
    """A gateway with a certificate of its own, that verifies the server's."""
    certificates = bench.certificates
    return (ROUTE, "--tls", str(certificates.gateway), "--upstream-ca", str(certificates.authority), *more)


def filled(bench: Bench) -> Path:
    """The site's root, with the tiny files, the empty folder and the one with many."""
    root = bench.site.root
    if not (root / EMPTY).is_dir():
        (root / EMPTY).mkdir()
        (root / MANY).mkdir()
        for name, size in SIZES.items():
            make_sample(root / name, size)
        for number in range(COUNT):
            make_sample(root / MANY / f"{number:03}", number * 331)
    return root


def compare(stage: Stage, root: Path) -> None:
    """All tiny files have come, and have arrived."""
    for name in SIZES:
        check(digest_of(stage.folder / name) == digest_of(root / name), f"the download '{name}' is different")
        stage.has_uploaded(name, root / name)


def curl(stage: Stage, private: bool, version: str) -> None:
    """curl: several files in one session by globbing."""
    root = filled(stage.bench)
    options = ("--ssl-reqd" if private else "--ftp-ssl-control", f"--tlsv{version}", "--tls-max", version, *LOGIN)
    stage.curl(*options, "--output", f"{stage.folder}/#1", f"{URL}/{{{','.join(SIZES)}}}").succeeded()
    stage.curl(*options, "--upload-file", f"{root}/{{{','.join(SIZES)}}}", f"{URL}/{UPLOADS}/").succeeded()
    listing = stage.folder / "listing"
    stage.curl(*options, "--output", str(listing), f"{URL}/{EMPTY}/").succeeded()
    check(not listing.is_file() or listing.read_bytes() in (b"", b"total 0\r\n"), "the listing is not empty")
    compare(stage, root)


def lftp_login(private: bool, version: str) -> str:
    """lftp's settings, and its way in."""
    protect = "yes" if private else "no"
    return (
        f"set ftp:ssl-force yes; set ftp:ssl-protect-data {protect}; set ftp:ssl-protect-list {protect}; "
        f"set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{version}; open -u {USER},{PASSWORD} {URL}; "
    )


def lftp(stage: Stage, private: bool, version: str) -> None:
    """lftp: everything in one session."""
    root = filled(stage.bench)
    moves = [f"get {name} -o {stage.folder}/{name}; put {root}/{name} -o {UPLOADS}/{name}" for name in SIZES]
    listing = stage.folder / "listing"
    listed = f"cls {EMPTY} > {listing}"
    stage.lftp(lftp_login(private, version) + "; ".join([*moves, listed])).succeeded()
    check(listing.read_bytes() == b"", "the listing is not empty")
    compare(stage, root)


def ftp_tls(stage: Stage, private: bool, version: str) -> None:
    """ftplib: everything in one session; it ends each data connection with close_notify and waits for the other's."""
    root = filled(stage.bench)
    lines: list[str] = []
    kind = functools.partial(ftplib.FTP_TLS, context=stage.secure_context(VERSIONS[version]))
    with stage.ftplib(kind) as ftp:
        assert isinstance(ftp, ftplib.FTP_TLS)
        ftp.connect(HOST, GATEWAY_PORT)
        ftp.login(USER, PASSWORD)
        check(isinstance(ftp.sock, ssl.SSLSocket), "the control connection is in the clear")
        ftp.prot_p() if private else ftp.voidcmd("PBSZ 0")
        for name in SIZES:
            with (stage.folder / name).open("wb") as target:
                ftp.retrbinary(f"RETR {name}", target.write)
            ftp.storbinary(f"STOR {UPLOADS}/{name}", io.BytesIO((root / name).read_bytes()))
        ftp.dir(EMPTY, lines.append)
    check(lines in ([], ["total 0"]), "the listing is not empty")
    compare(stage, root)


def same_many(stage: Stage) -> None:
    """All of the hundred have come."""
    root = stage.bench.site.root
    for number in range(COUNT):
        name = f"{number:03}"
        check(digest_of(stage.folder / name) == digest_of(root / MANY / name), f"the download {name} is different")


def lftp_many(stage: Stage, version: str) -> None:
    """A hundred files by `mirror`, one after the other."""
    filled(stage.bench)
    stage.lftp(f"{lftp_login(True, version)} mirror --parallel=1 {MANY} {stage.folder}").succeeded()
    same_many(stage)


def curl_many(stage: Stage, version: str) -> None:
    """A hundred files by globbing."""
    filled(stage.bench)
    options = ("--ssl-reqd", f"--tlsv{version}", "--tls-max", version, *LOGIN)
    stage.curl(*options, "--output", f"{stage.folder}/#1", f"{URL}/{MANY}/[000-{COUNT - 1:03}]").succeeded()
    same_many(stage)
    sessions = sum("session_open" in line for line in stage.log())
    check(sessions == 1, f"there were {sessions} sessions")


def scenes() -> Iterator[Scene]:
    """Every server by protection and version."""
    for kind, protection, version in itertools.product(("vsftpd", "proftpd", "pyftpdlib"), "PC", ("1.2", "1.3")):
        private = protection == "P"
        rows = {
            name: functools.partial(row, private=private, version=version)
            for name, row in (("curl", curl), ("lftp", lftp), ("ftplib", ftp_tls))
        }
        if private:
            rows["100 files, lftp mirror"] = functools.partial(lftp_many, version=version)
            rows["100 files, curl"] = functools.partial(curl_many, version=version)
        daemon = functools.partial(_servers, kind=kind, version=version, protection=protection)
        yield Scene(f"tiny {kind} {protection} {version}", secure_orders, daemon, rows)


def _servers(bench: Bench, kind: str, version: str, protection: str) -> list[Daemon]:
    return [servers.secure(bench, kind, version, protection)]

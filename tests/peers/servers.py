"""The FTP servers of the lab: how each one is started, and the one user and folder that all serve.

The user is a system user of the server namespace only, made of private copies of passwd, shadow
and the PAM rules, so each server runs with its ordinary login. Nothing is added to the machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .install import CHECKOUT, server_program
from .namespaces import SERVER, Lab
from .processes import LabError, Process

USER = "u"
PASSWORD = "p"
# `openssl passwd -6 -salt peers p`
PASSWORD_HASH = "$6$peers$KG78ISlHz542SWlv8azWJTej8xxBw7zw8Zh0/erxBhEPf15f.C08QxaDrFHdvHMm2jslNsLcQSXy8Tp1nUkKt1"
USER_ID = 10021
FTP_PORT = 21

SAMPLE = "sample.bin"
UPLOADS = "upload"
BLOCK = 1024 * 1024


def make_sample(file: Path, size: int) -> str:
    """Fill a file with random bytes; return its SHA-256."""
    digest = hashlib.sha256()
    with file.open("wb") as target:
        for start in range(0, size, BLOCK):
            block = os.urandom(min(BLOCK, size - start))
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, or a word that equals no digest when there is none."""
    if not file.is_file():
        return "missing"
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


class Site:
    """The folder that the servers show: one sample file, and a folder that takes uploads."""

    def __init__(self, scratch: Path, size: int) -> None:
        scratch.chmod(0o755)
        self.root = scratch / "root"
        self.root.mkdir()
        self.uploads = self.root / UPLOADS
        self.uploads.mkdir()
        shutil.chown(self.uploads, USER_ID, USER_ID)
        self.sample_digest = make_sample(self.root / SAMPLE, size)

    def etc_files(self) -> dict[str, str]:
        """The private files below /etc that make the user known."""
        users = "".join(
            line for line in Path("/etc/passwd").read_text().splitlines(True) if not line.startswith(f"{USER}:")
        )
        return {
            "passwd": f"{users}{USER}:x:{USER_ID}:{USER_ID}::{self.root}:/bin/sh\n",
            "shadow": f"{USER}:{PASSWORD_HASH}:19000:0:99999:7:::\n",
            # PAM falls back to the service `other` for every server that has no rules of its own.
            "pam.d/other": "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n",
        }


VSFTPD = """\
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
chroot_local_user=NO
connect_from_port_20=YES
use_localtime=YES
pam_service_name=ftp
secure_chroot_dir={scratch}/empty
"""

PROFTPD = """\
ServerName peers
ServerType standalone
UseIPv6 on
DefaultAddress {ipv4} {ipv6}
Port {port}
User nobody
Group nogroup
Umask 022
RequireValidShell off
AuthOrder mod_auth_unix.c
UseReverseDNS off
AllowOverwrite on
MaxInstances 30
TransferLog none
WtmpLog off
SystemLog {scratch}/proftpd.log
PidFile {scratch}/proftpd.pid
ScoreboardFile {scratch}/proftpd.scoreboard
DelayTable {scratch}/proftpd.delay
<Global>
  DefaultRoot {root}
</Global>
"""


def start_vsftpd(site: Site, scratch: Path, more: str = "") -> list[str]:
    """vsftpd: one IPv6 socket that takes IPv4 as well; `more` lines of configuration."""
    (scratch / "empty").mkdir(exist_ok=True)
    file = scratch / "vsftpd.conf"
    file.write_text(VSFTPD.format(scratch=scratch) + more)
    return [str(server_program("vsftpd")), str(file)]


def start_proftpd(site: Site, scratch: Path, port: int = FTP_PORT, more: str = "") -> list[str]:
    """ProFTPD: the addresses are named, else it looks its own host name up; `more` lines of configuration."""
    file = scratch / "proftpd.conf"
    text = PROFTPD.format(scratch=scratch, root=site.root, ipv4=SERVER[4], ipv6=SERVER[6], port=port)
    file.write_text(text + more)
    return [str(server_program("proftpd")), "--nodaemon", "--quiet", "--config", str(file)]


def start_pureftpd(site: Site, scratch: Path) -> list[str]:
    """Pure-FTPd: no anonymous login (E), no name lookups (H), everyone locked into the root (A)."""
    return [
        str(server_program("pure-ftpd")),
        *("--bind", str(FTP_PORT), "--login", "unix", "--minuid", "1000", "-A", "-E", "-H"),
        *("--passiveportrange", "30000:50000", "--pidfile", str(scratch / "pure-ftpd.pid")),
    ]


def start_pyftpdlib(site: Site, scratch: Path, reply: str = "plain") -> list[str]:
    """pyftpdlib: our own start script; `reply` names an odd spelling of 227 and 229."""
    options = ["--root", str(site.root), "--user", USER, "--password", PASSWORD, "--reply", reply]
    return [sys.executable, "-m", "tests.peers.pyftpdlib_server", *options, *SERVER.values()]


@dataclass(frozen=True)
class Server:
    """A kind of FTP server: its name and the command line that starts it."""

    name: str
    command: Callable[[Site, Path], list[str]]
    port: int = FTP_PORT

    def start(self, lab: Lab, site: Site, scratch: Path) -> Process:
        """Start it in the server namespace; return when it listens on both families."""
        for file in site.uploads.iterdir():
            file.unlink()
        process = Process(lab.server.command(*self.command(site, scratch)), self.name, cwd=CHECKOUT)
        try:
            for address in SERVER.values():
                lab.server.wait_listening(address, self.port, process.alive)
        except LabError as error:
            process.stop()
            raise LabError(f"{self.name} did not start: {error}; its output: {process.tail()}") from error
        except BaseException:
            process.stop()
            raise
        return process


SERVERS = (
    Server("vsftpd", start_vsftpd),
    Server("proftpd", start_proftpd),
    Server("pure-ftpd", start_pureftpd),
    Server("pyftpdlib", start_pyftpdlib),
)

"""The servers with TLS: each demands it where the cell asks for it, in one version only.

A server that refuses plain logins and plain data connections is the first witness that TLS was used;
the wire is the second.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.peers.install import server_modules
from tests.peers.namespaces import SERVER
from tests.peers.servers import FTP_PORT, PASSWORD, USER, Server, Site, start_proftpd, start_pureftpd, start_vsftpd
from tests.peers.servers import SERVERS as PLAIN_SERVERS

IMPLICIT_PORT = 990


@dataclass(frozen=True)
class Service:
    """How a server is to serve: explicit or implicit TLS or plain, the data channel's protection, the version."""

    security: str
    protection: str = "C"
    version: str = ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return IMPLICIT_PORT if self.security == "implicit" else FTP_PORT

    @property
    def private(self) -> bool:
        """Whether data connections without TLS are refused."""
        return self.protection == "P"

    @property
    def label(self) -> str:
        """For messages."""
        if self.security == "plain":
            return self.security
        return f"{self.security} {self.protection} {self.version}"


# OpenSSL reads it in every server that uses the system's library, also where the server has no setting.
OPENSSL = """\
openssl_conf = lab
[lab]
ssl_conf = modules
[modules]
system_default = limits
[limits]
MinProtocol = TLSv{version}
MaxProtocol = TLSv{version}
"""

VSFTPD = """\
ssl_enable=YES
force_local_logins_ssl=YES
force_local_data_ssl={private}
require_ssl_reuse=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
listen_port={port}
implicit_ssl={implicit}
"""

PROFTPD = """\
ModulePath {modules}
LoadModule mod_tls.c
DelayEngine off
TLSEngine on
TLSLog {scratch}/proftpd-tls.log
TLSProtocol TLSv{version}
TLSRSACertificateFile {certificate}
TLSRSACertificateKeyFile {certificate}
TLSRequired {required}
TLSOptions {options}
"""


def limited(command: list[str], scratch: Path, version: str) -> list[str]:
    """A command whose OpenSSL speaks one version of TLS only."""
    file = scratch / "openssl.conf"
    file.write_text(OPENSSL.format(version=version))
    return ["env", f"OPENSSL_CONF={file}", *command]


def start_tls_vsftpd(service: Service, certificate: Path, site: Site, scratch: Path) -> list[str]:
    """vsftpd: a data connection must resume the session of its control connection."""
    words = {True: "YES", False: "NO"}
    more = VSFTPD.format(
        private=words[service.private],
        implicit=words[service.security == "implicit"],
        certificate=certificate,
        port=service.port,
    )
    return limited(start_vsftpd(site, scratch, more), scratch, service.version)


def start_tls_proftpd(service: Service, certificate: Path, site: Site, scratch: Path, reuse: bool) -> list[str]:
    """ProFTPD with mod_tls; it demands session reuse unless it is told not to."""
    options = [] if reuse else ["NoSessionReuseRequired"]
    if service.security == "implicit":
        options.append("UseImplicitSSL")
    more = PROFTPD.format(
        modules=server_modules("proftpd"),
        scratch=scratch,
        version=service.version,
        certificate=certificate,
        required="on" if service.private else "ctrl",
        options=" ".join(options),
    )
    if not options:
        more = more.replace("TLSOptions \n", "")
    return start_proftpd(site, scratch, service.port, more)


def start_tls_pureftpd(service: Service, certificate: Path, site: Site, scratch: Path) -> list[str]:
    """Pure-FTPd: level 2 refuses plain logins, level 3 plain data connections as well."""
    options = ["--tls", "3" if service.private else "2", "--certfile", str(certificate)]
    return limited([*start_pureftpd(site, scratch), *options], scratch, service.version)


def start_tls_pyftpdlib(service: Service, certificate: Path, site: Site, scratch: Path) -> list[str]:
    """pyftpdlib: our own start script."""
    command = [sys.executable, "-m", "tests.peers.tls.pyftpdlib_server", *SERVER.values()]
    command += ["--root", str(site.root), "--user", USER, "--password", PASSWORD, "--port", str(service.port)]
    command += ["--certificate", str(certificate), "--version", service.version]
    if service.security == "implicit":
        command.append("--implicit")
    if service.private:
        command.append("--private")
    return command


Start = Callable[[Service, Path, Site, Path], list[str]]

SERVERS: dict[str, Start] = {
    "vsftpd": start_tls_vsftpd,
    "proftpd": functools.partial(start_tls_proftpd, reuse=True),
    "proftpd-free": functools.partial(start_tls_proftpd, reuse=False),
    "pure-ftpd": start_tls_pureftpd,
    "pyftpdlib": start_tls_pyftpdlib,
}
SERVER_NOTES = (
    "vsftpd: require_ssl_reuse=YES; proftpd: mod_tls as it comes, which demands session reuse; "
    "proftpd-free: with NoSessionReuseRequired; pure-ftpd: --tls 2 (PROT C), 3 (PROT P)"
)


def tls_server(name: str, service: Service, certificate: Path) -> Server:
    """A server of the lab that serves like this; plainly, it is the one of the table without TLS."""

    if service.security == "plain":
        return next(server for server in PLAIN_SERVERS if server.name == name)

    def command(site: Site, scratch: Path) -> list[str]:
        return SERVERS[name](service, certificate, site, scratch)

    return Server(f"{name} ({service.label})", command, service.port)

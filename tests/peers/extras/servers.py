"""The servers of the extras: those of the lab with TLS, and some that listen at one address, at other ports."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.peers.install import server_modules
from tests.peers.namespaces import SERVER
from tests.peers.servers import FTP_PORT, PASSWORD, USER, start_proftpd, start_vsftpd
from tests.peers.tls.services import SERVERS, Service

from .stage import Bench, Daemon

EVERYWHERE = tuple((address, FTP_PORT) for address in SERVER.values())
VSFTPD_TLS = """\
ssl_enable=YES
force_local_logins_ssl=YES
force_local_data_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
"""
PROFTPD_TLS = """\
ModulePath {modules}
LoadModule mod_tls.c
DelayEngine off
TLSEngine on
TLSRSACertificateFile {certificate}
TLSRSACertificateKeyFile {certificate}
TLSRequired on
"""


def secure(bench: Bench, kind: str, version: str, protection: str = "P") -> Daemon:
    """A server of the TLS lab: it demands TLS, in that version, on data connections too unless they are in the clear."""
    service = Service("explicit", protection, version)
    certificate = bench.certificates.server
    return Daemon(kind, SERVERS[kind](service, certificate, bench.site, bench.scratch), EVERYWHERE)


def vsftpd(
    bench: Bench, name: str = "vsftpd", address: str = "", certificate: Path | None = None, more: str = ""
) -> Daemon:
    """vsftpd at one address, or at all; with a certificate it demands TLS."""
    folder = bench.scratch / f"server-{name}"
    folder.mkdir(exist_ok=True)
    text = VSFTPD_TLS.format(certificate=certificate) if certificate else ""
    if ":" in address:
        text += f"listen_address6={address}\n"
    elif address:
        text += f"listen_ipv6=NO\nlisten=YES\nlisten_address={address}\n"
    listens = ((address, FTP_PORT),) if address else EVERYWHERE
    return Daemon(name, start_vsftpd(bench.site, folder, text + more), listens)


def proftpd(bench: Bench, certificate: Path, more: str) -> Daemon:
    """ProFTPD that demands TLS, and session reuse with it."""
    text = PROFTPD_TLS.format(modules=server_modules("proftpd"), certificate=certificate)
    return Daemon("proftpd", start_proftpd(bench.site, bench.scratch, more=text + more), EVERYWHERE)


def pyftpdlib(
    bench: Bench, *options: str, address: str = SERVER[4], port: int = FTP_PORT, certificate: Path | None = None
) -> Daemon:
    """pyftpdlib at one address; with a certificate it demands TLS."""
    command = [sys.executable, "-m", "tests.peers.extras.pyftpdlib_server", address, "--port", str(port), *options]
    command += ["--root", str(bench.site.root), "--user", USER, "--password", PASSWORD]
    if certificate:
        command += ["--certificate", str(certificate)]
    return Daemon("pyftpdlib", command, ((address, port),))

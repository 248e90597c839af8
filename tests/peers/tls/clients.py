"""The FTP clients with TLS: each speaks one version, verifies the certificate, and protects what it is told to.

What a client cannot be told to do stands in `GAPS`, with the reason; what it fails at without any
gateway stands in `known.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.peers import clients
from tests.peers.clients import Invocation, Transfer
from tests.peers.namespaces import bracketed
from tests.peers.servers import PASSWORD, USER


@dataclass(frozen=True, kw_only=True)
class TlsTransfer(Transfer):
    """One file to be moved over TLS, or plainly where `security` says so."""

    security: str
    protection: str
    version: str
    authority: Path

    @property
    def private(self) -> bool:
        """Whether the data connection is to be encrypted."""
        return self.protection == "P"

    @property
    def url(self) -> str:
        """The server as a URL without user and path; ftps means implicit TLS."""
        scheme = "ftps" if self.security == "implicit" else "ftp"
        return f"{scheme}://{bracketed(self.host)}:{self.port}"

    @property
    def priority(self) -> str:
        """The version as GnuTLS takes it."""
        return f"NORMAL:-VERS-ALL:+VERS-TLS{self.version}"


def curl(transfer: TlsTransfer) -> Invocation:
    """curl: `--ssl-reqd` encrypts both channels, `--ftp-ssl-control` only the control channel."""
    base = clients.curl(transfer)
    if transfer.security == "plain":
        return base
    options = ["--ssl-reqd" if transfer.private else "--ftp-ssl-control", "--cacert", str(transfer.authority)]
    options += [f"--tlsv{transfer.version}", "--tls-max", transfer.version]
    return Invocation([base.command[0], *options, *base.command[1:]])


def lftp(transfer: TlsTransfer) -> Invocation:
    """lftp: all by settings; the scheme decides between explicit and implicit."""
    if transfer.security == "plain":
        return clients.lftp(transfer, "set ftp:ssl-allow no; ")
    private = "yes" if transfer.private else "no"
    settings = (
        f"set ftp:ssl-force yes; set ftp:ssl-protect-data {private}; set ftp:ssl-protect-list {private}; "
        f"set ssl:ca-file {transfer.authority}; set ssl:verify-certificate yes; set ssl:check-hostname yes; "
        f"set ssl:priority {transfer.priority}; "
    )
    return clients.lftp(transfer, settings)


def wget(transfer: TlsTransfer) -> Invocation:
    """wget: a ftps URL means explicit TLS unless `--ftps-implicit` is given."""
    base = clients.wget(transfer)
    if transfer.security == "plain":
        return base
    options = [f"--ca-certificate={transfer.authority}", f"--ciphers={transfer.priority}"]
    if transfer.security == "implicit":
        options.append("--ftps-implicit")
    if not transfer.private:
        options.append("--ftps-clear-data-connection")
    *command, url = base.command
    return Invocation([*command, *options, url.replace("ftp://", "ftps://")])


def ftplib(transfer: TlsTransfer, *options: str) -> Invocation:
    """Python's FTP_TLS, driven by a script of ours."""
    base = clients.ftplib(transfer)
    if transfer.security == "plain":
        return base
    command = [word.replace("tests.peers.ftplib_client", "tests.peers.tls.ftplib_client") for word in base.command]
    command += ["--security", transfer.security, "--protection", transfer.protection]
    return Invocation([*command, "--version", transfer.version, "--authority", str(transfer.authority), *options])


def ftplib_reuse(transfer: TlsTransfer) -> Invocation:
    """FTP_TLS in the customary subclass that resumes the control connection's TLS session."""
    return ftplib(transfer, "--reuse")


def net_ftp(transfer: TlsTransfer) -> Invocation:
    """Perl's Net::FTP with IO::Socket::SSL, driven by a script of ours."""
    script = Path(__file__).with_name("net_ftp_client.pl")
    where = [transfer.host, str(transfer.port), transfer.mode, transfer.direction, transfer.remote]
    security = [transfer.security, transfer.protection, transfer.version, str(transfer.authority)]
    login = [USER, PASSWORD, str(transfer.patience)]
    return Invocation(["perl", str(script), *where, str(transfer.local), *login, *security])


CLIENTS: dict[str, Callable[[TlsTransfer], Invocation]] = {
    "curl": curl,
    "lftp": lftp,
    "wget": wget,
    "ftplib": ftplib,
    "ftplib-reuse": ftplib_reuse,
    "net-ftp": net_ftp,
}

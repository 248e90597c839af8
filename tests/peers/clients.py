"""The FTP clients of the lab: the command line that makes each one use a given data mode.

What a client cannot be told to do stands in `GAPS`, with the reason, decided from its manual and
from its source or its behaviour on the wire; it is never derived from a failure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .namespaces import bracketed
from .servers import PASSWORD, SAMPLE, UPLOADS, USER

# Mode and IP version, in the order of the table's columns.
COLUMNS = (("PASV", 4), ("EPSV", 4), ("PORT", 4), ("EPRT", 4), ("EPSV", 6), ("EPRT", 6))
DIRECTIONS = ("download", "upload")
# Clients give up before the lab does, so that their own words are there to read.
PATIENCE_SECONDS = 12


@dataclass(frozen=True)
class Transfer:
    """One file to be moved: where the server is, how the data is to flow, the file on our side."""

    mode: str
    family: int
    direction: str
    host: str
    port: int
    local: Path
    patience: int = PATIENCE_SECONDS
    sample: str = SAMPLE

    @property
    def passive(self) -> bool:
        """Whether the server listens for the data connection."""
        return self.mode in ("PASV", "EPSV")

    @property
    def extended(self) -> bool:
        """Whether the mode is one of RFC 2428."""
        return self.mode in ("EPSV", "EPRT")

    @property
    def download(self) -> bool:
        """Whether the file comes to the client."""
        return self.direction == "download"

    @property
    def remote(self) -> str:
        """The file's path on the server."""
        return self.sample if self.download else f"{UPLOADS}/{self.local.name}"

    @property
    def url(self) -> str:
        """The server as a URL without user and path."""
        return f"ftp://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True)
class Invocation:
    """A command line, and what is typed into it."""

    command: list[str]
    script: str = ""


def curl(transfer: Transfer) -> Invocation:
    """curl prefers EPSV and EPRT, on IPv4 too, unless they are switched off."""
    command = ["curl", "--silent", "--show-error", "--verbose", "--globoff", "--max-time", str(transfer.patience)]
    command += ["--user", f"{USER}:{PASSWORD}"]
    if not transfer.passive:
        command += ["--ftp-port", "-"]
    if not transfer.extended:
        command.append("--disable-epsv" if transfer.passive else "--disable-eprt")
    command += ["--output" if transfer.download else "--upload-file", str(transfer.local)]
    return Invocation([*command, f"{transfer.url}/{transfer.remote}"])


def lftp(transfer: Transfer, settings: str = "") -> Invocation:
    """lftp takes PASV on IPv4 unless told to prefer EPSV; `settings` are made first."""
    files = (transfer.remote, transfer.local) if transfer.download else (transfer.local, transfer.remote)
    script = (
        f"{settings}set net:max-retries 1; set net:timeout {transfer.patience}; set cmd:fail-exit yes; "
        f"set ftp:passive-mode {'yes' if transfer.passive else 'no'}; set ftp:auto-passive-mode no; "
        f"set ftp:prefer-epsv {'yes' if transfer.extended else 'no'}; "
        f"open -u {USER},{PASSWORD} {transfer.url}; "
        f"{'get' if transfer.download else 'put'} {files[0]} -o {files[1]}"
    )
    return Invocation(["lftp", "--norc", "-d", "-c", script])


def wget(transfer: Transfer) -> Invocation:
    """wget chooses the command by the IP version: PASV and PORT on IPv4, EPSV and EPRT on IPv6."""
    command = ["wget", "--no-config", "--no-verbose", "--debug", "--tries=1", f"--timeout={transfer.patience}"]
    command += [f"--ftp-user={USER}", f"--ftp-password={PASSWORD}"]
    if not transfer.passive:
        command.append("--no-passive-ftp")
    return Invocation([*command, f"--output-document={transfer.local}", f"{transfer.url}/{transfer.remote}"])


def ncftp(transfer: Transfer) -> Invocation:
    """ncftpget and ncftpput; -C names both files in full."""
    options = ["-u", USER, "-p", PASSWORD, "-P", str(transfer.port), "-t", str(transfer.patience), "-r", "0"]
    options += ["-V", "-d", "stdout", "-F" if transfer.passive else "-E", "-C", transfer.host]
    if transfer.download:
        return Invocation(["ncftpget", *options, transfer.remote, str(transfer.local)])
    return Invocation(["ncftpput", *options, str(transfer.local), transfer.remote])


def tnftp(transfer: Transfer) -> Invocation:
    """tnftp starts with EPSV and EPRT on; `epsv4` toggles them for IPv4."""
    command = ["tnftp", f"-{transfer.family}", "-n", "-v", "-d", "-q", str(transfer.patience)]
    if not transfer.passive:
        command.append("-A")
    script = [f"user {USER} {PASSWORD}", "binary"]
    if not transfer.extended:
        script.append("epsv4")
    if transfer.download:
        script.append(f"get {transfer.remote} {transfer.local}")
    else:
        script.append(f"put {transfer.local} {transfer.remote}")
    return Invocation([*command, transfer.host, str(transfer.port)], "\n".join([*script, "quit", ""]))


def ftplib(transfer: Transfer) -> Invocation:
    """Python's ftplib, driven by a script of ours."""
    script = ["-m", "tests.peers.ftplib_client", "--user", USER, "--password", PASSWORD]
    script += ["--timeout", str(transfer.patience)]
    where = [transfer.host, str(transfer.port), transfer.mode, transfer.direction]
    return Invocation([sys.executable, *script, *where, transfer.remote, str(transfer.local)])


CLIENTS: dict[str, Callable[[Transfer], Invocation]] = {
    "curl": curl,
    "lftp": lftp,
    "wget": wget,
    "ncftp": ncftp,
    "tnftp": tnftp,
    "ftplib": ftplib,
}


@dataclass(frozen=True)
class Gap:
    """Transfers that a client has no way to make: these columns in these directions."""

    client: str
    reason: str
    columns: tuple[tuple[str, int], ...] = COLUMNS
    directions: tuple[str, ...] = DIRECTIONS


GAPS = (
    Gap("wget", "wget only downloads", directions=("upload",)),
    Gap("wget", "wget sends PASV and PORT on IPv4, no option changes that", (("EPSV", 4), ("EPRT", 4))),
    Gap("lftp", "lftp sends EPRT on IPv6 only, no setting changes that", (("EPRT", 4),)),
    Gap("ncftp", "ncftp knows PASV and PORT only", (("EPSV", 4), ("EPRT", 4))),
    Gap("ncftp", "ncftp 3.2 has no IPv6", (("EPSV", 6), ("EPRT", 6))),
)


def gap_reason(client: str, mode: str, family: int, direction: str) -> str | None:
    """Why the client cannot make this transfer; None if it can."""
    for gap in GAPS:
        if gap.client == client and (mode, family) in gap.columns and direction in gap.directions:
            return gap.reason
    return None

"""Fetches what this lab needs: clients as ordinary packages, servers and tftpy unpacked in `build/peers/`.

The servers' packages would start services of their own, so only their files are taken.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from tests.peers import install as lab
from tests.peers.processes import LabError, run

CLIENT_PACKAGES = ("tftp-hpa", "atftp", "busybox", "curl", "iproute2", "nftables", "procps")
SERVERS = {"tftpd-hpa": "in.tftpd", "atftpd": "atftpd"}
PYTHON = lab.CACHE / "tftp" / "python"
PROGRAMS = ("tftp", "atftp", "busybox", "curl", "ip", "nft", "ss")
AGAIN = "python -m tests.peers.tftp --install"


def install() -> None:
    """Install and unpack everything; may be run again at any time."""
    if os.geteuid():
        raise LabError("packages need root: run this command as root")
    if not shutil.which("apt-get"):
        raise LabError("apt-get not found: --install knows Debian and its relatives only")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(*lab.APT_GET, "update")
    libraries: set[str] = set()
    for package in SERVERS:
        libraries |= lab.unpack(package)
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *CLIENT_PACKAGES, *sorted(libraries))
    shutil.rmtree(PYTHON, ignore_errors=True)
    PYTHON.mkdir(parents=True)
    pip = ("uv", "pip") if importlib.util.find_spec("pip") is None else (sys.executable, "-m", "pip")
    run(*pip, "install", "--quiet", "--target", str(PYTHON), "tftpy", cwd=PYTHON)
    print(f"clients installed, servers and tftpy unpacked in {lab.CACHE.relative_to(lab.CHECKOUT)}")


def server_program(package: str) -> Path:
    """Where the unpacked server is."""
    program = lab.CACHE / package / "usr" / "sbin" / SERVERS[package]
    if not program.is_file():
        raise LabError(f"{package} is not there: {AGAIN}")
    return program


def check() -> None:
    """Fail with one line unless everything was installed."""
    for package in SERVERS:
        server_program(package)
    if not (PYTHON / "tftpy").is_dir():
        raise LabError(f"tftpy is not there: {AGAIN}")
    for program in PROGRAMS:
        if not shutil.which(program):
            raise LabError(f"{program} is not there: {AGAIN}")

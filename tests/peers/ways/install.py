"""Fetches what this lab needs beside the lab's own: other proxies, servers behind them, and the clients of proxies.

What would start a service is unpacked in `build/peers/` and never installed. PySocks and npm's `socks` go to
`build/peers/ways/`, so the interpreter that runs the gateway gets nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.peers import install as lab
from tests.peers.processes import LabError, run

CACHE = lab.CACHE / "ways"
PYTHON = CACHE / "python"
MODULES = CACHE / "node_modules"

PACKAGES = (
    *("dante-client", "dnsmasq-base", "inetutils-ftp", "ncat", "netcat-openbsd", "openssh-client", "proxychains4"),
)
# Only where there is no other Node: npm's own packages exclude Debian's.
NODE_PACKAGES = ("nodejs", "npm")
# The program's name and the package that holds it.
UNPACKED = {
    "danted": "dante-server",
    "haproxy": "haproxy",
    "microsocks": "microsocks",
    "nginx": "nginx",
    "sshd": "openssh-server",
    "tinyproxy": "tinyproxy-bin",
}
PIP_PACKAGES = ("pysocks>=1.7,<2",)
NPM_PACKAGES = ("socks@2",)
AGAIN = "python -m tests.peers.ways --install"


def install() -> None:
    """Install what the lab needs, then the rest; may be run again at any time."""
    lab.install()
    libraries: set[str] = set()
    for package in UNPACKED.values():
        libraries |= lab.unpack(package)
    node = () if shutil.which("npm") else NODE_PACKAGES
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *PACKAGES, *node, *sorted(libraries))
    CACHE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(PYTHON, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--target", str(PYTHON), *PIP_PACKAGES, cwd=CACHE)
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    run("npm", "install", "--prefix", str(CACHE), *quiet, *NPM_PACKAGES, cwd=CACHE)
    print(f"{', '.join(UNPACKED)} unpacked, PySocks and npm's socks in {CACHE.relative_to(lab.CHECKOUT)}")


def program(name: str) -> str:
    """Where the unpacked program is."""
    for folder in ("sbin", "bin"):
        file = lab.CACHE / UNPACKED[name] / "usr" / folder / name
        if file.is_file():
            return str(file)
    raise LabError(f"{name} is not there: {AGAIN}")


def module(folder: Path, name: str) -> Path:
    """A folder in which a client finds its library."""
    if not (folder / name).exists() and not (folder / f"{name}.py").exists():
        raise LabError(f"{name} is not there: {AGAIN}")
    return folder

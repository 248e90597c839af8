"""Fetches what this table needs beside the lab's own: ways through a proxy, a proxy, packet redirection, and what unpacks a newer Debian."""

from __future__ import annotations

import importlib.util
import sys

from tests.peers import install as lab
from tests.peers.processes import run

from .upstream import PACKAGE

PACKAGES = ("proxychains4", "nftables", "mmdebstrap")
# What is imported and what is installed for it.
PYTHON_PACKAGES = {"socks": "pysocks"}


def install() -> None:
    """Install what the lab needs, then the rest; may be run again at any time."""
    lab.install()
    libraries = lab.unpack(PACKAGE)
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *PACKAGES, *sorted(libraries))
    if missing := [package for name, package in PYTHON_PACKAGES.items() if importlib.util.find_spec(name) is None]:
        run(sys.executable, "-m", "pip", "install", "--quiet", *missing)
    print(f"{', '.join(PACKAGES)} and {', '.join(PYTHON_PACKAGES.values())} installed, {PACKAGE} unpacked")

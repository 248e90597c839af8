"""Fetches what the extras need beside the lab's own: a proxy and a reader of transfer logs, unpacked, never installed."""

from __future__ import annotations

from pathlib import Path

from tests.peers import install as lab
from tests.peers.processes import LabError, run

# The program's name and the package that holds it.
PACKAGES = {"haproxy": "haproxy", "webalizer": "webalizer"}


def install() -> None:
    """Install what the lab needs, then unpack the programs; may be run again at any time."""
    lab.install()
    libraries: set[str] = set()
    for package in PACKAGES.values():
        libraries |= lab.unpack(package)
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *sorted(libraries))
    print(f"{' and '.join(PACKAGES)} unpacked")


def program(name: str) -> Path:
    """Where the unpacked program is."""
    for folder in ("sbin", "bin"):
        file = lab.CACHE / PACKAGES[name] / "usr" / folder / name
        if file.is_file():
            return file
    raise LabError(f"{name} is not there: python -m tests.peers.extras --install")

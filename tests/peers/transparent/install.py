"""Fetches what this table needs beside the lab's own: the packet filter, and one more client."""

from __future__ import annotations

from tests.peers import install as lab
from tests.peers.processes import run

PACKAGES = ("nftables", "inetutils-ftp", "dnsmasq-base", "bind9-dnsutils")


def install() -> None:
    """Install what the lab needs, then the rest; may be run again at any time."""
    lab.install()
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *PACKAGES)
    print(f"{', '.join(PACKAGES)} installed")

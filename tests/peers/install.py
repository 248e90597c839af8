"""Fetches what the lab needs: the clients as ordinary packages, the servers unpacked aside.

The server packages exclude each other and would start services of their own, so they are never
installed: their files go to `build/peers/` of the checkout and only their libraries to the system.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from .processes import LabError, run

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / "build" / "peers"

CLIENT_PACKAGES = (
    "curl",
    "lftp",
    "ncftp",
    "tnftp",
    "wget",
    "perl",
    "libio-socket-ssl-perl",
    "openssl",
    "iproute2",
    "procps",
)
# The program's name and the package that holds it.
SERVER_PACKAGES = {"vsftpd": "vsftpd", "proftpd": "proftpd-core", "pure-ftpd": "pure-ftpd"}
# Unpacked like a server, and laid over the one that loads it.
SERVER_MODULES = {"proftpd-mod-crypto": "proftpd-core"}
# What is imported and what is installed for it.
PYTHON_PACKAGES = {"pyftpdlib": "pyftpdlib", "OpenSSL": "pyopenssl"}

# The sandbox user of apt may not write to a checkout, and says so at length for each download.
APT_GET = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "APT::Sandbox::User=root")


def server_program(name: str) -> Path:
    """Where the unpacked program is."""
    program = CACHE / SERVER_PACKAGES[name] / "usr" / "sbin" / name
    if not program.is_file():
        raise LabError(f"{name} is not there: python -m tests.peers --install")
    return program


def server_modules(name: str) -> Path:
    """Where the unpacked program's loadable modules are."""
    return CACHE / SERVER_PACKAGES[name] / "usr" / "lib" / name


def install() -> None:
    """Install clients and libraries, unpack the servers; may be run again at any time."""
    if os.geteuid():
        raise LabError("packages need root: run this command as root")
    if not shutil.which("apt-get"):
        raise LabError("apt-get not found: --install knows Debian and its relatives only")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(*APT_GET, "update")
    libraries: set[str] = set()
    for package in (*SERVER_PACKAGES.values(), *SERVER_MODULES):
        libraries |= unpack(package)
    run(*APT_GET, "install", "--no-install-recommends", "--no-upgrade", *CLIENT_PACKAGES, *sorted(libraries))
    if missing := [package for name, package in PYTHON_PACKAGES.items() if importlib.util.find_spec(name) is None]:
        run(sys.executable, "-m", "pip", "install", "--quiet", *missing)
    print(f"clients installed, servers unpacked in {CACHE.relative_to(CHECKOUT)}")


def unpack(package: str) -> set[str]:
    """Download a package and lay its files out in the cache; return the libraries it needs."""
    folder = CACHE / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(*APT_GET, "download", package, cwd=folder)
    archives = list(folder.glob("*.deb"))
    if len(archives) != 1:
        raise LabError(f"{len(archives)} archives of {package} in {folder}: remove the folder and try again")
    run("dpkg-deb", "--extract", str(archives[0]), str(folder))
    if package in SERVER_MODULES:
        shutil.copytree(folder / "usr", CACHE / SERVER_MODULES[package] / "usr", dirs_exist_ok=True)
    depends = run("dpkg-deb", "--field", str(archives[0]), "Depends")
    names = {choice.split("|")[0].split("(")[0].strip() for choice in depends.split(",")}
    return {name for name in names if name.startswith(("lib", "zlib"))}

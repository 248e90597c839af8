"""Compiles the load generators, and installs the programs to compare with, when asked to."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.bench.namespaces import BenchError, run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "bench"
PROFTPD = BUILD / "proftpd" / "usr" / "sbin" / "proftpd"
NGINX = BUILD / "nginx" / "usr" / "sbin" / "nginx"
DANTE = BUILD / "dante" / "usr" / "sbin" / "danted"
MICROSOCKS = BUILD / "microsocks" / "usr" / "bin" / "microsocks"
NGINX_MODULES = BUILD / "nginx" / "usr" / "lib" / "nginx" / "modules"

PACKAGES = (
    *("gcc", "libc6-dev", "libssl-dev", "openssl", "iproute2", "procps", "nftables", "haproxy", "ftp-proxy", "socat"),
)
# Unpacked beside the system and not installed: ProFTPD's package conflicts with vsftpd's, and nginx's and Dante's would
# start servers.
UNPACKED = {
    "proftpd": ("proftpd-core", "proftpd-mod-crypto", "proftpd-mod-proxy"),
    "nginx": ("nginx", "libnginx-mod-stream"),
    "dante": ("dante-server",),
    "microsocks": ("microsocks",),
}
LIBRARIES = {
    **dict.fromkeys(("ftpsd", "ftpsload"), ("-lssl", "-lcrypto", "-pthread")),
    **dict.fromkeys(("wsd", "wssocket", "wsmessages", "wsbulk", "wsidle"), ("-lcrypto",)),
}
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=600", "-q", "-y")


def tool(name: str) -> str:
    return str(BUILD / name)


def build() -> None:
    """Compile what is older than its source."""
    BUILD.mkdir(parents=True, exist_ok=True)
    headers = max(header.stat().st_mtime for header in (HERE / "load").glob("*.h"))
    for source in sorted((HERE / "load").glob("*.c")):
        target = BUILD / source.stem
        if not target.exists() or target.stat().st_mtime < max(source.stat().st_mtime, headers):
            _compile(source, target)


def _compile(source: Path, target: Path) -> None:
    libraries = LIBRARIES.get(source.stem, ())
    try:
        run("gcc", "-O2", "-Wall", "-Wextra", "-o", str(target), str(source), *libraries)
    except BenchError as why:
        raise BenchError(f"{why}: run again with --install") from None


def install() -> None:
    """Install the other gateways from the distribution's packages (Debian and its kin)."""
    if shutil.which("apt-get") is None:
        others = "nginx, Dante, microsocks and ProFTPD with mod_proxy"
        raise BenchError(f"--install needs apt-get: install {', '.join(PACKAGES)}, {others} yourself")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _apt("update", environment=environment)
    _apt("install", "--no-install-recommends", *PACKAGES, environment=environment)
    for name, packages in UNPACKED.items():
        _unpack(name, packages, environment)


def _unpack(name: str, packages: tuple[str, ...], environment: dict[str, str]) -> None:
    """Unpack a program's packages below `build/bench/`, and install the libraries that they need."""
    folder = BUILD / "packages" / name
    shutil.rmtree(folder, ignore_errors=True)  # an older version's packages would be unpacked over the new ones
    folder.mkdir(parents=True)
    # apt's own user cannot write here; it says so and downloads as root.
    _apt("download", *packages, environment=environment, cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(BUILD / name))
        needs = run("dpkg-deb", "-f", str(package), "Depends").strip()
        others = [need for need in re.split(r",\s*", needs) if not need.startswith(name)]
        _apt("satisfy", "--no-install-recommends", ", ".join(others), environment=environment)


def _apt(*arguments: str, environment: dict[str, str], cwd: Path | None = None) -> None:
    done = subprocess.run([*APT, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr.strip() or "no reason given").splitlines()
        raise BenchError(f"apt-get {arguments[0]} failed: {words[-1]}")


def versions() -> dict[str, str]:
    """What is compared, for the record."""
    asked = {
        "haproxy": ("haproxy", "-v"),
        "nftables": ("nft", "--version"),
        "ftp-proxy": ("dpkg-query", "-W", "-f", "${Version}", "ftp-proxy"),
        "proftpd": (str(PROFTPD), "--version"),
        "nginx": ("sh", "-c", f"{NGINX} -v 2>&1"),
        "dante": (str(DANTE), "-v"),
        "microsocks": ("dpkg-deb", "-f", *map(str, (BUILD / "packages" / "microsocks").glob("*.deb")), "Version"),
        "socat": ("dpkg-query", "-W", "-f", "${Version}", "socat"),
        "openssl": ("openssl", "version"),
    }
    found = {}
    for name, argv in asked.items():
        try:
            found[name] = run(*argv).splitlines()[0].strip()
        except (BenchError, IndexError):
            found[name] = "not found"
    return found

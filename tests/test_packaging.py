"""The wheel holds exactly our packages, typed, with their entry points; and no package called `plugins` or `tests`."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import alg

ROOT = Path(__file__).parents[1]
PACKAGES = {"alg": ROOT / "alg"} | {
    path.name: path for path in (ROOT / "plugins").iterdir() if path.name.startswith("alg_")
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this tree with what is installed."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_exactly_our_packages(wheel: zipfile.ZipFile) -> None:
    """Every module of the tree, and nothing else."""
    expected = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".pyo")
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected


def test_every_package_is_typed(wheel: zipfile.ZipFile) -> None:
    """`py.typed` stands in each."""
    assert {f"{name}/py.typed" for name in PACKAGES} <= set(wheel.namelist())


def read(wheel: zipfile.ZipFile, name: str) -> str:
    """A file of the wheel's metadata."""
    return wheel.read(f"alg_gateway-{alg.__version__}.dist-info/{name}").decode("utf-8")


def test_every_plugin_has_an_entry_point(wheel: zipfile.ZipFile) -> None:
    """Under the names of its schemes, in the group `alg.plugins`; and the command is `alg`."""
    entries = configparser.ConfigParser()
    entries.read_string(read(wheel, "entry_points.txt"))
    wrappers = {f"alg-{tool}": f"alg.mitm.wrappers:{tool}" for tool in ("mitmdump", "mitmproxy", "mitmweb")}
    assert dict(entries["console_scripts"]) == {"alg": "alg.cli:main", **wrappers}
    found = {name: target.partition(":")[0] for name, target in entries["alg.plugins"].items()}
    further = {"ftps": "alg_ftp", "tls": "alg_tcp", "https": "alg_http", "ws": "alg_http", "wss": "alg_http"}
    assert found == {name.removeprefix("alg_"): name for name in PACKAGES if name != "alg"} | further


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    """Version, Python, licence; the hosts that not everybody has are extras."""
    metadata = read(wheel, "METADATA")
    assert f"\nVersion: {alg.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    plain = [line for line in metadata.split("\n") if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert sorted(line.split()[1].split("<")[0].split(">")[0] for line in plain) == [
        *("click", "h11", "pydantic", "websockets")
    ]

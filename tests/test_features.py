"""The table of features of the FTP plugin: each that we claim names what proves it, and that exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "plugins" / "alg_ftp" / "README.md").read_text("utf-8").partition("## Beside others")[2]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")][
    2:
]


def exists(proof: str) -> bool:
    """Whether there is such a conversation, test, or command of the lab."""
    name = proof.split()[0]
    if name.endswith(".txt"):
        return (ROOT / "fixtures" / "ftp" / name).is_file()
    if name.endswith(".py"):
        return (ROOT / name).is_file()
    return importlib.util.find_spec(name) is not None


def test_what_is_claimed_is_proved() -> None:
    """A row with our `Y` has a proof, and every proof is there."""
    assert len(ROWS) > 20
    for feature, ours, *_, proof in ROWS:
        named = re.findall(r"`([^`]+)`", proof)
        assert [each for each in named if not exists(each)] == [], feature
        assert named or ours == "N", feature

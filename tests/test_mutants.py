"""The table of mutants fits the code. Whether the tests notice each, `python -m tests.mutants` finds out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutants.__main__ import EVERY, ROOT, apply
from tests.mutants.table import Mutant

# Rows of the threat table, S1 and S2, that concern FTP; and those of the other tables that relays of any kind owe.
ROWS = {
    *("T24", "T25", "T26", "T27", "T49", "T65", "T74", "T77", "T79", "T87", "T88"),
    *("T15", "T17", "T56", "T73", "T80", "T81", "T82", "T83", "T85", "T86"),
    *("T22", "T23", "T67", "T68", "T69", "T108", "F05"),
    *("F01", "F02", "F03", "F07", "F08", "F11", "F13", "F14", "F20"),
    *("T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08", "T09", "T14", "T16", "T18", "T19", "T20", "T21"),
    *("T28", "T29", "T30", "T31", "T57", "T58", "T59", "T60", "T61", "T62", "T63", "T64", "T70", "T71", "T72"),
}


@pytest.mark.parametrize("mutant", EVERY, ids=[f"{each.row}-{each.name}" for each in EVERY])
def test_a_mutant_can_be_made(mutant: Mutant, tmp_path: Path) -> None:
    """Its text stands in the code exactly once, and what comes of it can be compiled; the tests that it names exist."""
    (tmp_path / mutant.path).parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.path, tmp_path / mutant.path)
    apply(mutant, tmp_path)
    for test in mutant.tests:
        assert test.startswith("-") or not test.startswith("tests/") or (ROOT / test.partition("::")[0]).is_file()


def test_every_row_has_a_mutant() -> None:
    """A green test of an attack proves nothing until it has been red once."""
    assert {each.row for each in EVERY} >= ROWS


def test_names_are_unique() -> None:
    """A mutant is picked by its name."""
    assert len({each.name for each in EVERY}) == len(EVERY)

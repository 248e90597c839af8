"""Runs the mutants, two at a time, each in a copy of the tree: `python -m tests.mutants [--no-baseline] [WORD …]`.

First the tests of all of them must pass without any fault, unless that is known (`--no-baseline`, behind `make test`).
Then those of each must fail with its fault. Words pick mutants by row, or by how their names begin. The exit status is 0 if every one was
noticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.codecs import CODEC_MUTANTS
from tests.mutants.conformance import CONFORMANCE_MUTANTS
from tests.mutants.core import CORE_MUTANTS
from tests.mutants.ftps import FTPS_MUTANTS
from tests.mutants.http import HTTP_MUTANTS
from tests.mutants.mitm import MITM_MUTANTS
from tests.mutants.relay import RELAY_MUTANTS
from tests.mutants.table import MUTANTS, Mutant
from tests.mutants.tls import TLS_MUTANTS
from tests.mutants.unread import UNREAD_MUTANTS

EVERY = (
    *(*MUTANTS, *CORE_MUTANTS, *RELAY_MUTANTS, *TLS_MUTANTS, *FTPS_MUTANTS, *CODEC_MUTANTS, *CONFORMANCE_MUTANTS),
    *(*HTTP_MUTANTS, *MITM_MUTANTS, *UNREAD_MUTANTS),
)

ROOT = Path(__file__).parents[2]
PARTS = ("alg", "plugins", "tests", "fixtures", "pyproject.toml", "README.md")
TIMEOUT = 300.0
"""Seconds for one run of pytest."""

NO_BASELINE = "--no-baseline"

PASSED, FAILED = 0, 1
"""pytest's exit status: all passed, some failed. Others mean that nothing was tested."""


def copy_tree(to: Path) -> None:
    """Copy what the tests need."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / part)


def apply(mutant: Mutant, root: Path) -> None:
    """Put the fault into a tree.

    Raises:
        ValueError: the text to replace does not stand exactly once, or nothing that can be compiled comes of it.
    """
    path = root / mutant.path
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.path}")
    text = text.replace(mutant.old, mutant.new)
    compile(text, mutant.path, "exec")
    path.write_text(text, "utf-8")


def pytest(root: Path, arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run tests of that tree; return the exit status and the last line."""
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}", "PYTHONDONTWRITEBYTECODE": "1"}
    options = ("-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--no-header", "--tb=no")
    done = subprocess.run(  # noqa: PLW1510 - the status is what we want
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return done.returncode, lines[-1] if lines else "no output"


def survives(mutant: Mutant | None, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run tests in a fresh copy, with a fault or without."""
    with tempfile.TemporaryDirectory(prefix="alg-mutant-") as folder:
        root = Path(folder)
        copy_tree(root)
        if mutant:
            apply(mutant, root)
        return pytest(root, tests)


def check(mutant: Mutant) -> str:
    """What is wrong with a mutant, or nothing."""
    try:
        status, words = survives(mutant, mutant.tests)
    except (ValueError, SyntaxError, subprocess.TimeoutExpired) as error:
        return str(error)
    if status == FAILED:
        return ""
    return "it was not noticed" if status == PASSED else f"nothing was tested: {words}"


def main(words: list[str]) -> int:
    """Check the mutants that the words pick."""
    known, words = NO_BASELINE in words, [word for word in words if word != NO_BASELINE]
    chosen = [
        each for each in EVERY if not words or any(word == each.row or each.name.startswith(word) for word in words)
    ]
    with ThreadPoolExecutor(max_workers=2) as pool:
        baseline = {each.tests: pool.submit(survives, None, each.tests) for each in chosen if not known}
        results = [(each, pool.submit(check, each)) for each in chosen]
        sound = {tests: future.result() for tests, future in baseline.items()}
        failed = 0
        for mutant, future in results:
            status, last = sound.get(mutant.tests, (PASSED, ""))
            problem = future.result() if status == PASSED else f"its tests do not pass without it: {last}"
            failed += bool(problem)
            if problem:
                print(f"{mutant.row}: {mutant.name}: {problem}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

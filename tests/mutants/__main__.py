"""Runs the mutants, four at a time, in copies of the tree: `python -m tests.mutants [--no-baseline] [WORD …]`.

First the tests of all of them must pass without any fault, unless that is known (`--no-baseline`, behind `make test`).
Then those of each must fail with its fault. Words pick mutants by row, or by how their names begin. The exit status is 0
if every one was noticed.
"""

from __future__ import annotations

import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from pathlib import Path

from tests.mutants.abuse import ABUSE_MUTANTS
from tests.mutants.boundary import BOUNDARY_MUTANTS
from tests.mutants.child import CHILDREN, in_child
from tests.mutants.codecs import CODEC_MUTANTS
from tests.mutants.conformance import CONFORMANCE_MUTANTS
from tests.mutants.core import CORE_MUTANTS
from tests.mutants.doors import DOOR_MUTANTS
from tests.mutants.ftp import FTP_MUTANTS
from tests.mutants.ftps import FTPS_MUTANTS
from tests.mutants.http import HTTP_MUTANTS
from tests.mutants.http_mapping import HTTP_MAPPING_MUTANTS
from tests.mutants.interception import INTERCEPTION_MUTANTS
from tests.mutants.mitm import MITM_MUTANTS
from tests.mutants.nft import NFT_MUTANTS
from tests.mutants.relay import RELAY_MUTANTS
from tests.mutants.shared import SHARED_MUTANTS
from tests.mutants.table import Mutant
from tests.mutants.tls import TLS_MUTANTS
from tests.mutants.udp import UDP_MUTANTS
from tests.mutants.unread import UNREAD_MUTANTS
from tests.mutants.ways import WAYS_MUTANTS
from tests.mutants.websocket import WEBSOCKET_MUTANTS

EVERY = (
    *(
        *BOUNDARY_MUTANTS,
        *FTP_MUTANTS,
        *CORE_MUTANTS,
        *RELAY_MUTANTS,
        *TLS_MUTANTS,
        *FTPS_MUTANTS,
        *CODEC_MUTANTS,
        *CONFORMANCE_MUTANTS,
    ),
    *(*HTTP_MUTANTS, *HTTP_MAPPING_MUTANTS, *WEBSOCKET_MUTANTS, *MITM_MUTANTS, *UNREAD_MUTANTS, *SHARED_MUTANTS),
    *DOOR_MUTANTS,
    *WAYS_MUTANTS,
    *NFT_MUTANTS,
    *INTERCEPTION_MUTANTS,
    *ABUSE_MUTANTS,
    *UDP_MUTANTS,
)

ROOT = Path(__file__).parents[2]
PARTS = ("alg", "plugins", "tests", "fixtures", "pyproject.toml", "README.md")
AT_A_TIME = 4  # many of their tests wait more than they work
TIMEOUT = 300.0
"""Seconds for one run of pytest."""

ONE_LOOKS = threading.Lock()
"""Each start of a child looks after all others too, and of two threads that look after the same one the second is told 255
whatever its status was."""

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
    with tempfile.TemporaryFile() as output:
        child = CHILDREN.Process(target=in_child, args=(root, arguments, DupFd(output.fileno())))
        with ONE_LOOKS:
            child.start()
        ended = wait([child.sentinel], TIMEOUT)
        with ONE_LOOKS:
            if not ended:
                child.kill()
            child.join()
        if not ended:
            raise TimeoutError(f"its tests took more than {TIMEOUT:g} s")
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return child.exitcode or 0, lines[-1] if lines else "no output"


class Trees:
    """Copies of the tree, one for each that runs at a time; what was compiled of one is used again."""

    def __init__(self, folder: Path) -> None:
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(AT_A_TIME):
            copy_tree(folder / str(number))
            self._free.put(folder / str(number))

    def survives(self, mutant: Mutant | None, tests: tuple[str, ...]) -> tuple[int, str]:
        """Run tests in a copy, with a fault or without."""
        root = self._free.get()
        try:
            if mutant is None:
                return pytest(root, tests)
            with self._faulty(mutant, root):
                return pytest(root, tests)
        finally:
            self._free.put(root)

    @contextmanager
    def _faulty(self, mutant: Mutant, root: Path) -> Iterator[None]:
        """Put a fault into a tree, and take it out again. What was compiled is told from the source by its time and size,
        which is not enough here."""
        path = root / mutant.path
        sound = path.read_bytes()
        try:
            apply(mutant, root)
            forget(path)
            yield
        finally:
            path.write_bytes(sound)
            forget(path)

    def check(self, mutant: Mutant) -> str:
        """What is wrong with a mutant, or nothing."""
        try:
            status, words = self.survives(mutant, mutant.tests)
        except (ValueError, SyntaxError, TimeoutError) as error:
            return str(error)
        if status == FAILED:
            return ""
        return "it was not noticed" if status == PASSED else f"nothing was tested: {words}"


def forget(path: Path) -> None:
    """Drop what was compiled of a file."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()


def main(words: list[str]) -> int:
    """Check the mutants that the words pick."""
    known, words = NO_BASELINE in words, [word for word in words if word != NO_BASELINE]
    chosen = [
        each for each in EVERY if not words or any(word == each.row or each.name.startswith(word) for word in words)
    ]
    with (
        tempfile.TemporaryDirectory(prefix="alg-mutants-") as folder,
        ThreadPoolExecutor(max_workers=AT_A_TIME) as pool,
    ):
        trees = Trees(Path(folder))
        baseline = {each.tests: pool.submit(trees.survives, None, each.tests) for each in chosen if not known}
        results = [(each, pool.submit(trees.check, each)) for each in chosen]
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

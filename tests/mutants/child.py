"""How the tests of a mutant are run: in a process that has loaded what does not change (pytest, Hypothesis, mitmproxy), and
nothing of ours. To load that anew for each would take longer than most of the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Protocol

OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--no-header", "--tb=no")
PRELOADED = (
    "pytest",
    "hypothesis.strategies",
    "hypothesis.core",
    "pydantic",
    "uvloop",
    "mitmproxy.addons.core",
    "mitmproxy.options",
)


class _Descriptor(Protocol):
    """One of another process."""

    def detach(self) -> int:
        """Give it to this one."""


def _forkserver() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


CHILDREN = _forkserver()


def in_child(root: Path, arguments: tuple[str, ...], output: _Descriptor) -> None:
    """Run tests of the tree at `root`, say the outcome to a file, and exit with pytest's status."""
    descriptor = output.detach()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "alg") or name.startswith("alg_")]:
        del sys.modules[name]  # those of the tree that the mutants come from
    os.chdir(root)
    paths = [str(root), str(root / "plugins")]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    import pytest

    # The libraries that are loaded already cannot have their assertions rewritten, which pytest warns of.
    status = pytest.main([*OPTIONS, "-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments])
    sys.stdout.flush()
    os._exit(int(status))

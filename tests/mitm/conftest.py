"""What holds for tests of the mitmproxy host: they run on asyncio's own loop, as mitmproxy does, and leave nothing."""

from __future__ import annotations

import pytest

from tests.conftest import Run

__all__ = ["Run"]


@pytest.fixture(params=["asyncio"])
def run(run: Run) -> Run:
    """The fixture of all tests with sockets, without uvloop."""
    return run

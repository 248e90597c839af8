"""The browser: headless Chromium in the client's namespace, whose certificate store holds the lab's authority.

Each server's own page is opened first, through the gateway, so what the page does then has that server's origin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.peers.namespaces import Namespace
from tests.peers.processes import LabError, run
from tests.pictures.browser import Browser, BrowserError

from .servers import HERE


def trust(home: Path, authority: Path) -> None:
    """Make a home folder whose certificate store trusts an authority."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    run("certutil", "-N", "-d", database, "--empty-password")
    run("certutil", "-A", "-d", database, "-n", "lab", "-t", "C,,", "-i", str(authority))


class Page:
    """A page of the browser that plays rows."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._at = ""

    def play(self, row: str, base: str, settings: Mapping[str, Any]) -> str:
        """Play a row; give back its outcome."""
        try:
            if self._at != base:
                self._browser.open(f"http{base.removeprefix('ws')}/page")
                self._browser.wait_until("document.title === 'lab' && document.readyState === 'complete'")
                self._browser.evaluate((HERE / "rows.js").read_text())
                self._at = base
            outcome = self._browser.evaluate(f"play({json.dumps(row)}, {json.dumps(base)}, {json.dumps(settings)})")
        except BrowserError as error:
            self._at = ""
            return f"{error}"
        return str(outcome)


@contextmanager
def opened(namespace: Namespace, home: Path) -> Iterator[Page]:
    """Run a browser in a namespace."""
    prefix = namespace.command("env", f"HOME={home}")
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(Browser(prefix, home / "profile", 800, 600))
        except BrowserError as error:
            raise LabError(f"{error}") from error
        yield Page(browser)

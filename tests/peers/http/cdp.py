"""Chromium's debugging interface: `/json/version` and its kin name a WebSocket, which clients open then.

Chromium listens at its loopback address alone, whatever it is told, so a forward stands before it, as people do it. It
takes the address that it names from the request's Host header, and refuses a Host that is a name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.peers.extras.stage import Daemon
from tests.peers.namespaces import SERVER

from .gateway import Discovery
from .pictures import PAGE, TITLE, check_picture
from .stage import Bench, Row, Scene, Stage, node_client, python_client

PORT = 9222
PAGE_PORT = 8000
PAGE_URL = f"http://{SERVER[4]}:{PAGE_PORT}/"
LOOPBACK = "127.0.0.1"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    "--force-color-profile=srgb",
)
ECHO = "Chromium names the address of the Host header, which is the relay's"
NAMED = "Chromium refuses a Host header that is a name"


def page(bench: Bench) -> Daemon:
    """A page for browsers to show, on the server's side."""
    folder = bench.scratch / "page"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(PAGE)
    command = [sys.executable, "-m", "http.server", str(PAGE_PORT), "--bind", SERVER[4], "--directory", str(folder)]
    return Daemon("page", command, ((SERVER[4], PAGE_PORT),))


def servers(bench: Bench) -> list[Daemon]:
    """The page, the browser and the forward to it."""
    profile = f"--user-data-dir={bench.scratch}/profile"
    home = ("env", f"HOME={bench.scratch}")
    browser = [*home, "chromium", *FLAGS, f"--remote-debugging-port={PORT}", profile, "about:blank"]
    forward = ["socat", f"TCP-LISTEN:{PORT},bind={SERVER[4]},reuseaddr,fork,nodelay", f"TCP:{LOOPBACK}:{PORT}"]
    return [
        page(bench),
        Daemon("chromium", browser, ((LOOPBACK, PORT),)),
        Daemon("socat", forward, ((SERVER[4], PORT),)),
    ]


def pictured(stage: Stage) -> str:
    """Look at the client's picture."""
    return check_picture(stage.picture)


def rows(tls: bool) -> dict[str, Row]:
    """The clients."""
    echo = "" if tls else ECHO

    def taker(script: str, by_name: bool = False) -> Row:
        def command(stage: Stage) -> list[str]:
            return node_client(script, stage.named_url if by_name else stage.url, PAGE_URL, str(stage.picture))

        return Row(command, (TITLE,), pictured, plain="" if by_name else echo, direct=NAMED if by_name else "")

    def raw(start: str) -> Row:
        return Row(lambda stage: python_client("cdp_websockets.py", start, stage.url, PAGE_URL), (), plain=echo)

    found = {
        "playwright": taker("playwright_cdp.cjs"),
        "puppeteer": taker("puppeteer_cdp.cjs"),
        "websockets version": raw("version"),
        "websockets list": raw("list"),
        "websockets new": raw("new"),
    }
    if not tls:
        # A certificate for this name would be the operator's to configure, and no matter of the plugin's.
        found["playwright by name"] = taker("playwright_cdp.cjs", by_name=True)
        found["puppeteer by name"] = taker("puppeteer_cdp.cjs", by_name=True)
    return found


def scenes() -> Iterator[Scene]:
    """In the clear, and with TLS toward the client: then `ws://` must become `wss://`."""
    yield Scene("cdp", Discovery("cdp", PORT), servers, rows(tls=False))
    yield Scene("cdp tls", Discovery("cdp", PORT, tls=True), servers, rows(tls=True))

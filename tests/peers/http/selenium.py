"""WebDriver: the answer to a new session names WebSockets, for BiDi (`webSocketUrl`) and for the browser (`se:cdp`).

Selenium Grid names its own address, and writes `/` as `\\u002f`. Selenium's newest clients tell it their URL for it, in
the capability `se:remoteUrl`, and then it names that; older ones and Playwright do not. chromedriver names the address of
the Host header, and refuses names.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.extras.stage import Daemon
from tests.peers.namespaces import SERVER

from .cdp import PAGE_URL, page, pictured
from .gateway import Discovery
from .install import grid_archive
from .pictures import TITLE
from .stage import Bench, Row, Scene, Stage, node_client, python_client

GRID_PORT, DRIVER_PORT = 4444, 9515
OLDER = "selenium4.45"
TOLD = "this client tells Grid its URL, in se:remoteUrl"
ECHO = "chromedriver names the address of the Host header, which is the relay's"


def grid(bench: Bench) -> list[Daemon]:
    """The page, and Selenium Grid with chromedriver."""
    program = ["java", "-XX:TieredStopAtLevel=1", "-jar", str(grid_archive()), "standalone"]
    options = [
        "--host",
        SERVER[4],
        "--port",
        str(GRID_PORT),
        "--selenium-manager",
        "false",
        "--detect-drivers",
        "false",
    ]
    driver = [
        "display-name=chrome",
        "webdriver-executable=/usr/bin/chromedriver",
        'stereotype={"browserName":"chrome"}',
    ]
    whole = ["env", f"HOME={bench.scratch}", *program, *options, "--driver-configuration", *driver]
    return [page(bench), Daemon("grid", whole, ((SERVER[4], GRID_PORT),))]


def chromedriver(bench: Bench) -> list[Daemon]:
    """The page, and chromedriver alone."""
    options = [f"--port={DRIVER_PORT}", "--allowed-ips=", "--allowed-origins=*"]
    whole = ["env", f"HOME={bench.scratch}", "chromedriver", *options]
    return [page(bench), Daemon("chromedriver", whole, ((SERVER[4], DRIVER_PORT),))]


def python(thing: str, plain: str = "", bare: str = "", over: str = "") -> Row:
    """Selenium's client for Python."""

    def command(stage: Stage) -> list[str]:
        return python_client("selenium_client.py", thing, stage.url, PAGE_URL, str(stage.picture), over=over)

    return Row(command, (TITLE,), pictured, plain=plain, bare=bare)


def playwright(stage: Stage) -> list[str]:
    """Playwright gets its browser from a Grid, and follows `se:cdp`."""
    return node_client("playwright_grid.cjs", stage.url, PAGE_URL, str(stage.picture))


def scenes() -> Iterator[Scene]:
    """In the clear, and with TLS toward the client."""
    for tls in (False, True):
        suffix, echo = (" tls", "") if tls else ("", ECHO)
        through_grid = {
            "selenium bidi": python("bidi", TOLD, TOLD),
            "selenium se:cdp": python("cdp", TOLD, TOLD),
            "selenium 4.45 bidi": python("bidi", over=OLDER),
            "selenium 4.45 se:cdp": python("cdp", over=OLDER),
            "playwright se:cdp": Row(playwright, (TITLE,), pictured),
        }
        yield Scene(f"grid{suffix}", Discovery("selenium-bidi", GRID_PORT, tls=tls), grid, through_grid)
        alone = {"selenium bidi": python("bidi", echo)}
        yield Scene(f"chromedriver{suffix}", Discovery("selenium-bidi", DRIVER_PORT, tls=tls), chromedriver, alone)

"""Selenium: a session of a remote browser, with BiDi or with the browser's own debugging interface besides."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
import time
from typing import Any

from selenium import webdriver
from websockets.asyncio.client import connect

SECONDS = 10
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb"),
)


def by_bidi(driver: Any) -> None:
    """What the page writes to its console comes over the WebSocket `webSocketUrl`."""
    heard: list[str] = []
    driver.script.add_console_message_handler(lambda entry: heard.append(str(entry.text)))
    driver.execute_script("console.log('heard by BiDi')")
    deadline = time.monotonic() + SECONDS
    while not heard and time.monotonic() < deadline:
        time.sleep(0.05)
    print(f"seen: {driver.capabilities['webSocketUrl']} says {heard[0]!r}")


def by_cdp(driver: Any) -> None:
    """The browser's version comes over the WebSocket `se:cdp`."""
    url = driver.capabilities["se:cdp"]
    print(f"seen: {url} says {asyncio.run(product(url))}")


async def product(url: str) -> str:
    """Ask the browser what it is."""
    async with asyncio.timeout(SECONDS), connect(url) as socket:
        await socket.send(json.dumps({"id": 1, "method": "Browser.getVersion"}))
        return str(json.loads(await socket.recv())["result"]["product"])


def main() -> int:
    """Show the page, take its picture, and do what the first argument says."""
    thing, address, page, file = sys.argv[1:]
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("webSocketUrl", True)
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Remote(address, options=options)
    try:
        print(f"seen: Selenium {importlib.metadata.version('selenium')}")
        driver.get(page)
        if thing == "bidi":
            by_bidi(driver)
        else:
            by_cdp(driver)
        metrics = {"width": 800, "height": 600, "deviceScaleFactor": 1, "mobile": False}
        driver.execute("executeCdpCommand", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
        driver.save_screenshot(file)
        print(f"seen: title {driver.title!r}")
    finally:
        # The server ends the WebSocket then; `quit` would close it first, and wait ten seconds for an answer.
        driver.execute("quit")
    return 0


if __name__ == "__main__":
    sys.exit(main())

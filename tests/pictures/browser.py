"""A headless Chromium that is told what to do over its debugging pipe, so it needs no driver and no port.

Messages of the DevTools protocol are JSON with a zero byte behind each: Chromium reads them at its descriptor 3
and answers at 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)
PATIENCE = 20.0


class BrowserError(Exception):
    """The browser did not do what it was told; one line with the cause."""


class Browser:
    """One page of one browser, ended with the block that began it."""

    def __init__(self, prefix: Sequence[str], profile: Path, width: int, height: int) -> None:
        """`prefix` stands before the command, to run it in a namespace."""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank")
        # bash, because dash knows descriptors of one digit only.
        plumbing = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            [*prefix, "bash", "-c", plumbing, "bash", "chromium", *flags],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._size = {"width": width, "height": height}
        self._buffer = b""
        self._number = 0
        self._session = ""

    def __enter__(self) -> Self:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Emulation.setDeviceMetricsOverride", **self._size, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, address: str) -> None:
        """Go to a page."""
        answer = self._call("Page.navigate", url=address)
        if problem := answer.get("errorText"):
            raise BrowserError(f"{address}: {problem}")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if problem := answer.get("exceptionDetails"):
            raise BrowserError(f"{script}: {problem['exception'].get('description', problem['text'])}")
        return answer["result"].get("value")

    def wait_until(self, script: str) -> None:
        """Return once an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(script):
            if time.monotonic() > deadline:
                raise BrowserError(f"not within {PATIENCE:.0f} s: {script}")
            time.sleep(0.1)

    def drag(self, element: str, right: int) -> None:
        """Take an element (a CSS selector) with the mouse and move it to the right by so many pixels."""
        box = self.evaluate(f"document.querySelector({element!r}).getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, place in (("mousePressed", x), ("mouseMoved", x + right), ("mouseReleased", x + right)):
            self._call("Input.dispatchMouseEvent", type=kind, x=place, y=y, button="left", buttons=1, clickCount=1)

    def picture(self) -> bytes:
        """What the page looks like now, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give one command and wait for its answer; what the browser says meanwhile is not looked at."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer: dict[str, Any] = json.loads(self._next())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _next(self) -> bytes:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                raise BrowserError(f"chromium was silent for {PATIENCE:.0f} s")
            got = os.read(self._in, 1 << 16)
            if not got:
                raise BrowserError("chromium has ended, or is not there: apt-get install chromium")
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message

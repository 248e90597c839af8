"""A client of the debugging interface without a library for it: fetches JSON, opens the WebSocket named there, asks.

`version` asks the browser its version, `list` a page that is open its address, `new` one that it has opened. The library's
other client, with a thread that reads, now and then fails with TLS: Python's sockets do not allow that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

from websockets.asyncio.client import connect

SECONDS = 10


def fetch(url: str, method: str = "GET") -> Any:
    """The answer to a request, which is JSON."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=SECONDS) as answer:
        return json.load(answer)


async def call(url: str, command: str, **parameters: object) -> Any:
    """Give one command over a WebSocket, and wait for its answer."""
    async with asyncio.timeout(SECONDS), connect(url) as socket:
        await socket.send(json.dumps({"id": 1, "method": command, "params": parameters}))
        async for message in socket:
            answer = json.loads(message)
            if answer.get("id") == 1:
                return answer["result"]
    return None


def main() -> int:
    """Do what the first argument says."""
    start, address, page = sys.argv[1:]
    target: dict[str, str]
    if start == "version":
        target = fetch(f"{address}/json/version")
    elif start == "new":
        target = fetch(f"{address}/json/new?{page}", "PUT")
    else:
        target = next(target for target in fetch(f"{address}/json/list") if target["type"] == "page")
    url = target["webSocketDebuggerUrl"]
    if start == "version":
        said = asyncio.run(call(url, "Browser.getVersion"))["product"]
    else:
        said = asyncio.run(call(url, "Runtime.evaluate", expression="location.href"))["result"]["value"]
    print(f"seen: {url.rpartition('/')[0]}/… says {said}")
    if start == "new":
        with urllib.request.urlopen(f"{address}/json/close/{target['id']}", timeout=SECONDS) as closed:
            print(f"seen: {closed.read().decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A client of the debugging interface without a library for it: fetches JSON, opens the WebSocket named there, asks.

`version` asks the browser its version, `list` a page that is open its title, `new` one that it has opened.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from websockets.sync.client import ClientConnection, connect

SECONDS = 10


def fetch(url: str, method: str = "GET") -> Any:
    """The answer to a request, which is JSON."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=SECONDS) as answer:
        return json.load(answer)


def call(socket: ClientConnection, command: str, **parameters: object) -> Any:
    """Give one command and wait for its answer."""
    socket.send(json.dumps({"id": 1, "method": command, "params": parameters}))
    while True:
        answer = json.loads(socket.recv(timeout=SECONDS))
        if answer.get("id") == 1:
            return answer["result"]


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
    with connect(url, open_timeout=SECONDS) as socket:
        if start == "version":
            answer = call(socket, "Browser.getVersion")["product"]
        else:
            answer = call(socket, "Runtime.evaluate", expression="location.href")["result"]["value"]
    print(f"seen: {url.rpartition('/')[0]}/… says {answer}")
    if start == "new":
        fetch_text = urllib.request.urlopen(f"{address}/json/close/{target['id']}", timeout=SECONDS).read()
        print(f"seen: {fetch_text.decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

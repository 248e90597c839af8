"""The clients: which rows each plays, and how. Each gives back an outcome: "" where all was well."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.install import CHECKOUT
from tests.peers.namespaces import Namespace
from tests.peers.processes import run_limited

from .chromium import Page
from .install import PYTHON, websocat
from .servers import node

SECONDS = 60.0
# The row, and what the server's output must show of it.
ROWS = {
    "text": r"^closed 1000 *$",
    "binary": r"^closed 1000 *$",
    "16 MiB": r"^closed 1000 *$",
    "compressed": r"^closed 1000 *$",
    "uncompressed": r"^closed 1000 *$",
    "subprotocol agreed": r"^closed 1000 *$",
    "subprotocol refused": "",
    "server pings": r"^closed 1000 *$",
    "close 1000": r"^closed 1000 *$",
    "close 3000": r"^closed 3000 three$",
    "close 4999": r"^closed 4999 gründlich$",
    "server closes": r"^closed 4999 *(gründlich)?$",
    "server drops": r"^closed 1006 *$",
    "target": r"^closed 1000 *$",
    "many up and down": r"^closed 1000 *$",
    "many down": r"^closed 1000 *$",
    "sockets": r"^closed 1000 *$",
}
MESSAGES = 10000
# Browsers open at most 255 sockets for one host.
SOCKETS = {"chromium": 200}
MANY_SOCKETS = 1000
LIBCURL = ("text", "binary", "16 MiB", "subprotocol agreed", "close 1000")
# Over TLS websocat now and then keeps the last bytes of a large message to itself.
WEBSOCAT = ("text", "binary", "subprotocol agreed", "close 1000")


# websocat closes without a code.
SERVER_SEES = {"websocat": r"^closed 1005 *$"}


# Through mitmproxy: what it must not change. How fast it is, and how many it holds, is its own affair.
MITMPROXY_CLIENTS = ("chromium", "websockets", "ws")
MITMPROXY_ROWS = tuple(row for row in ROWS if row not in ("many up and down", "many down", "sockets"))


def rows(client: str, *, mitmproxy: bool = False) -> tuple[str, ...]:
    """The rows that a client can play."""
    if mitmproxy:
        known = rows(client) if client in MITMPROXY_CLIENTS else ()
        return tuple(row for row in known if row in MITMPROXY_ROWS)
    if client in ("websocat", "libcurl"):
        return WEBSOCAT if client == "websocat" else LIBCURL
    return tuple(row for row in ROWS if row != "uncompressed" or client == "websockets")


@dataclass(frozen=True)
class Surroundings:
    """Where clients run."""

    namespace: Namespace
    authority: Path
    page: Page | None = None


def settings(client: str) -> dict[str, int]:
    """How much of everything a client does."""
    return {"messages": MESSAGES, "sockets": SOCKETS.get(client, MANY_SOCKETS)}


def script(around: Surroundings, *command: str) -> str:
    """Run a program that prints its outcome as JSON in its last line; give back that, or what it printed instead."""
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "LANG")}
    status, said = run_limited(around.namespace.command(*command), SECONDS, CHECKOUT, environment)
    lines = said.splitlines()
    if status or not lines:
        return f"ended with {status}: {' | '.join(lines[-8:])}"
    try:
        return str(json.loads(lines[-1]))
    except ValueError:
        return f"said {' | '.join(lines[-8:])}"


def chromium(around: Surroundings, row: str, base: str, told: Mapping[str, Any]) -> str:
    """The page in the browser."""
    assert around.page is not None
    return around.page.play(row, base, told)


def ws(around: Surroundings, row: str, base: str, told: Mapping[str, Any]) -> str:
    """npm's `ws`."""
    return script(around, *node("ws_client.js", row, base, json.dumps(told), str(around.authority)))


def websockets(around: Surroundings, row: str, base: str, told: Mapping[str, Any]) -> str:
    """Python's `websockets`."""
    module = (sys.executable, "-m", "tests.peers.ws.websockets_client")
    return script(around, *module, row, base, json.dumps(told), str(around.authority))


def libcurl(around: Surroundings, row: str, base: str, told: Mapping[str, Any]) -> str:
    """The libcurl in curl_cffi."""
    program = ("env", f"PYTHONPATH={PYTHON}", sys.executable, "-m", "tests.peers.ws.libcurl_client")
    return script(around, *program, row, base, str(around.authority))


def websocat_client(around: Surroundings, row: str, base: str, told: Mapping[str, Any]) -> str:
    """websocat, whose authority is a variable of the environment; a program of ours talks to its pipes."""
    program = ("env", f"SSL_CERT_FILE={around.authority}", sys.executable, "-m", "tests.peers.ws.websocat_client")
    return script(around, *program, str(websocat()), row, base)


CLIENTS: dict[str, Callable[[Surroundings, str, str, Mapping[str, Any]], str]] = {
    "chromium": chromium,
    "websockets": websockets,
    "ws": ws,
    "libcurl": libcurl,
    "websocat": websocat_client,
}

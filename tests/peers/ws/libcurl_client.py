"""Plays one row with libcurl; prints the outcome as JSON. The interpreter's path must lead to `curl_cffi`.

python -m tests.peers.ws.libcurl_client ROW BASE AUTHORITY
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

TEXT = "Grüße, мир, 世界, 🌍"


def exchange(socket: Any, message: str | bytes) -> str:
    """Send and compare what comes back."""
    binary = isinstance(message, bytes)
    if isinstance(message, bytes):
        socket.send_binary(message)
    else:
        socket.send_str(message)
    got, _ = socket.recv()
    return "" if (got if binary else got.decode()) == message else f"the echo of {len(message)} differs"


def play(curl_cffi: Any, row: str, base: str, authority: str) -> str:
    """Play the row."""
    offered = {"Sec-WebSocket-Protocol": "other, lab.v1"} if row == "subprotocol agreed" else {}
    messages: dict[str, list[str | bytes]] = {
        "text": ["x", TEXT, TEXT * 5000],
        "binary": [os.urandom(size) for size in (1, 125, 126, 65535, 65536, 300000)],
        "16 MiB": [os.urandom(16 << 20)],
    }
    socket = curl_cffi.WebSocket(max_message_size=64 << 20)
    socket.connect(f"{base}/echo", verify=authority, headers=offered)
    for message in messages.get(row, [TEXT]):
        if problem := exchange(socket, message):
            return problem
    socket.close(1000)
    return ""


def main() -> None:
    """Play the row that the command line names."""
    curl_cffi = importlib.import_module("curl_cffi")
    try:
        outcome = play(curl_cffi, *sys.argv[1:4])
    except (OSError, curl_cffi.CurlError) as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()

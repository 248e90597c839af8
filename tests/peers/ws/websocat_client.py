"""Plays one row with websocat, fed through its pipes; prints the outcome as JSON.

python -m tests.peers.ws.websocat_client PROGRAM ROW BASE
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

TEXT = "Grüße, мир, 世界, 🌍\n"
SECONDS = 30
BUFFER = 1 << 20


def command(program: str, row: str, base: str) -> list[str]:
    """Text is sent by lines, anything else as it is read; websocat closes, without a code, when its input ends."""
    options = ["--buffer-size", str(BUFFER)]
    options += ["--binary"] if row == "binary" else ["--text"]
    options += ["--protocol", "lab.v1"] if row == "subprotocol agreed" else []
    return [program, *options, f"{base}/echo"]


def play(program: str, row: str, base: str) -> str:
    """Play the row."""
    sent = bytes(range(256)) * 200 if row == "binary" else TEXT.encode()
    with subprocess.Popen(
        command(program, row, base), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        timer = threading.Timer(SECONDS, child.kill)
        timer.start()
        threading.Thread(target=feed, args=(child.stdin, sent), daemon=True).start()
        got = child.stdout.read(len(sent))
        child.stdin.close()
        timer.cancel()
        if got != sent:
            return f"{len(got)} of {len(sent)} came back: {child.stderr.read().decode()}"
        status = child.wait()
        return f"ended with {status}" if status else ""


def feed(pipe: IO[bytes], data: bytes) -> None:
    """Write all, and leave the pipe open."""
    with suppress(OSError):
        pipe.write(data)
        pipe.flush()


def main() -> None:
    """Play the row that the command line names."""
    print(json.dumps(play(*sys.argv[1:4])))


if __name__ == "__main__":
    main()

"""openssl s_client through the gateway: AUTH TLS by `-starttls ftp`, then FTP line by line, as a person types it."""

from __future__ import annotations

import functools
import subprocess
import threading

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.servers import PASSWORD, USER

from .stage import HOST, Stage, until

# What is typed once the line before was answered so.
SPOKEN = (("---\n", f"USER {USER}"), ("\n331 ", f"PASS {PASSWORD}"), ("\n230 ", "SYST"), ("\n215 ", "QUIT"))


def s_client(stage: Stage, *options: str) -> str:
    """Log in, ask for the system, leave; return all that openssl printed."""
    command = ("openssl", "s_client", "-starttls", "ftp", "-connect", f"{HOST}:{GATEWAY_PORT}", "-crlf", "-ign_eof")
    full = stage.lab.client.command("timeout", "15", *command, *options)
    said: list[str] = []
    with subprocess.Popen(
        full, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            for awaited, line in SPOKEN:
                until(functools.partial(shown, said, awaited), f"openssl does not show {awaited!r}")
                process.stdin.write(f"{line}\n")
                process.stdin.flush()
            until(functools.partial(shown, said, "\n221 "), "the server does not say goodbye")
        finally:
            process.stdin.close()
            process.terminate()
            reader.join()
            stage.note(f"$ {' '.join(command + options)}\n{''.join(said)}")
    return "".join(said)


def shown(said: list[str], words: str) -> bool:
    """Whether openssl has printed this."""
    return words in "".join(said)

"""systemd's readiness protocol: one datagram to `NOTIFY_SOCKET`, if there is one."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Tell the service manager, e.g. `READY=1`. Without one, or if it does not listen, nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode("ascii"), address)
    except OSError:
        return

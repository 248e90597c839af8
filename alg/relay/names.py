"""What this host is called, for certificates that are minted for its clients."""

from __future__ import annotations

import socket


def own_names() -> tuple[str, ...]:
    """The host's names as it knows them itself, without asking a resolver over the network, and `localhost`."""
    name = socket.gethostname().lower()
    return tuple(dict.fromkeys([name, name.partition(".")[0], "localhost"]))

"""What a client says to a SOCKS5 or HTTP proxy before its own bytes begin: read from the heads of a connection.

Enough for the clients of this lab, which do not log in to their proxy; nothing here is for the product.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

ADDRESS_BYTES = {1: 4, 4: 16}
HOST_NAME = 3
CONNECT = re.compile(rb"CONNECT \S+:(\d+) HTTP/1\.[01]\r\n")
END_OF_HEAD = b"\r\n\r\n"


class Tunnel(NamedTuple):
    """Where a tunnel leads, and how long both sides' talk with the proxy was."""

    port: int
    client_bytes: int
    server_bytes: int


def tunnel(client: bytes, server: bytes) -> Tunnel | None:
    """The tunnel that a connection to a proxy became; None if it did not come about."""
    return socks_tunnel(client, server) if client[:1] == b"\x05" else connect_tunnel(client, server)


def connect_tunnel(client: bytes, server: bytes) -> Tunnel | None:
    """The same for HTTP."""
    match = CONNECT.match(client)
    client_end, server_end = client.find(END_OF_HEAD), server.find(END_OF_HEAD)
    if not match or client_end < 0 or server_end < 0 or server[9:10] != b"2":
        return None
    return Tunnel(int(match[1]), client_end + len(END_OF_HEAD), server_end + len(END_OF_HEAD))


def socks_tunnel(client: bytes, server: bytes) -> Tunnel | None:
    """The same for SOCKS5."""
    if len(client) < 2 or server[:4] != b"\x05\x00\x05\x00":
        return None
    asked, answered = socks_address(client[2 + client[1] :]), socks_address(server[2:])
    if asked is None or answered is None:
        return None
    return Tunnel(asked[0], 2 + client[1] + asked[1], 2 + answered[1])


def socks_address(message: bytes) -> tuple[int, int] | None:
    """The port in a SOCKS5 request or reply, and the length of the whole; None if it is cut short."""
    if len(message) < 5:
        return None
    length = 4 + (1 + message[4] if message[3] == HOST_NAME else ADDRESS_BYTES.get(message[3], 0)) + 2
    if len(message) < length:
        return None
    return int(struct.unpack_from("!H", message, length - 2)[0]), length

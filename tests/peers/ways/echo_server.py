"""Sends every datagram back to where it came from, and prints it; listens for TCP at the same port only to show that it runs."""

from __future__ import annotations

import asyncio
import socket
import sys


def echo(sock: socket.socket) -> None:
    """Take one datagram, tell of it, and send it back. By the socket itself: asyncio sends no empty ones before 3.13."""
    data, address = sock.recvfrom(65536)
    print(f"{address[0]} {len(data)} {data[:40]!r}", flush=True)
    sock.sendto(data, address)


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nobody is served by TCP."""
    writer.close()


async def main() -> None:
    """Serve at the endpoints that the arguments name."""
    loop = asyncio.get_running_loop()
    for endpoint in sys.argv[1:]:
        host, _, port = endpoint.rpartition(":")
        address = (host.strip("[]"), int(port))
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(address)
        sock.setblocking(False)
        loop.add_reader(sock, echo, sock)
        await asyncio.start_server(hang_up, *address)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

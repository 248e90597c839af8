"""PySocks sends datagrams through a SOCKS5 proxy: a query to a name server, or a message that must come back.

Arguments: `name PROXY HOST PORT NAME` or `echo PROXY HOST PORT SIZE`; PROXY is `HOST:PORT`, or `-` for none.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import sys

import socks

PATIENCE = 5.0


def opened(proxy: str, host: str) -> socket.socket:
    """A socket for datagrams, perhaps through the proxy."""
    if proxy == "-":
        plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        plain.settimeout(PATIENCE)
        return plain
    where, _, port = proxy.rpartition(":")
    through: socket.socket = socks.socksocket(type=socket.SOCK_DGRAM)
    through.set_proxy(socks.SOCKS5, where, int(port))  # type: ignore[attr-defined]
    through.settimeout(PATIENCE)
    return through


def query(number: int, name: str) -> bytes:
    """A query for an IPv4 address (RFC 1035, section 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def ask(through: socket.socket, where: tuple[str, int], name: str) -> None:
    """Ask, and print the one address that comes."""
    number = random.randrange(1 << 16)
    through.sendto(query(number, name), where)
    answer, source = through.recvfrom(2048)
    if answer[:2] != struct.pack("!H", number) or answer[3] & 0x0F or answer[6:8] != b"\0\1":
        raise SystemExit(f"the answer is {answer!r}")
    print(f"seen: {socket.inet_ntoa(answer[-4:])} from {source[0]}")


def echo(through: socket.socket, where: tuple[str, int], size: int) -> None:
    """Send messages of this size and fewer bytes; print whether all came back as they went."""
    for length in (size, 1, size // 2):
        message = random.randbytes(length)
        through.sendto(message, where)
        answer, source = through.recvfrom(65535)
        if hashlib.sha256(answer).digest() != hashlib.sha256(message).digest():
            raise SystemExit(f"{len(answer)} other bytes came back")
        print(f"seen: {length} bytes from {source[0]}")


def main() -> None:
    """Do what the first argument says."""
    what, proxy, host, port, last = sys.argv[1:]
    with opened(proxy, host) as through:
        where = (host, int(port))
        if what == "name":
            ask(through, where, last)
        else:
            echo(through, where, int(last))


if __name__ == "__main__":
    main()

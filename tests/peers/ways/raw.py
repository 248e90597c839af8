"""What a client says to a proxy, by hand: SOCKS4 and 4a, SOCKS5 (RFC 1928, 1929), CONNECT, the PROXY protocol's headers.

Only what the cases ask; nothing here is for the product. Every call blocks and fails by OSError or EOFError.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

CONNECT, BIND, ASSOCIATE = 1, 2, 3
GRANTED4, REFUSED4 = 90, 91
NO_LOGIN, PASSWORD_LOGIN, NO_METHOD = 0, 2, 255


@dataclass(frozen=True)
class Reply:
    """A proxy's answer: its code, and the address and port that it names."""

    code: int
    host: str
    port: int


def read(connection: socket.socket, count: int) -> bytes:
    """That many bytes."""
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError(f"the end came after {len(data)} of {count} bytes")
        data += part
    return data


def at_end(connection: socket.socket) -> bool:
    """Whether the other side says no more; a reset is an end, too."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def destination(host: str, port: int) -> bytes:
    """An address as SOCKS5 writes it: what is no IP address is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return bytes([3, len(name)]) + name + struct.pack("!H", port)
    return bytes([1 if address.version == 4 else 4]) + address.packed + struct.pack("!H", port)


def parse_destination(data: bytes) -> tuple[str, int, int]:
    """The address, the port, and how many bytes both took."""
    if data[0] == 3:
        end = 2 + data[1]
        host = data[2:end].decode()
    else:
        end = 1 + {1: 4, 4: 16}[data[0]]
        host = str(ipaddress.ip_address(data[1:end]))
    return host, int(struct.unpack_from("!H", data, end)[0]), end + 2


def greet(connection: socket.socket, *methods: int) -> int:
    """Offer these methods; return the one that the proxy takes."""
    offered = methods or (NO_LOGIN,)
    connection.sendall(bytes([5, len(offered), *offered]))
    version, method = read(connection, 2)
    if version != 5:
        raise OSError(f"the proxy greets with version {version}")
    return method


def reply5(connection: socket.socket) -> Reply:
    """Read an answer of SOCKS5."""
    head = read(connection, 4)
    if head[0] != 5 or head[2] != 0:
        raise OSError(f"the answer begins with {head!r}")
    size = {1: 4, 4: 16}.get(head[3])
    body = head[3:] + (
        read(connection, size + 2) if size else (length := read(connection, 1)) + read(connection, length[0] + 2)
    )
    host, port, _ = parse_destination(body)
    return Reply(head[1], host, port)


def ask5(connection: socket.socket, command: int, host: str, port: int) -> Reply:
    """Make a request of SOCKS5, after the greeting."""
    connection.sendall(bytes([5, command, 0]) + destination(host, port))
    return reply5(connection)


def reply4(connection: socket.socket) -> Reply:
    """Read an answer of SOCKS4."""
    zero, code, port, address = struct.unpack("!BBH4s", read(connection, 8))
    if zero != 0:
        raise OSError(f"the answer begins with {zero}")
    return Reply(code, str(ipaddress.ip_address(address)), port)


def ask4(connection: socket.socket, command: int, host: str, port: int) -> Reply:
    """Make a request of SOCKS4, or of 4a where the host is a name."""
    try:
        address, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:
        address, name = b"\0\0\0\1", host.encode() + b"\0"
    connection.sendall(struct.pack("!BBH4s", 4, command, port, address) + b"u\0" + name)
    return reply4(connection)


def ask_http(connection: socket.socket, target: str) -> int:
    """Ask for a tunnel; return the status, once the whole head came."""
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(connection, 1)
    return int(head.split(b" ", 2)[1])


def datagram(host: str, port: int, payload: bytes, fragment: int = 0) -> bytes:
    """A datagram for the relay."""
    return bytes([0, 0, fragment]) + destination(host, port) + payload


def parse_datagram(data: bytes) -> tuple[str, int, bytes]:
    """Whom a datagram from the relay is from, and what it holds."""
    if data[:3] != b"\0\0\0":
        raise OSError(f"the datagram begins with {data[:3]!r}")
    host, port, length = parse_destination(data[3:])
    return host, port, data[3 + length :]


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(version: int, source: str, target: str, port: int) -> bytes:
    """A PROXY protocol header for a TCP connection over IPv4."""
    if version == 1:
        return f"PROXY TCP4 {source} {target} 54321 {port}\r\n".encode()
    addresses = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", 54321, port)
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(addresses)) + addresses


LOCAL_HEADER = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)
"""Version 2: the sender speaks for itself, as health checks do."""

"""The relay's peers, as blunt as a test needs them: raw sockets on loopback addresses that stand for hosts."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from alg.core.model import Endpoint
from alg.relay.sockets import endpoint_of

DEADLINE = 8.0
"""Seconds that one step of a peer may take."""
CLIENT, OTHER, SERVER, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.5", "127.0.0.9"
"""The client, somebody else, the server, and a host that nobody may be led to."""


def linger_zero(sock: socket.socket) -> None:
    """Make `close` reset the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Peer:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._buffer = b""

    @classmethod
    async def connect(cls, to: Endpoint, source: str = CLIENT, *, receive_buffer: int = 0) -> Self:
        """Connect from one of the addresses."""
        sock = socket.socket()
        try:
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            sock.bind((source, 0))
            async with asyncio.timeout(DEADLINE):
                await asyncio.get_running_loop().sock_connect(sock, (str(to.address), to.port))
            return cls(sock)
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """Return what comes next; nothing at the end."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        return await self._take(1 << 18)

    async def _take(self, limit: int) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().sock_recv(self.sock, limit)

    async def line(self) -> bytes:
        """Return one line with its end; what there is of it, at the end."""
        while b"\n" not in self._buffer:
            data = await self._take(65536)
            if not data:
                break
            self._buffer += data
        line, newline, self._buffer = self._buffer.partition(b"\n")
        return line + newline

    async def exactly(self, count: int) -> bytes:
        """Return that many bytes."""
        data = bytearray()
        while len(data) < count:
            piece = await self.receive()
            assert piece, f"the end came after {len(data)} of {count} bytes"
            data += piece
        self._buffer = bytes(data[count:])
        return bytes(data[:count])

    async def rest(self) -> bytes:
        """Return all that comes until the orderly end."""
        pieces = []
        while piece := await self.receive():
            pieces.append(piece)
        return b"".join(pieces)

    async def digest(self) -> tuple[int, str]:
        """Return count and SHA-256 of all that comes until the orderly end."""
        count, digest = 0, hashlib.sha256()
        while piece := await self.receive():
            count += len(piece)
            digest.update(piece)
        return count, digest.hexdigest()

    async def until_cut(self) -> tuple[bytes, str]:
        """Return all that comes, and how it ended: `end` or `reset`."""
        pieces = []
        try:
            while piece := await self.receive():
                pieces.append(piece)
        except (ConnectionResetError, BrokenPipeError):
            return b"".join(pieces), "reset"
        return b"".join(pieces), "end"

    @property
    def peer(self) -> Endpoint:
        """Who is at the other end."""
        return endpoint_of(self.sock.getpeername())

    def fin(self) -> None:
        """Say that nothing more will come."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset."""
        linger_zero(self.sock)
        self.sock.close()

    def close(self) -> None:
        """Close in an orderly way."""
        self.sock.close()


class Host:
    """A listening host; who connects waits until the test accepts."""

    def __init__(self, address: str = SERVER, *, port: int = 0, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind((address, port))
        self.sock.listen(4096)
        self.sock.setblocking(False)
        self.endpoint = endpoint_of(self.sock.getsockname())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def accept(self) -> Peer:
        """Return the next who connects."""
        async with asyncio.timeout(DEADLINE):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        return Peer(sock)

    def untouched(self) -> bool:
        """Whether nobody waits to be accepted."""
        try:
            sock, _ = self.sock.accept()
        except BlockingIOError:
            return True
        sock.close()
        return False

    def close(self) -> None:
        """Stop listening."""
        self.sock.close()


def free_port() -> int:
    """A port that nobody uses at any address, and that the system gives to nobody."""
    while True:
        port = random.randrange(20400, 28000)
        with socket.socket() as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


@contextmanager
def silent_host(address: str = SERVER) -> Iterator[Endpoint]:
    """An endpoint that neither accepts nor refuses: its backlog is full."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        sock.listen(0)
        with socket.create_connection(sock.getsockname()):
            yield endpoint_of(sock.getsockname())


async def refused(to: Endpoint, source: str = CLIENT) -> str:
    """How a connection ends that nobody wants: `refused` (nothing listens) or `reset` (after it was made)."""
    try:
        with await Peer.connect(to, source) as peer:
            data, how = await peer.until_cut()
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    assert not data, f"somebody got {data[:40]!r}"
    return how

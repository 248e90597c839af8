"""`TlsPeer`: a peer that speaks TLS as bluntly as a test needs it: records can be made without being sent, and glued."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

from alg.core.model import Endpoint
from tests import pki
from tests.relay.peers import CLIENT, DEADLINE, Peer


class TruncatedError(ConnectionResetError):
    """The other end went without close_notify."""


class TlsPeer(Peer):
    """One end of a TLS connection; what comes in the clear is seen by nobody but OpenSSL."""

    def __init__(
        self,
        peer: Peer,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(peer.sock)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.incoming.write(peer._buffer)
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_side, server_hostname=name, session=session
        )

    @classmethod
    async def reach(
        cls, to: Endpoint, context: ssl.SSLContext | None = None, *, name: str = pki.NAME, source: str = CLIENT
    ) -> Self:
        """Connect, and shake hands."""
        peer = await Peer.connect(to, source)
        try:
            return await cls.cover(peer, context, name=name)
        except BaseException:
            peer.close()
            raise

    @classmethod
    async def cover(
        cls,
        peer: Peer,
        context: ssl.SSLContext | None = None,
        *,
        name: str | None = pki.NAME,
        session: ssl.SSLSession | None = None,
    ) -> Self:
        """Begin TLS as a client."""
        made = cls(peer, context or pki.client(), name=name, session=session)
        await made.shake()
        return made

    @classmethod
    async def serve(cls, peer: Peer, context: ssl.SSLContext | None = None) -> Self:
        """Begin TLS as a server."""
        made = cls(peer, context or pki.server(), server_side=True)
        await made.shake()
        return made

    async def shake(self) -> None:
        """Shake hands.

        Raises:
            ssl.SSLError: it failed; the other end has been told.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                await self.feed()
            except ssl.SSLError:
                await self.flush()
                raise
            else:
                await self.flush()
                return

    async def flush(self) -> None:
        """Send what OpenSSL wants to send."""
        if data := self.outgoing.read():
            await self.raw(data)

    async def feed(self) -> None:
        """Wait for bytes, and hand them to OpenSSL."""
        data = await super()._take(1 << 18)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    async def raw(self, data: bytes) -> None:
        """Send past TLS."""
        await super().send(data)

    def sealed(self, data: bytes) -> bytes:
        """What `send` would send."""
        self.tls.write(data)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """The record that says close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()

    def uncovered(self) -> Peer:
        """The connection behind the end of TLS, with what has come in the clear already."""
        plain = Peer(self.sock)
        plain._buffer = self.incoming.read()
        return plain

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        for at in range(0, len(data), 1 << 20):
            await self.raw(self.sealed(bytes(data[at : at + (1 << 20)])))

    async def _take(self, limit: int) -> bytes:
        while True:
            try:
                data = self.tls.read(limit)
            except ssl.SSLWantReadError:
                await self.flush()
                await self.feed()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                raise TruncatedError("the end came without close_notify") from None
            else:
                return data

    def fin(self) -> None:
        """Say that nothing more will come: close_notify, and the end of the connection behind it."""
        self.sock.send(self.goodbye())
        super().fin()

    def close(self) -> None:
        """Close in an orderly way, close_notify first."""
        if self.sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.sock.send(self.goodbye())
        super().close()

    def cut(self) -> None:
        """End the connection without close_notify."""
        super().fin()


async def plain_until_cut(peer: Peer) -> bytes:
    """All that comes on the socket itself, whatever TLS would make of it."""
    pieces = []
    async with asyncio.timeout(DEADLINE):
        try:
            while data := await asyncio.get_running_loop().sock_recv(peer.sock, 65536):
                pieces.append(data)
        except ConnectionResetError:
            pass
    return b"".join(pieces)

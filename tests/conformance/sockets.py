"""What the stages of hosts with sockets share: the parties of a case as sockets on loopback addresses that stand for hosts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeAlias

from alg.core.addresses import Address, parse_address
from alg.core.model import Endpoint
from alg.relay.sockets import endpoint_of
from tests.conformance.stage import How, Who
from tests.relay import peers
from tests.relay.peers import Host
from tests.relay.tls_peer import TlsPeer

ADDRESSES = {Who.CLIENT: peers.CLIENT, Who.SERVER: peers.SERVER, Who.STRANGER: peers.THIRD}

THIRD_PARTY = parse_address("192.0.2.9")
"""Nobody's (RFC 5737). The strangers on loopback are hosts to each other, but this host itself to the rules."""

TURNS = 8
"""Turns of the loop that a host gets to take in a piece, before the next one is sent."""

Cover: TypeAlias = Callable[[peers.Peer], Awaitable[peers.Peer]]
"""Shakes hands on a connection, and returns what speaks TLS on it."""


async def shake_as_server(peer: peers.Peer) -> peers.Peer:
    """TLS where the gateway's server speaks."""
    return await TlsPeer.serve(peer)


async def no_tls(peer: peers.Peer) -> peers.Peer:
    """There is no TLS on this connection."""
    raise AssertionError("nobody shakes hands on this connection")


class SocketPeer:
    """One end of a TCP connection."""

    def __init__(self, peer: peers.Peer, cover: Cover) -> None:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # pieces must not wait for each other
        self._peer = peer
        self._cover = cover
        self.local = endpoint_of(peer.sock.getsockname())
        self.remote = peer.peer

    async def send(self, *pieces: bytes) -> None:
        """Say something."""
        for piece in pieces:
            await self._peer.send(piece)
            if len(pieces) > 1:
                for _ in range(TURNS):
                    await asyncio.sleep(0)

    async def receive(self, count: int) -> bytes:
        """Return that many bytes."""
        return await self._peer.exactly(count)

    async def line(self) -> bytes:
        """Return a line."""
        return await self._peer.line()

    async def rest(self) -> tuple[bytes, How]:
        """Return the rest, and how it ended."""
        data, how = await self._peer.until_cut()
        return data, How(how)

    async def end(self) -> None:
        """Say no more; nothing happens where the connection is gone."""
        with contextlib.suppress(OSError):
            self._peer.fin()

    async def reset(self) -> None:
        """Break it."""
        self._peer.reset()

    async def start_tls(self) -> None:
        """Shake hands."""
        self._peer = await self._cover(self._peer)

    def close(self) -> None:
        """Close it."""
        self._peer.close()


class SocketTarget:
    """A listening socket."""

    def __init__(self, host: Host, keep: Callable[[SocketPeer], SocketPeer], cover: Cover) -> None:
        self._host = host
        self._keep = keep
        self._cover = cover

    @property
    def endpoint(self) -> Endpoint:
        """Where."""
        return self._host.endpoint

    async def accept(self) -> SocketPeer:
        """Return the next connection."""
        return self._keep(SocketPeer(await self._host.accept(), self._cover))

    def untouched(self) -> bool:
        """Whether nobody waits."""
        return self._host.untouched()


class Sockets:
    """All sockets of one case; those that are still open are closed with it."""

    def __init__(self, shake_as_client: Cover) -> None:
        """`shake_as_client`: TLS where the gateway's client speaks; whom it trusts depends on the host."""
        self.kept = contextlib.ExitStack()
        self._covers = {Who.CLIENT: shake_as_client, Who.SERVER: shake_as_server, Who.STRANGER: no_tls}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kept.close()

    def keep(self, peer: SocketPeer) -> SocketPeer:
        """Close it in the end."""
        self.kept.callback(peer.close)
        return peer

    @staticmethod
    def address(who: Who) -> Address:
        """Where that party lives."""
        return parse_address(ADDRESSES[who])

    @property
    def third_party(self) -> Address:
        """Somebody else."""
        return THIRD_PARTY

    async def connect(self, to: Endpoint, who: Who) -> SocketPeer:
        """Have a party connect."""
        return self.keep(SocketPeer(await peers.Peer.connect(to, ADDRESSES[who]), self._covers[who]))

    async def refused(self, to: Endpoint, who: Who) -> bool:
        """Whether it is turned away."""
        try:
            await peers.refused(to, ADDRESSES[who])
        except TimeoutError:
            return False
        return True

    def listen(self, who: Who, port: int = 0) -> SocketTarget:
        """Have a party listen."""
        return SocketTarget(self.kept.enter_context(Host(ADDRESSES[who], port=port)), self.keep, self._covers[who])

"""`Lookups`: names that clients have us look up. A resolver's thread cannot be stopped, so what counts is when it comes back: a client
whose names are slow waits for itself, and the others do not wait for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial

from alg.core.addresses import Address
from alg.relay import sockets

OF_ONE = 4
"""How many names of one client are looked up at once."""
IN_ALL = 32
"""How many of all clients; the resolver has more threads than that (see `alg.daemon`), for upstreams of the configuration."""


class _Turns:
    """Those of one client."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(OF_ONE)
        self.users = 0


class Lookups:
    """Those of one relay."""

    __slots__ = ("_by_client", "_free", "_loop", "_running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._free = asyncio.Semaphore(IN_ALL)
        self._by_client: dict[Address, _Turns] = {}
        self._running: set[asyncio.Task[Sequence[Address]]] = set()

    async def find(self, client: Address, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name that a client wants.

        Raises:
            OSError: it has none, or nobody can say.
            UnicodeError: it is no name.
        """
        turns = self._by_client.setdefault(client, _Turns())
        turns.users += 1
        try:
            await turns.free.acquire()
            try:
                await self._free.acquire()
            except asyncio.CancelledError:
                turns.free.release()
                raise
        except asyncio.CancelledError:
            self._leave(client, turns)
            raise
        task = self._loop.create_task(self._ask(host, port))
        self._running.add(task)
        task.add_done_callback(partial(self._back, client, turns))
        return await asyncio.shield(task)

    async def _ask(self, host: str, port: int) -> Sequence[Address]:
        return sockets.addresses_of(await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    def _back(self, client: Address, turns: _Turns, task: asyncio.Task[Sequence[Address]]) -> None:
        """Whoever asked may be gone by now."""
        self._running.discard(task)
        if not task.cancelled():
            task.exception()
        turns.free.release()
        self._free.release()
        self._leave(client, turns)

    def _leave(self, client: Address, turns: _Turns) -> None:
        turns.users -= 1
        if not turns.users:
            del self._by_client[client]

    def close(self) -> None:
        """Nobody waits for any of them."""
        for task in self._running:
            task.cancel()

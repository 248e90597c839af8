"""What a plugin for UDP is and sees: `DatagramPlugin`, and the `Datagrams` that come from each side.

A datagram is whole or is not there at all; it may come late, twice, or never. Nothing here does I/O.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Generator
from typing import ClassVar

from alg.core.model import Side, Transport
from alg.core.plugin import METHODS, C_co, Plugin

WAITING = 64
"""How many datagrams may wait while a coroutine waits for something else; what comes then is dropped, as a full socket
would do."""


class Datagrams:
    """What comes from one side, one datagram after the other: `async for datagram in datagrams`. It has no end.

    A class and no async generator: asyncio adopts those when it finds them running, and complains when we drop them.
    """

    __slots__ = ("_queue", "_send", "dropped", "returned", "side")

    def __init__(self, side: Side, send: Callable[[Side, bytes], None]) -> None:
        self.side = side
        self._send = send
        self._queue: deque[bytes] = deque()
        self.dropped = 0
        """How many came while too many waited."""
        self.returned: bytes | None = None
        """What the plugin has returned."""

    # For plugins.

    def __aiter__(self) -> Datagrams:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[object, object, bytes]:
        while not self._queue:
            yield self
        return self._queue.popleft()

    def send(self, data: bytes) -> None:
        """Send a datagram onward, to the other side."""
        self._send(self.side.other, data)

    def reply(self, data: bytes) -> None:
        """Send a datagram back to the side that these come from.

        Until the server has answered, the client gets no more bytes than it has sent: its address may be forged.
        """
        self._send(self.side, data)

    def give_back(self, data: bytes) -> None:
        """The client's datagram does not belong to this flow: once this is closed, it begins another one."""
        self.returned = data

    # For the machine.

    def receive(self, data: bytes) -> None:
        """Take in what arrived."""
        if len(self._queue) < WAITING:
            self._queue.append(data)
        else:
            self.dropped += 1

    def drain(self) -> list[bytes]:
        """Give out all that was not read."""
        rest = list(self._queue)
        self._queue.clear()
        return rest

    @property
    def buffered(self) -> int:
        """How many datagrams arrived and were not read."""
        return len(self._queue)


class DatagramPlugin(Plugin[C_co]):
    """Base of a plugin for a protocol over UDP: a subclass says what happens to each datagram.

    A flow is what one client address and port says to one server, and what is said back. `from_client` and `from_server`
    run side by side, as for a `StreamPlugin`; one that is not overridden never reads: the datagrams of that side pass.
    """

    transport = Transport.UDP
    idle: ClassVar[float] = 60.0
    """Seconds of silence of both sides after which the host ends a flow; a route may say otherwise."""
    loose_peer_port: ClassVar[bool] = False
    """Whether the server may answer from another port of its address. The first answer fixes the port: what follows goes
    there, and what comes from elsewhere is a stranger's."""

    async def from_client(self, datagrams: Datagrams) -> None:
        """Treat what the client says."""

    async def from_server(self, datagrams: Datagrams) -> None:
        """Treat what the server says."""

    @classmethod
    def reads(cls, side: Side) -> bool:
        """Whether it treats what that side says: whether that coroutine is overridden."""
        name = METHODS[side]
        return getattr(cls, name) is not getattr(DatagramPlugin, name)

    def stranger(self, data: bytes) -> bytes:  # noqa: ARG002 - for those that override it
        """What somebody is told who sent this to the server's side of a flow, and is not its server; nothing by default.

        Neither side ever sees a stranger's datagram. The answer is sent only if it is no longer than what was sent.
        """
        return b""

"""The network around a playbook: the ends of connections, and the places where parties listen. A connection is a playbook,
whatever flow it is; an opaque one plays a plugin that reads nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from alg.core.model import Endpoint, Side
from alg.core.plugin import StreamPlugin
from alg.testing import Playbook
from tests.conformance.stage import How


class Opaque(StreamPlugin[None]):
    """Reads nothing: all of it is opaque."""

    name = "opaque"


class MemoryPeer:
    """One end of a connection. Before the other leg is there, what it says is kept."""

    def __init__(self, side: Side, local: Endpoint, remote: Endpoint) -> None:
        self.side = side
        self.local = local
        self.remote = remote
        self.said = 0
        """Bytes that it has sent."""
        self._read = 0
        self._talk: Playbook | None = None
        self._after: Callable[[], None] = lambda: None
        self._early: list[Callable[[], None]] = []
        self._cut = False

    def join(self, talk: Playbook, after: Callable[[], None]) -> None:
        """The connection leads somewhere: `after` is to be called after whatever happens on it."""
        self._talk, self._after = talk, after
        for act in self._early:
            act()

    def cut(self) -> None:
        """It is reset before it led anywhere."""
        self._cut = True

    def _act(self, act: Callable[[Playbook], None]) -> None:
        if self._talk is None:
            self._early.append(lambda: self._act(act))
        else:
            act(self._talk)
            self._after()

    @property
    def waiting(self) -> bytes:
        """What has come and was not read."""
        return self._talk.received(self.side)[self._read :] if self._talk else b""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._cut or (self._talk is not None and (self._talk.closed or self.side in self._talk.ended))

    async def send(self, *pieces: bytes) -> None:
        """Say something."""
        for piece in pieces:
            self.said += len(piece)
            self._act(lambda talk, piece=piece: talk.say(self.side, piece))  # type: ignore[misc]

    async def receive(self, count: int) -> bytes:
        """Return that many bytes."""
        data = self.waiting[:count]
        assert len(data) == count, f"{data!r} came, and no more; {count} bytes are due"
        self._read += count
        return data

    async def line(self) -> bytes:
        """Return a line."""
        return await self.receive(self.waiting.find(b"\n") + 1 or len(self.waiting) + 1)

    async def rest(self) -> tuple[bytes, How]:
        """Return the rest, and how it ended."""
        assert self.is_over, f"it does not end; {self.waiting!r} came"
        broken = self._cut or (self._talk is not None and (self._breaks or self.side in self._talk.cut))
        return await self.receive(len(self.waiting)), How.RESET if broken else How.END

    @property
    def _breaks(self) -> bool:
        talk = self._talk
        return talk is not None and talk.error is not None and isinstance(talk.plugin, Opaque)

    async def end(self) -> None:
        """Say no more."""
        self._act(lambda talk: talk.end(self.side))

    async def reset(self) -> None:
        """Break it."""
        self._act(lambda talk: None if talk.closed else talk.lose(self.side))

    async def start_tls(self) -> None:
        """A playbook shakes hands by itself; hold that it did."""
        assert self._talk is not None and self._talk.legs[self.side].secure, "the gateway does not shake hands"


class MemoryTarget:
    """A place where a party listens."""

    def __init__(self, at: Endpoint) -> None:
        self.endpoint = at
        self.came: deque[MemoryPeer] = deque()

    async def accept(self) -> MemoryPeer:
        """Return the next connection."""
        assert self.came, f"nobody has connected to {self.endpoint}"
        return self.came.popleft()

    def untouched(self) -> bool:
        """Whether nobody has come."""
        return not self.came

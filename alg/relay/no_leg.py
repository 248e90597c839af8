"""`NoLeg`: the server's leg of a flow whose client has not chosen its server yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from alg.relay.leg import LegSocket
from alg.relay.poller import Watcher


class NoLeg(LegSocket):
    """Stands where the client has not chosen its server yet: nothing comes from it, what is sent to it is dropped."""

    __slots__ = ()

    def __init__(self, loop: asyncio.AbstractEventLoop, watcher: Watcher) -> None:
        super().__init__(loop, watcher, None)

    def resume(self, on_readable: Callable[[], None]) -> None:
        """There is nothing to read."""

    def send(self, data: bytes | memoryview) -> None:
        """There is nobody to send to."""

    def send_eof(self, *, truncated: bool = False) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """There is nothing to close."""

    def reset(self) -> None:
        """There is nothing to reset."""

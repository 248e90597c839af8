"""The reverse direction: real clients meet a server that misbehaves, directly and through the gateway.

What a client makes of it is its own affair; it must make the same of it through the gateway, or what the row allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import clients
from .clients import Surroundings
from .rogue_server import FRAMES, HEADS, PATHS, PIECES

CLIENTS = ("websockets", "ws", "chromium")
# A gateway that reads heads may refuse what is wrong there, whatever the client would make of it.
HEAD_ALLOWED = frozenset(["refused"])
# A gateway that reads frames may end the connection with a code of its own, or without one.
FRAME_ALLOWED = frozenset(
    f"opened | {more}{code}" for code in (1002, 1006, 1007, 1009, 1011) for more in ("", "message hi | ")
)
RIGHT = ("well", *PIECES)


@dataclass(frozen=True)
class Encounter:
    """A client, and what the server does to it."""

    client: str
    path: str

    @property
    def area(self) -> str:
        """As with the cases."""
        return "reverse, handshake" if self.path in HEADS else "reverse, frames"

    @property
    def label(self) -> str:
        """What `--only` is compared with."""
        return f"{self.area}/{self.path}/{self.client}"

    @property
    def allowed(self) -> frozenset[str]:
        """What may come of it through a gateway, besides what comes of it without one."""
        if self.path in RIGHT:
            return frozenset()
        if self.path == "no-reason":  # a gateway writes the head anew, with the blank that was missing
            return HEAD_ALLOWED | {"opened | message hi | 1000"}
        return (
            HEAD_ALLOWED
            if self.path in HEADS
            else FRAME_ALLOWED | HEAD_ALLOWED
            if self.path in FRAMES
            else HEAD_ALLOWED
        )

    def play(self, around: Surroundings, base: str) -> str:
        """What the client sees."""
        protocols = ["lab.v1"] if self.path == "protocol-other" else []
        play: Callable[..., str] = clients.CLIENTS[self.client]
        return play(around, "observe", base, {"path": f"/{self.path}", "protocols": protocols})

    def wrong(self, seen: str) -> bool:
        """Whether that cannot be, whoever sees it: what is right must be taken."""
        return self.path in RIGHT and seen != "opened | message hi | 1000"


def encounters() -> Iterator[Encounter]:
    """All of them."""
    for client in CLIENTS:
        for path in PATHS:
            yield Encounter(client, path)

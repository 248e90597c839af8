"""`Stage`: all that a case may know of the host that it runs in: how to begin a session, how to act as its client, its
server and a stranger, and what was recorded. Nothing in here knows a host, a socket or an address.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from alg.core.addresses import Address
from alg.core.model import Endpoint, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import LeaseLimits


class Who(enum.Enum):
    """The parties that a case speaks for. Each has an address of its own."""

    CLIENT = "client"
    SERVER = "server"
    STRANGER = "stranger"


class How(enum.Enum):
    """How a connection ended, seen from one end of it."""

    END = "end"
    """In an orderly way: all was said."""
    RESET = "reset"
    """It broke: more may have been to come."""


@dataclass(frozen=True)
class Terms:
    """What the operator says about the route of a case; the defaults are those of a host that is told nothing."""

    config: object = None
    """The plugin's configuration; None: its default one."""
    targets: Mapping[Side, tuple[Who, ...]] = field(default_factory=dict)
    """Whom each side may name besides itself."""
    limits: LeaseLimits = field(default_factory=LeaseLimits)
    tls: tuple[Side, ...] = ()
    """The legs on which TLS is to be had."""


class Peer(Protocol):
    """One end of a connection with the gateway at its other end."""

    @property
    def local(self) -> Endpoint:
        """This end."""

    @property
    def remote(self) -> Endpoint:
        """The gateway's end."""

    async def send(self, *pieces: bytes) -> None:
        """Say something; the host gets each piece before the next one is sent."""

    async def receive(self, count: int) -> bytes:
        """Return exactly that many bytes; to wait for bytes that never come fails."""

    async def line(self) -> bytes:
        """Return one line with its end."""

    async def rest(self) -> tuple[bytes, How]:
        """Return all that comes until the connection ends, and how it did."""

    async def end(self) -> None:
        """Say that nothing more will be said; go on listening."""

    async def reset(self) -> None:
        """Break the connection."""

    async def start_tls(self) -> None:
        """Shake hands: as TLS client where the gateway's client speaks, as TLS server where its server does."""


class Target(Protocol):
    """A place where a party listens."""

    @property
    def endpoint(self) -> Endpoint:
        """Where."""

    async def accept(self) -> Peer:
        """Return the next connection that the gateway makes to it."""

    def untouched(self) -> bool:
        """Whether nobody has connected who was not accepted yet."""


class Stage(Protocol):
    """One gateway with one route, made for one case. It gives everything back when the case is over."""

    def address(self, who: Who) -> Address:
        """Where that party lives."""

    @property
    def third_party(self) -> Address:
        """The address of a host that has no part in the case, and is not the gateway's own by any reading."""

    @property
    def gateway(self) -> Endpoint:
        """Where clients of the route arrive."""

    async def begin(self, plugin: type[StreamPlugin[object]], terms: Terms | None = None) -> tuple[Peer, Peer]:
        """Set up the route, and begin a session; return its client and its server."""

    async def again(self) -> tuple[Peer, Peer]:
        """Begin a further session of the same route."""

    async def connect(self, to: Endpoint, who: Who) -> Peer:
        """Have a party connect.

        Raises:
            ConnectionError: nobody listens there, or the connection is reset at once.
        """

    async def refused(self, to: Endpoint, who: Who) -> bool:
        """Whether a party that connects there is turned away: nobody listens, or hangs up without a byte."""

    def listen(self, who: Who, port: int = 0) -> Target:
        """Have a party listen, at any free port unless one is given."""

    @property
    def records(self) -> list[str]:
        """The reasons of all records so far, oldest first."""

    async def recorded(self, reason: str, count: int = 1) -> None:
        """Wait until so many records of that reason were written."""

    async def over(self) -> None:
        """Wait until all sessions are over, and make sure that they gave back what they had."""

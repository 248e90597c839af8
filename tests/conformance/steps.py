"""What cases have in common: how a case is made known, and the steps that many of them take. No host is known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from alg.core.model import Endpoint, Side
from tests.conformance.plugins import endpoint_in, here
from tests.conformance.stage import How, Peer, Stage, Target, Who

Play: TypeAlias = Callable[[Stage], Awaitable[None]]

SAYS_IT = {Side.CLIENT: Who.CLIENT, Side.SERVER: Who.SERVER}
"""The party on each side."""


@dataclass(frozen=True)
class Case:
    """One thing that must hold in every host."""

    name: str
    section: str
    """Where the design says so."""
    proves: str
    play: Play


CASES: dict[str, Case] = {}
"""All cases by name. The modules that `runner` names fill it."""


def case(section: str) -> Callable[[Play], Play]:
    """Make a function a case: its name and docstring are the case's."""

    def add(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        assert name not in CASES, f"two cases are called {name}"
        assert play.__doc__, f"{name} does not say what it proves"
        CASES[name] = Case(name, section, play.__doc__.partition("\n")[0], play)
        return play

    return add


async def hears(peer: Peer, data: bytes) -> None:
    """The next bytes that a peer gets are these."""
    got = await peer.receive(len(data))
    assert got == data, f"{got!r} came, not {data!r}"


async def says(sayer: Peer, hearer: Peer, line: bytes) -> None:
    """A line passes as it is."""
    await sayer.send(line)
    await hears(hearer, line)


async def announce(sayer: Peer, hearer: Peer, target: Endpoint) -> Endpoint:
    """Somebody names a target; return the endpoint that the other side is told in its place."""
    await sayer.send(here(target))
    told = endpoint_in(await hearer.line())
    assert told != target, "the target itself was told"
    return told


async def is_refused(sayer: Peer, target: Endpoint | bytes, *reasons: str) -> None:
    """Who names that target, in our spelling or as a line of its own, is told that this is refused, for one of these reasons."""
    await sayer.send(target if isinstance(target, bytes) else here(target))
    line = await sayer.line()
    assert line in [f"refused {reason}\n".encode() for reason in reasons], line


@dataclass(frozen=True)
class Pair:
    """A session in which the server may announce to the client: the usual start of a case about related flows."""

    client: Peer
    server: Peer
    target: Target
    """Where the server listens."""

    async def announced(self) -> Endpoint:
        """The server names its target; return what the client is told."""
        return await announce(self.server, self.client, self.target.endpoint)


async def joined(stage: Stage, at: Endpoint, target: Target, who: Who = Who.CLIENT) -> tuple[Peer, Peer]:
    """A related flow: somebody connects there, and the target accepts; return both ends."""
    opener = await stage.connect(at, who)
    return opener, await target.accept()


async def talk(one: Peer, other: Peer) -> None:
    """Bytes pass both ways."""
    await says(one, other, b"from one\n")
    await says(other, one, b"from the other\n")


async def finish(one: Peer, other: Peer) -> None:
    """Both say that they have said all, and both hear it; nothing more had been said."""
    await one.end()
    await has_ended(other)
    await other.end()
    await has_ended(one)


async def has_ended(peer: Peer) -> None:
    """The other end has said in an orderly way that nothing more will come, and nothing came before."""
    assert (rest := await peer.rest()) == (b"", How.END), rest


async def last_words(peer: Peer) -> bytes:
    """Return all that comes until the connection ends, in order or not; then hang up too."""
    words, _ = await peer.rest()
    await peer.end()
    return words

"""The plugins of the cases that announce related flows, loaded as `tests.conformance.announcers:Name`. What differs from
`Announcing` in each of them is one term of the expectation, or what it does with the outcome.
"""

from __future__ import annotations

from typing import ClassVar

from alg.plugin import (
    Accept,
    AlgError,
    BindError,
    Binding,
    Connect,
    Endpoint,
    Outcome,
    PolicyError,
    Side,
    Stream,
)
from tests.conformance.plugins import Passing, here


class Announcing(Passing):
    """`here ADDRESS PORT`, said by either side: the other side is to connect there, and is told a listener of ours.

    Who may not announce is told `refused REASON`. `release`: the newest listener is given back. Other lines pass.
    """

    name = "announcing"
    related_flows = True
    limit: ClassVar[int | None] = 1
    lifetime: ClassVar[float] = 60.0
    treated_by: ClassVar[str | None] = None
    covered: ClassVar[tuple[Side, ...]] = ()

    def __init__(self, config: None) -> None:
        super().__init__(config)
        self.bindings: list[Binding] = []

    async def take(self, stream: Stream, line: bytes) -> None:
        """Do what the line says."""
        words = line.split()
        if words[:1] == [b"here"] and len(words) == 3:
            await self.announce(stream, Endpoint.parse(words[1], words[2]))
        elif line == b"release\n":
            self.bindings.pop().release()
            stream.reply(b"released\n")
        else:
            stream.send(line)

    async def announce(self, stream: Stream, target: Endpoint) -> None:
        """Masquerade the target, or say why not."""
        try:
            binding = await self.flow.expect(
                stream.side.other,
                target,
                announced_by="here",
                limit=self.limit,
                lifetime=self.lifetime,
                plugin=self.treated_by,
                tls=self.covered,
                on_end=self.on_end,
            )
        except (PolicyError, BindError) as error:
            stream.reply(b"refused %s\n" % error.reason.encode())
        else:
            self.bindings.append(binding)
            stream.send(here(binding.endpoint))

    def on_end(self, outcome: Outcome) -> None:
        """Hear what came of a related flow."""

    def refusal(self, error: AlgError) -> bytes:
        """Name the reason."""
        return f"sorry {error.reason}\n".encode()


class Thrice(Announcing):
    """Three may come."""

    name = "thrice"
    limit = 3


class Anybody(Announcing):
    """Any number may come."""

    name = "anybody"
    limit = None


class Brief(Announcing):
    """Who comes must come at once. `time`: whoever asks is told what the clock says, in milliseconds."""

    name = "brief"
    lifetime = 0.05

    async def take(self, stream: Stream, line: bytes) -> None:
        """Tell the time."""
        if line == b"time\n":
            stream.reply(b"%d\n" % round(self.flow.now * 1000))
        else:
            await super().take(stream, line)


class Treated(Announcing):
    """Related flows are treated by a plugin."""

    name = "treated"
    treated_by = "tests.conformance.plugins:Upper"


class Covered(Announcing):
    """Related flows are TLS from their first byte, on both legs."""

    name = "covered"
    covered = (Side.CLIENT, Side.SERVER)


class Untreatable(Announcing):
    """Related flows are to be treated by a plugin that there is not."""

    name = "untreatable"
    treated_by = "tests.conformance.plugins:Nothing"


class Counting(Announcing):
    """The client is told what came of each related flow, and so are the records, under `counted`."""

    name = "counting"

    async def from_client(self, stream: Stream) -> None:
        """Keep the stream to the client."""
        self.client = stream
        await super().from_client(stream)

    def on_end(self, outcome: Outcome) -> None:
        """Tell it."""
        how = "broken" if outcome.error else "complete"
        words = f"{outcome.from_client} up, {outcome.from_server} down, {how}"
        self.flow.log("counted", words)
        self.client.reply(f"{words}\n".encode())


class FailingAtTheEnd(Announcing):
    """It raises when it is told of an outcome."""

    name = "failing-at-the-end"

    def on_end(self, outcome: Outcome) -> None:
        """Fail."""
        raise RuntimeError("cannot hear this")


class Meeting(Announcing):
    """The client's `meet`: each side is told a listener, and the two that come there meet. `dial` with the client's
    endpoint and the server's: the gateway connects to both.
    """

    name = "meeting"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Do what the line says."""
        verb, *words = line.split()
        if verb == b"meet":
            binding = await self.flow.expect_legs(Accept(), Accept(), announced_by="meet")
            stream.reply(here(binding.endpoints[Side.CLIENT]))
            stream.send(here(binding.endpoints[Side.SERVER]))
        elif verb == b"dial":
            client, server = Endpoint.parse(words[0], words[1]), Endpoint.parse(words[2], words[3])
            (await self.flow.expect_legs(Connect(client), Connect(server), announced_by="dial")).dial()
        else:
            stream.send(line)


class Sharing(Announcing):
    """The client is told listeners that all sessions share. `leads ADDRESS PORT` of the client: it is told where to."""

    name = "sharing"
    treated_by = "sharing"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Do what the line says."""
        words = line.split()
        if words[:1] == [b"leads"]:
            led = self.flow.shared_target(Endpoint.parse(words[1], words[2]))
            stream.reply(here(led.target) if led else b"nowhere\n")
        elif words == [b"name"]:
            stream.reply(f"{self.flow.server.name}\n".encode())
        else:
            await super().take(stream, line)

    async def announce(self, stream: Stream, target: Endpoint) -> None:
        """Masquerade the target, or say why not."""
        try:
            binding = await self.flow.expect(
                *(stream.side.other, target),
                announced_by="here",
                lifetime=self.lifetime,
                plugin=self.treated_by,
                shared=True,
                name="a.example",
            )
        except (PolicyError, BindError) as error:
            stream.reply(b"refused %s\n" % error.reason.encode())
        else:
            stream.send(here(binding.endpoint))


class SharingBriefly(Sharing):
    """Who comes must come at once."""

    name = "sharing-briefly"
    treated_by = "sharing-briefly"
    lifetime = 0.05

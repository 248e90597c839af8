"""The plugins of the cases that treat what passes on one connection. Each does one thing that a case is about, in as few
lines as it takes; hosts load them as `tests.conformance.plugins:Name`. Those that announce are in `announcers`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from alg.plugin import AlgError, Endpoint, Pipeline, Promise, ProtocolError, Side, Stream, StreamPlugin

LINE_LIMIT = 64
"""Bytes of a line, with its end."""

SOON = 0.05
"""Seconds that are over in a moment."""

SOME_LIMIT = 4
"""Bytes that `Framed` reads at once."""


def here(endpoint: Endpoint) -> bytes:
    """The line that names an endpoint."""
    return b"here %s\n" % endpoint.to_bytes(b" ")


def endpoint_in(line: bytes) -> Endpoint:
    """The endpoint that a line names."""
    word, address, port = line.split()
    assert word == b"here", line
    return Endpoint.parse(address, port)


class Passing(StreamPlugin[None]):
    """Lines pass, both ways."""

    name = "passing"

    async def from_client(self, stream: Stream) -> None:
        """Take line by line."""
        await self.treat(stream)

    async def from_server(self, stream: Stream) -> None:
        """Take line by line."""
        await self.treat(stream)

    async def treat(self, stream: Stream) -> None:
        """Take line by line."""
        async for line in stream.lines(LINE_LIMIT):
            await self.take(stream, line)

    async def take(self, stream: Stream, line: bytes) -> None:
        """Take one line."""
        stream.send(line)


class Framed(StreamPlugin[None]):
    """The client's `put COUNT` and so many bytes go on within `<` and `>`, what the server says in pieces within `[` and `]`."""

    name = "framed"

    async def from_client(self, stream: Stream) -> None:
        """Read lines and counted bytes."""
        while line := await stream.read_line(LINE_LIMIT):
            stream.send(b"<" + await stream.read_exactly(int(line.split()[1])) + b">")

    async def from_server(self, stream: Stream) -> None:
        """Read what there is, up to a limit."""
        while piece := await stream.read_some(SOME_LIMIT):
            stream.send(b"[" + piece + b"]")


class Asking(StreamPlugin[None]):
    """The server has one line for each of the client. `ping` is answered here; the answer to `where` is rewritten."""

    name = "asking"
    pipeline: Pipeline[bytes]

    async def from_client(self, stream: Stream) -> None:
        """Note what was asked."""
        self.pipeline = Pipeline(stream.reply, limit=8)
        async for line in stream.lines(LINE_LIMIT):
            if line == b"ping\n":
                self.pipeline.answered_here(line, b"pong\n")
            else:
                self.pipeline.forwarded(line)
                stream.send(line)

    async def from_server(self, stream: Stream) -> None:
        """Trust an address only where one was asked for."""
        async for line in stream.lines(LINE_LIMIT):
            if self.pipeline.awaited is None:
                raise ProtocolError("an answer to no question", reason="unsolicited_reply")
            if self.pipeline.awaited == b"where\n" and line.startswith(b"here "):
                line = here((await self.flow.expect(Side.CLIENT, endpoint_in(line))).endpoint)
            stream.send(line)
            self.pipeline.answered()


class Securing(Passing):
    """The client's `tls` and the names of legs: they become TLS, the server's first. `secure`: the client is told which are."""

    name = "securing"

    async def from_client(self, stream: Stream) -> None:
        """Do what the line says."""
        async for line in stream.lines(LINE_LIMIT):
            verb, *legs = line.split()
            if verb == b"tls":
                await self._protect(stream, legs)
            elif verb == b"secure":
                secure = [side.value for side in Side if self.flow.leg(side).secure]
                stream.reply(f"secure: {' '.join(secure)}\n".encode())
            else:
                stream.send(line)

    async def _protect(self, stream: Stream, legs: list[bytes]) -> None:
        if b"server" in legs:
            await self.flow.start_tls(Side.SERVER)
        if b"client" in legs:
            stream.reply(b"go\n")
            await self.flow.start_tls(Side.CLIENT)
        stream.reply(b"done\n")


class Failing(Passing):
    """`fail`, from either side, raises. The client is told the reason of whatever ends its session."""

    name = "failing"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Fail if told to."""
        if line == b"fail\n":
            raise RuntimeError("told to")
        stream.send(line)

    def refusal(self, error: AlgError) -> bytes:
        """Name the reason."""
        return f"sorry {error.reason}\n".encode()


class Foreign:
    """Something to await that no host can answer."""

    def __await__(self) -> Generator[object, object, None]:
        yield "nobody knows this request"


class AwaitingForeign(Failing):
    """`fail` awaits what is not of the plugin API."""

    name = "awaiting-foreign"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Wait for nobody if told to."""
        if line == b"fail\n":
            await Foreign()
        stream.send(line)


class NotAsync(Failing):
    """Its `from_client` looks like a coroutine to whoever loads it, and is none when it is called."""

    name = "not-async"

    def __init__(self, config: None) -> None:
        super().__init__(config)
        self.from_client = self._plain  # type: ignore[method-assign, assignment]

    def _plain(self, stream: Stream) -> None:
        stream.send(b"said by what is no coroutine\n")


class Returning(Passing):
    """One line of each side is read; what follows is nobody's business."""

    name = "returning"

    async def treat(self, stream: Stream) -> None:
        """Read one line, and leave."""
        stream.send(b"read " + await stream.read_line(LINE_LIMIT))


class Splicing(Passing):
    """At the client's `splice` both directions become opaque."""

    name = "splicing"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Show that the line was read, until there is no more reading."""
        if line == b"splice\n":
            self.flow.splice()
        else:
            stream.send(b"read " + line)

    async def treat(self, stream: Stream) -> None:
        """Leave once all is spliced: reading on would be a mistake."""
        while line := await stream.read_line(LINE_LIMIT):
            await self.take(stream, line)
            if line == b"splice\n":
                return


class HalfDeaf(StreamPlugin[None]):
    """Reads the server only; the client's bytes are opaque from the start."""

    name = "half-deaf"

    async def from_server(self, stream: Stream) -> None:
        """Pass lines."""
        async for line in stream.lines(LINE_LIMIT):
            stream.send(line)


class Promising(Passing):
    """`ask` of the client goes on, and nothing of the client is read until the server has answered it."""

    name = "promising"

    def __init__(self, config: None) -> None:
        super().__init__(config)
        self.answer: Promise[bytes] = Promise()

    async def from_client(self, stream: Stream) -> None:
        """Wait for the other coroutine."""
        async for line in stream.lines(LINE_LIMIT):
            stream.send(line)
            if line == b"ask\n":
                stream.send(b"client knows " + await self.answer)

    async def from_server(self, stream: Stream) -> None:
        """Keep the promise with the first line."""
        async for line in stream.lines(LINE_LIMIT):
            self.answer.keep(line)
            stream.send(line)


class Upper(StreamPlugin[None]):
    """For related flows: what the server sends becomes upper case, what the client sends lower case."""

    name = "upper"

    async def from_client(self, stream: Stream) -> None:
        """Change it."""
        while data := await stream.read_some():
            stream.send(data.lower())

    async def from_server(self, stream: Stream) -> None:
        """Change it."""
        while data := await stream.read_some():
            stream.send(data.upper())


@dataclass(frozen=True)
class Tag:
    """What `Tagging` says before each line."""

    word: str = "default"


class Tagging(StreamPlugin[Tag]):
    """Each line of the client goes on behind a word of the configuration."""

    name = "tagging"
    config_type = Tag

    async def from_client(self, stream: Stream) -> None:
        """Put the word before it."""
        async for line in stream.lines(LINE_LIMIT):
            stream.send(f"{self.config.word} ".encode() + line)

    async def from_server(self, stream: Stream) -> None:
        """Pass lines."""
        async for line in stream.lines(LINE_LIMIT):
            stream.send(line)


class Unread(Failing):
    """`COUNT`, and so many bytes pass unread behind it, both ways. `close` of either side ends the flow; `soon` lets it end
    in a moment, `never` takes that back, `later` puts it off.
    """

    name = "unread"

    async def take(self, stream: Stream, line: bytes) -> None:
        """Do what the line says."""
        times = {b"soon\n": SOON, b"later\n": 60.0, b"never\n": None}
        if line in times:
            self.flow.deadline(times[line], "the case")
            stream.reply(b"so be it\n")
        elif line == b"close\n":
            self.flow.close()
        else:
            stream.send(line)
            if line.strip().isdigit():
                await stream.forward(int(line))

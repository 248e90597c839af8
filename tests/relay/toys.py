"""Plugins for tests: a line protocol whose commands are what a plugin may do, and plugins that fail."""

from __future__ import annotations

from dataclasses import dataclass

from alg.core.errors import AlgError
from alg.core.model import Endpoint, Side
from alg.core.plugin import StreamPlugin
from alg.core.stream import Stream

LONG_ANSWER = b"x" * 63 + b"\n"
"""What `TalkativePlugin` says to each line."""


class ToyPlugin(StreamPlugin[None]):
    """`open` or `many`, ADDRESS PORT [PLUGIN]; `raise`, `splice`, `close`; `tls` SIDE and `clear` SIDE, the latter of which
    are answered. Other lines go to the server.
    """

    name = "toy"
    related_flows = True

    async def from_client(self, stream: Stream) -> None:
        """Do what the line says."""
        async for raw in stream.lines(200):
            verb, *words = raw.decode("ascii").split()
            if verb in ("open", "many"):
                await self._open(stream, words, 1 if verb == "open" else None)
            elif verb == "raise":
                raise RuntimeError("told to")
            elif verb == "splice":
                self.flow.splice()
                return
            elif verb == "close":
                self.flow.close()
                return
            elif verb in ("tls", "clear"):
                await self._protect(stream, verb, Side(words[0]))
            else:
                stream.send(raw)

    async def _open(self, stream: Stream, words: list[str], limit: int | None) -> None:
        plugin = words[2] if len(words) > 2 else None
        binding = await self.flow.expect(Side.CLIENT, Endpoint.parse(words[0], words[1]), limit=limit, plugin=plugin)
        stream.reply(b"%s\n" % binding.endpoint.to_bytes(b" "))

    async def _protect(self, stream: Stream, verb: str, side: Side) -> None:
        if side is Side.CLIENT:
            stream.reply(b"go ahead\n")
        if verb == "tls":
            await self.flow.start_tls(side)
        else:
            await self.flow.stop_tls(side)
        stream.reply(b"done\n")

    async def from_server(self, stream: Stream) -> None:
        """Send on what comes, whatever it is."""
        while data := await stream.read_some():
            stream.send(data)
        self.flow.close()

    def refusal(self, error: AlgError) -> bytes:
        """Name the reason."""
        return f"sorry, {error.reason}\n".encode("ascii")


class UpperPlugin(StreamPlugin[None]):
    """For related flows: makes upper case of what the server sends; what the client sends is opaque."""

    name = "upper"

    async def from_server(self, stream: Stream) -> None:
        """Send it on in upper case."""
        while data := await stream.read_some():
            stream.send(data.upper())


class PlainPlugin(ToyPlugin):
    """One of its methods is no coroutine, and fails when it is called."""

    name = "plain"

    def from_client(self, stream: Stream) -> None:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("cannot begin")


class UnbornPlugin(ToyPlugin):
    """Fails when it is made."""

    name = "unborn"

    def __init__(self, config: None) -> None:
        raise RuntimeError("cannot be made")


class BothWaysPlugin(StreamPlugin[None]):
    """Reads both sides, and sends on what comes."""

    name = "both"

    async def from_client(self, stream: Stream) -> None:
        """Send it on."""
        while data := await stream.read_some():
            stream.send(data)

    async def from_server(self, stream: Stream) -> None:
        """Send it on."""
        while data := await stream.read_some():
            stream.send(data)


class FromServerPlugin(StreamPlugin[None]):
    """Reads the server, and closes at its end; what the client sends is opaque."""

    name = "from-server"

    async def from_server(self, stream: Stream) -> None:
        """Send it on, and close behind it."""
        while data := await stream.read_some():
            stream.send(data)
        self.flow.close()


class TalkativePlugin(StreamPlugin[None]):
    """Answers each line of the client itself, at length."""

    name = "talkative"

    async def from_client(self, stream: Stream) -> None:
        """Answer."""
        async for _ in stream.lines(100):
            stream.reply(LONG_ANSWER)

    async def from_server(self, stream: Stream) -> None:
        """Send on what comes."""
        while data := await stream.read_some():
            stream.send(data)


@dataclass(frozen=True)
class NeedyConfig:
    """A configuration that has no default."""

    path: str = ""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must be set")


class NeedyPlugin(StreamPlugin[NeedyConfig]):
    """Cannot be made without being configured."""

    name = "needy"
    config_type = NeedyConfig

    async def from_server(self, stream: Stream) -> None:
        """Read."""
        await stream.read_some()


class CountingPlugin(StreamPlugin[None]):
    """`COUNT`, and so many bytes pass unread behind it, both ways; `close` ends the flow; `deadline SECONDS` is answered."""

    name = "counting"

    async def from_client(self, stream: Stream) -> None:
        """Do what the line says."""
        await self._treat(stream)

    async def from_server(self, stream: Stream) -> None:
        """Do what the line says."""
        await self._treat(stream)

    async def _treat(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            verb, *words = line.split()
            if verb == b"close":
                self.flow.close()
            elif verb == b"deadline":
                self.flow.deadline(float(words[0]))
                stream.reply(b"set\n")
            else:
                stream.send(line)
                await stream.forward(int(verb))

    def refusal(self, error: AlgError) -> bytes:
        """Name the reason."""
        return f"sorry, {error.reason}\n".encode("ascii")


class SharingPlugin(ToyPlugin):
    """`share ADDRESS PORT LIFETIME PLUGIN NAME [SIDE ...]`: a listener that sessions share; the legs on these sides are TLS.
    `name`: that of the server.
    """

    name = "sharing"

    async def from_client(self, stream: Stream) -> None:
        """Do what the line says."""
        async for line in stream.lines(200):
            words = line.decode("ascii").split()
            if words[0] == "name":
                stream.reply(f"{self.flow.server.name} {self.flow.server.secure}\n".encode("ascii"))
            elif words[0] == "share":
                await self._share(stream, words[1:])
            else:
                stream.send(line)

    async def _share(self, stream: Stream, words: list[str]) -> None:
        address, port, lifetime, plugin, name, *sides = words
        try:
            binding = await self.flow.expect(
                *(Side.CLIENT, Endpoint.parse(address, port)),
                lifetime=float(lifetime),
                plugin=plugin,
                tls=[Side(side) for side in sides],
                shared=True,
                name=None if name == "-" else name,
            )
        except AlgError as error:
            stream.reply(f"no {error.reason}\n".encode("ascii"))
        else:
            stream.reply(b"%s\n" % binding.endpoint.to_bytes(b" "))

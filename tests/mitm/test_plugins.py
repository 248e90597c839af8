"""Plugins of other people load here as in the daemon; one that fails ends its connection, and nothing passes."""

from __future__ import annotations

import pytest

from alg.plugin import Endpoint, Side, Stream, StreamPlugin
from tests.mitm.conftest import Run
from tests.mitm.rig import proxying

HERE = "tests.mitm.test_plugins"


class CallPlugin(StreamPlugin[None]):
    """`CALL 10.0.0.9 4000`: the server is to connect, and what follows is treated by the same plugin."""

    name = "call"

    async def from_client(self, stream: Stream) -> None:
        """The client announces."""
        async for line in stream.lines(limit=100):
            words = line.split()
            if words[:1] == [b"CALL"] and len(words) == 3:
                target = Endpoint.parse(*words[1:])
                binding = await self.flow.expect(Side.SERVER, target, announced_by="CALL", plugin="call")
                line = b"CALL %s\r\n" % binding.endpoint.to_bytes(b" ")
            stream.send(line.upper())

    async def from_server(self, stream: Stream) -> None:
        """What the server says passes line by line."""
        async for line in stream.lines(limit=100):
            stream.send(line.lower())


class RaisingPlugin(CallPlugin):
    """Fails at the second line."""

    name = "raising"

    async def from_server(self, stream: Stream) -> None:
        """A defect."""
        stream.send(await stream.read_line(100))
        await stream.read_line(100)
        raise ZeroDivisionError("a defect")


class UnmakeablePlugin(CallPlugin):
    """Fails when it is made for a connection; the first time is at load."""

    name = "unmakeable"
    made = 0

    def __init__(self, config: None) -> None:
        super().__init__(config)
        type(self).made += 1
        if self.made > 1:
            raise ZeroDivisionError("a defect")


def test_module_and_class(run: Run) -> None:
    """Its related flow is treated by it as well."""

    async def work() -> None:
        async with proxying(options={"alg_plugins": [f"*={HERE}:CallPlugin"]}) as mitm:
            client, server = await mitm.pair()
            listener = await mitm.listen()
            client.say(b"call nobody\r\nCALL 127.0.0.1 %d\r\n" % listener.port)
            await server.hear(b"CALL NOBODY\r\n")
            port = int((await server.line()).split()[2])
            caller = await mitm.connect(port)
            called = await listener.accept()
            caller.say(b"HELLO\r\n")
            await called.hear(b"hello\r\n")
            called.say(b"hello\r\n")
            await caller.hear(b"HELLO\r\n")
            assert mitm.flows[1].metadata["alg"]["role"] == "related"

    run(work())


def test_a_plugin_that_raises(run: Run) -> None:
    """Its session ends; what it did not judge does not pass."""

    async def work() -> None:
        async with proxying(options={"alg_plugins": [f"*={HERE}:RaisingPlugin"]}) as mitm:
            client, server = await mitm.pair()
            server.say(b"ONE\r\nTWO\r\nTHREE\r\n")
            assert await client.until_cut() == b"ONE\r\n"
            assert await server.until_cut() == b""
            await mitm.until("plugin_failed")
            assert "ZeroDivisionError" in str(mitm.flows[0].error)

    run(work())


def test_a_plugin_that_cannot_be_made(run: Run) -> None:
    """mitmproxy itself would let everything pass."""

    async def work() -> None:
        UnmakeablePlugin.made = 0
        async with proxying(options={"alg_plugins": [f"*={HERE}:UnmakeablePlugin"]}) as mitm:
            client, server = await mitm.pair()
            server.say(b"ONE\r\n")
            assert await client.until_cut() == b""
            assert await server.until_cut() == b""
            assert "plugin_failed" in mitm.gateway.records

    run(work())


def test_bytes_ahead_are_bounded(run: Run) -> None:
    """A side that says too much while its plugin waits is cut off: mitmproxy reads on whatever we do."""

    async def work() -> None:
        async with proxying(options={"alg_plugins": [f"*={HERE}:WaitingPlugin"]}) as mitm:
            client, server = await mitm.pair()
            client.say(b"x" * 3_000_000)
            with pytest.raises(ConnectionError):
                await client.writer.drain()
                await client.rest()
                raise ConnectionResetError
            assert await server.until_cut() == b""
            assert "too_much_ahead" in mitm.gateway.records

    run(work())


class WaitingPlugin(StreamPlugin[None]):
    """Waits for the server before it reads its client."""

    name = "waiting"

    async def from_client(self, stream: Stream) -> None:
        """Reads one byte, and then nothing for a while."""
        await stream.read_exactly(2_900_000)

    async def from_server(self, stream: Stream) -> None:
        """Passes."""
        async for line in stream.lines(limit=100):
            stream.send(line)

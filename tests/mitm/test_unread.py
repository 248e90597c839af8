"""Bytes that pass unread by count, deadlines, a server's name, and what this host refuses: listeners that sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from alg.core.plugin import Plugin
from alg.mitm.alarm import Alarm
from alg.mitm.compat import commands
from alg.mitm.settings import well_known_ports
from alg.plugin import AlgError, BindError, Endpoint, Need, Side, Stream, StreamPlugin
from alg.registry import Registry
from tests.mitm.conftest import Run
from tests.mitm.rig import DEADLINE, proxying
from tests.mitm.test_options import refused

HERE = "tests.mitm.test_unread"


class UnreadPlugin(StreamPlugin[None]):
    """`COUNT` and so many bytes that pass unread, both ways. Of the client: `name`, `share`, `often` sets many deadlines."""

    name = "unread"

    async def from_client(self, stream: Stream) -> None:
        """Do what the line says."""
        async for line in stream.lines(100):
            await self._treat(stream, line)

    async def _treat(self, stream: Stream, line: bytes) -> None:
        if line == b"name\n":
            stream.reply(f"{self.flow.client.name} {self.flow.server.name}\n".encode())
        elif line == b"often\n":
            for _ in range(100):
                self.flow.deadline(60)
                self.flow.deadline(30)
            stream.reply(b"done\n")
        elif line == b"share\n":
            target = Endpoint(self.flow.server.peer.address, 4000)
            try:
                await self.flow.expect(Side.CLIENT, target, shared=True)
            except BindError as error:
                stream.reply(error.reason.encode() + b"\n")
        else:
            await self._forward(stream, line)

    async def from_server(self, stream: Stream) -> None:
        """Forward."""
        async for line in stream.lines(100):
            await self._forward(stream, line)

    def refusal(self, error: AlgError) -> bytes:
        """Say anything."""
        return b"sorry\n"

    async def _forward(self, stream: Stream, line: bytes) -> None:
        stream.send(line)
        await stream.forward(int(line))


class SharingPlugin(UnreadPlugin):
    """It cannot do without."""

    name = "sharing"
    default_port = 8000

    def needs(self) -> frozenset[Need]:
        """Shared listeners."""
        return frozenset({Need.SHARED, Need.CONNECT})


class OneMore(Registry):
    """A registry that knows the plugin above beside those that are installed."""

    def names(self) -> list[str]:
        """One more."""
        return [*super().names(), SharingPlugin.name]

    def find(self, name: str) -> type[Plugin[object]]:
        """It, or what is installed."""
        return SharingPlugin if name == SharingPlugin.name else super().find(name)


UNREAD = {"alg_plugins": [f"*={HERE}:UnreadPlugin"]}


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (4, [b"6\n", b"ab", b"0\n", b"2\n"]),
        (8, [b"6\n", b"ab", b"cdef", b"0\n", b"2\n"]),
        (100, [b"6\n", b"ab", b"cdef", b"0\n", b"2\n", b"xy"]),
    ],
)
def test_the_beginning_of_what_passes_is_shown(run: Run, limit: int, shown: list[bytes]) -> None:
    """By the rule for data channels: as long as that side has said no more than the limit. What was read is shown anyway."""

    async def work() -> None:
        async with proxying(options={**UNREAD, "alg_data_preview": limit}) as mitm:
            client, server = await mitm.pair()
            client.say(b"6\nab")
            await server.hear(b"6\nab")
            client.say(b"cdef0\n2\n")
            await server.hear(b"cdef0\n2\n")
            client.say(b"xy0\n")
            await server.hear(b"xy0\n")
            client.end()
            assert await server.rest() == b""
            server.close()
            await mitm.until("session_close")
            (flow,) = mitm.flows
            assert [message.content for message in flow.messages] == [*shown, b"0\n"]
            assert "16 bytes up" in mitm.flows[0].metadata["alg"]["records"][-1]

    run(work())


class Meddling:
    """An addon that fails where a word stands in a message."""

    def tcp_message(self, flow: object) -> None:
        """Fail, perhaps."""
        if b"boom" in flow.messages[-1].content:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a defect")


def test_an_addon_that_fails_in_the_middle(run: Run) -> None:
    """The client is in the middle of what the server says: it sees a reset."""

    async def work() -> None:
        async with proxying(options=UNREAD, addons=(Meddling(),)) as mitm:
            client, server = await mitm.pair()
            server.say(b"9\nab")
            await client.hear(b"9\nab")
            server.say(b"boom")
            got = bytearray()
            with pytest.raises(ConnectionError):
                while piece := await client.reader.read(100):
                    got += piece
            assert got == b""

    run(work())


def test_a_server_that_was_named_has_a_name(run: Run) -> None:
    """One that was given by its address has none, nor has a client."""

    async def work() -> None:
        for host, name in (("localhost", b"localhost"), ("127.0.0.1", b"None")):
            async with proxying(f"reverse:tcp://{host}:{{port}}@127.0.0.1:0", options=UNREAD) as mitm:
                client, _ = await mitm.pair()
                client.say(b"name\n")
                await client.hear(b"None %s\n" % name)

    run(work())


def test_many_deadlines_leave_few_timers(run: Run) -> None:
    """mitmproxy keeps a task for each call that is asked for, as long as the connection lasts; none is left behind it."""

    async def work() -> None:
        async with proxying(options=UNREAD) as mitm:
            client, server = await mitm.pair()
            client.say(b"often\n")
            await client.hear(b"done\n")
            calls = [task for task in asyncio.all_tasks() if "wakeup timer" in task.get_name()]
            assert len(calls) == 2
            client.close()
            server.close()
            await asyncio.wait(calls, timeout=DEADLINE)
            assert all(call.cancelled() for call in calls)

    run(work())


def test_an_alarm_asks_for_as_few_calls_as_it_can() -> None:
    """One that is moved on, again and again, asks anew when it is called; one that is moved ahead asks at once."""
    alarm = Alarm()
    calls: list[commands.RequestWakeup] = []

    def asked(given: Iterable[commands.Command]) -> list[float]:
        new = [each for each in given if isinstance(each, commands.RequestWakeup)]
        calls.extend(new)
        return [each.delay for each in new]

    def called(now: float, call: commands.RequestWakeup) -> tuple[list[float], bool]:
        answers: list[bool] = []

        def work() -> Iterator[commands.Command]:
            answers.append((yield from alarm.called(call, now)))

        return asked(work()), answers[0]

    assert asked(alarm.set(60, 0.0)) == [60]
    assert asked(alarm.set(60, 10.0)) == []
    assert asked(alarm.set(5, 20.0)) == [5]
    assert asked(alarm.set(60, 22.0)) == []
    assert called(25.0, calls[1]) == ([], False)
    assert called(60.0, calls[0]) == ([22.0], False)
    assert called(81.0, commands.RequestWakeup(22.0)) == ([], False)
    assert called(82.0, calls[2]) == ([], True)
    assert asked(alarm.set(1, 82.0)) == [1]
    assert asked(alarm.set(None, 82.5)) == []
    assert called(83.0, calls[3]) == ([], False)
    assert asked(alarm.set(-1, 90.0)) == [0.0]


def test_shared_listeners_are_refused_when_they_are_asked_for(run: Run) -> None:
    """By a plugin that can do without; its session goes on."""

    async def work() -> None:
        async with proxying(options=UNREAD) as mitm:
            client, server = await mitm.pair()
            client.say(b"share\n0\n")
            await client.hear(b"no_listener\n")
            await server.hear(b"0\n")

    run(work())


def test_a_plugin_that_needs_them_is_refused_when_it_is_loaded() -> None:
    """With what to do instead."""
    words = refused(alg_plugins=[f"80={HERE}:SharingPlugin"])
    assert "plugin sharing needs what cannot be done in mitmproxy: connect, shared; " in words
    assert "use --mode reverse:http://HOST:PORT" in words


def test_where_nobody_asked_for_it_there_is_no_such_plugin() -> None:
    """To have it installed does not stop mitmproxy from starting: that has its own way with what is at its port."""
    assert well_known_ports(OneMore()) == well_known_ports(Registry())
    assert 21 in well_known_ports(OneMore())

"""Persons and addons that meddle: flows that are killed, held back, injected into, or time out."""

from __future__ import annotations

import asyncio

import pytest
from mitmproxy.connection import Client
from mitmproxy.tcp import TCPFlow

from tests.mitm.conftest import Run
from tests.mitm.rig import DEADLINE, Mitm, Peer, proxying
from tests.mitm.test_ftp import greet, passive


async def active(client: Peer, server: Peer, port: int) -> int:
    """PORT; the port that the server is told."""
    client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(port, 256))
    high, low = (int(number) for number in (await server.line()).strip().split(b",")[-2:])
    return high * 256 + low


async def download(mitm: Mitm, client: Peer, server: Peer) -> tuple[Peer, Peer]:
    """Both ends of a passive data channel on which something has passed: the server's, the client's."""
    data = await mitm.listen()
    receiver = await mitm.connect(await passive(client, server, data.port))
    sender = await data.accept()
    sender.say(b"half of")
    await receiver.hear(b"half of")
    return sender, receiver


class KillsData:
    """Kills data channels as soon as they begin."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, getattr(self, f"_{hook}"))
        self._seen = 0

    def _client_connected(self, client: Client) -> None:
        self._seen += 1
        if self._seen > 1:
            client.error = "killed"

    def _tcp_start(self, flow: TCPFlow) -> None:
        self._seen += 1
        if self._seen > 1:
            flow.kill()


@pytest.mark.parametrize("hook", ["client_connected", "tcp_start"])
def test_both_legs_of_a_killed_data_channel_end(run: Run, hook: str) -> None:
    """Also the server's, which had come to us before."""

    async def work() -> None:
        async with proxying(addons=(KillsData(hook),)) as mitm:
            client, server = await greet(mitm)
            listener = await mitm.listen()
            sender = await mitm.connect(await active(client, server, listener.port))
            assert await (await listener.accept()).until_cut() == b""
            assert await sender.until_cut() == b""

    run(work())


def test_killed_by_hand(run: Run) -> None:
    """A person kills a data channel of which nothing is shown any more: nothing passes from there on."""

    async def work() -> None:
        async with proxying(options={"alg_data_preview": 1}) as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            mitm.flows[1].kill()
            sender.say(b" more")
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())


def test_idle_data_channel_is_no_complete_one(run: Run) -> None:
    """mitmproxy closes what is idle; whoever receives must not take that for the end of the file."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            sender = await mitm.connect(await passive(client, server, data.port))
            receiver = await data.accept()
            sender.say(b"half of")
            await receiver.hear(b"half of")
            connections = mitm.master.addons.get("proxyserver").connections
            await connections[mitm.flows[1].client_conn.id].on_timeout()
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())


def test_a_timed_out_flow_is_shown_as_over(run: Run) -> None:
    """Whoever watches flows hears of the end, and it is no live flow any more."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            connections = mitm.master.addons.get("proxyserver").connections
            await connections[mitm.flows[0].client_conn.id].on_timeout()
            await client.until_cut()
            await server.until_cut()
            server.close()
            await mitm.until("session_close")
            assert not mitm.flows[0].live

    run(work())


class Texter:
    """Sets a message to what is no bytes."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would, by mistake."""
        if flow.messages[-1].content.startswith(b"SITE"):
            flow.messages[-1].content = "SITE"


def test_a_message_that_is_no_bytes_ends_the_session(run: Run) -> None:
    """It is not left out in silence."""

    async def work() -> None:
        async with proxying(addons=(Texter(),)) as mitm:
            client, server = await greet(mitm)
            client.say(b"SITE x\r\nNOOP\r\n")
            assert await server.until_cut() == b""
            await mitm.until("hook_failed")

    run(work())


@pytest.mark.parametrize("to_client", [True, False])
def test_inject_behind_the_end(run: Run, caplog: pytest.LogCaptureFixture, to_client: bool) -> None:
    """What is injected behind an end goes nowhere, and what comes the other way still passes."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            ending, other = (sender, receiver) if to_client else (receiver, sender)
            ending.end()
            assert await other.rest() == b""
            mitm.master.commands.call("inject.tcp", mitm.flows[1], to_client, b"too late")
            other.say(b"ok")
            await ending.hear(b"ok")
            other.end()
            assert await ending.rest() == b""
            await mitm.until("flow_close")
            assert "crashed" not in caplog.text

    run(work())


def test_inject_behind_the_end_of_a_control_channel(run: Run) -> None:
    """A client that will say nothing more still hears the replies."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            client.say(b"STAT\r\n")
            client.end()
            await server.hear(b"STAT\r\n")
            mitm.master.commands.call("inject.tcp", mitm.flows[0], False, b"NOOP\r\n")
            server.say(b"211 ok\r\n")
            await client.hear(b"211 ok\r\n")

    run(work())


class Holds:
    """Holds back what a data channel says."""

    def __init__(self) -> None:
        self.held = asyncio.Event()

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a person would, by an interception filter."""
        if flow.messages[-1].content.endswith(b"more"):
            flow.intercept()
            self.held.set()


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_held_back_until_after_the_end(run: Run, kill: bool, broken: bool) -> None:
    """What is resumed arrives, what is killed does not; and neither hides that the sender broke off meanwhile."""

    async def work() -> None:
        holds = Holds()
        async with proxying(addons=(holds,)) as mitm:
            client, server = await greet(mitm)
            sender, receiver = await download(mitm, client, server)
            sender.say(b" more")
            async with asyncio.timeout(DEADLINE):
                await holds.held.wait()
            sender.reset() if broken else sender.end()
            client.say(b"NOOP\r\n")
            await server.hear(b"NOOP\r\n")
            mitm.master.commands.call("flow.kill" if kill else "flow.resume", [mitm.flows[1]])
            if kill or broken:
                with pytest.raises(ConnectionError):
                    await receiver.rest()
            else:
                assert await receiver.rest() == b" more"

    run(work())

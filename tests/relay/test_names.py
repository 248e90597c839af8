"""An upstream's name: what it resolves to at the start is the operator's word, what it turns into later is not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from alg_tcp import TcpPlugin

from alg import daemon
from alg.core.model import Endpoint
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import Route, Settings, Times, Upstream
from tests.conftest import Run
from tests.relay.peers import DEADLINE, SERVER, THIRD, Host, Peer
from tests.relay.rig import Notes, Rig
from tests.relay.test_flow_end import turns

ELSEWHERE = "192.0.2.7"
"""An address of nobody, and not of this host."""


NAME = "upstream.example"


class Resolver:
    """Stands in for the loop's resolver where that name is asked for; `answer` may change, None: it never says anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
        self.answer = answer
        self.asked = 0
        loop = asyncio.get_running_loop()
        self._others = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self._resolve, raising=False)

    async def _resolve(self, host: str, port: int, **words: Any) -> object:
        if host != NAME:
            return await self._others(host, port, **words)
        self.asked += 1
        if self.answer is None:
            await asyncio.Event().wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.answer, port))]

    async def until_asked(self) -> None:
        """Wait until it is asked once more, and its answer was taken."""
        before = self.asked
        async with asyncio.timeout(DEADLINE):
            while self.asked == before:
                await turns()
        await turns()


def route_to_name(port: int) -> Route:
    """A route to a name."""
    return Route(TcpPlugin, None, Endpoint.parse("127.0.0.1", 0), Upstream(NAME, port))


@asynccontextmanager
async def relaying_to_name(host: Host) -> AsyncIterator[Rig]:
    """A relay to a name that is looked up again for each client, be it within one tick of the loop's clock."""
    with Notes() as notes:
        relay = Relay([route_to_name(host.endpoint.port)], Registry(), times=Times(resolve=-1.0, connect=0.5))
        await relay.start()
        await turns()
        try:
            yield Rig(relay, notes, host)
        finally:
            relay.close()
            assert await relay.drain(DEADLINE)
            relay.close()


def test_name_that_turns_to_loopback_is_not_followed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the name cannot lead clients to what listens on the gateway's loopback only."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, ELSEWHERE)
        with Host(THIRD) as inside:
            async with relaying_to_name(inside) as rig:
                resolver.answer = THIRD
                for count in (1, 2, 3):
                    await lookup(rig, resolver)
                    assert "resolves to this host" in (await rig.notes.wait("bad_config", count)).message
                assert inside.untouched()
                await rig.at_rest()

    run(work())


def test_name_that_was_on_loopback_at_the_start_is_followed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who named a host on loopback meant it; there it may move."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, SERVER)
        with Host(SERVER) as first, Host(THIRD, port=first.endpoint.port) as second:
            async with relaying_to_name(first) as rig:
                resolver.answer = THIRD
                asking = asyncio.ensure_future(resolver.until_asked())
                with await Peer.connect(rig.at), await first.accept():
                    await asking
                with await Peer.connect(rig.at), await second.accept():
                    pass
                await rig.at_rest()

    run(work())


def test_name_that_moves_elsewhere_is_followed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later answer that is no loopback counts, also after one that was refused."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, ELSEWHERE)
        with Host(THIRD) as inside:
            async with relaying_to_name(inside) as rig:
                (listener,) = rig.relay.listeners
                for resolver.answer in (THIRD, "192.0.2.8"):
                    await lookup(rig, resolver)
                wanted = Endpoint.parse("192.0.2.8", inside.endpoint.port)
                assert list(listener.upstream_for(listener.local.address)) == [wanted]
                assert inside.untouched()
                await rig.at_rest()

    run(work())


async def lookup(rig: Rig, resolver: Resolver) -> None:
    """Have a client come, for whom the name is looked up again."""
    asking = asyncio.ensure_future(resolver.until_asked())
    with await Peer.connect(rig.at) as client:
        await asking
        await client.until_cut()


def test_request_to_stop_while_a_name_is_looked_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM at the start does not wait for a resolver that says nothing."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, None)
        asking = asyncio.ensure_future(resolver.until_asked())
        running = asyncio.ensure_future(daemon._run(Settings((route_to_name(9),)), Registry()))
        await asking
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            assert await running

    run(work())

"""Leases at their edges: the session ended meanwhile, a listener came later, an address is not ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.tcp import TCPFlow

from alg.core.commands import OpenBinding
from alg.core.events import CommandFailed
from alg.core.model import Endpoint, Expectation
from alg.mitm.compat import stands_for_servers
from alg.plugin import Side
from tests.mitm.conftest import Run
from tests.mitm.rig import DEADLINE, HOST, proxying
from tests.mitm.test_ftp import greet
from tests.mitm.test_meddling import active


class KillsReply:
    """Kills the flow at a 200."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        if flow.messages[-1].content.startswith(b"200"):
            flow.kill()


def test_leases_that_were_never_opened_are_given_back(run: Run) -> None:
    """A session that ends before its plugin's wish is carried out; its client has all its leases again."""

    async def work() -> None:
        async with proxying(addons=(KillsReply(),)) as mitm:
            client, server = await greet(mitm)
            client.say(b"NOOP\r\nPASV\r\n")
            await server.hear(b"NOOP\r\nPASV\r\n")
            server.say(b"200 ok\r\n227 Entering Passive Mode (127,0,0,1,200,1).\r\n")
            await client.until_cut()
            await mitm.until("killed")
            assert mitm.gateway.services.gate.pending_leases == 0

    run(work())


class KillsSite:
    """Kills a flow in which somebody says SITE."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        if flow.messages[-1].content.startswith(b"SITE"):
            flow.kill()


def test_nothing_comes_through_a_session_that_was_ended(run: Run) -> None:
    """A data channel whose client was still being dialled when its session was ended for a reason."""

    async def work() -> None:
        async with proxying(addons=(KillsSite(),)) as mitm:
            client, server = await greet(mitm)
            with socket.socket() as full:
                full.bind((HOST, 0))
                full.listen(0)
                held = [await mitm.connect(full.getsockname()[1])]  # its queue is full: whoever comes next has to wait
                sender = await mitm.connect(await active(client, server, full.getsockname()[1]))
                sender.say(b"secret")
                server.say(b"200 ok\r\n")
                await client.hear(b"200 ok\r\n")
                client.say(b"SITE x\r\n")
                await client.until_cut()
                await mitm.until("killed")
                full.setblocking(False)
                loop = asyncio.get_running_loop()
                first, _ = await loop.sock_accept(full)
                second, _ = await asyncio.wait_for(loop.sock_accept(full), DEADLINE)
                with first, second, contextlib.suppress(ConnectionResetError):
                    assert await loop.sock_recv(second, 100) == b""
                assert held

    run(work())


def test_a_listener_is_closed_if_its_session_ended_while_it_was_opened(run: Run) -> None:
    """No listener outlives its session."""

    async def work() -> None:
        async with proxying() as mitm:
            client, _ = await greet(mitm)
            (session,) = mitm.gateway.sessions.open.values()
            assert session.core is not None and session.master is not None
            expectation = Expectation.usual(Side.CLIENT, Endpoint.parse(HOST, 40000))
            lease = session.core.lease(expectation, session.legs)
            opening = asyncio.ensure_future(
                session.open_binding(OpenBinding(lease.number, expectation), session.master)
            )
            if not mitm.gateway.services.ports.taken:  # an eager task is there already
                await asyncio.sleep(0)  # up to where it waits
            session.master.gone()
            assert isinstance(await opening, CommandFailed)
            assert mitm.gateway.services.ports.taken == 0
            client.close()

    run(work())


def test_a_listener_of_mitmproxy_that_came_later_is_no_target(run: Run) -> None:
    """A person adds a mode while a session is open."""

    async def work() -> None:
        async with proxying() as mitm:
            client, _ = await greet(mitm)
            servers = mitm.master.addons.get("proxyserver").servers
            modes = [*mitm.master.options.mode, "socks5@127.0.0.1:0"]
            await servers.update([ProxyMode.parse(mode) for mode in modes])
            client.say(b"PORT 127,0,0,1,%d,%d\r\n" % divmod(mitm.ports[1], 256))
            assert (await client.line())[:1] in b"45"
            assert "self_target" in mitm.gateway.records

    run(work())


@pytest.mark.parametrize("mode", ["transparent", "local", "wireguard"])
def test_an_address_that_we_only_stand_for_is_no_source(mode: str) -> None:
    """Where a client does not know of us, our end of its connection is the server's address."""
    assert stands_for_servers(ProxyMode.parse(mode))
    assert not stands_for_servers(ProxyMode.parse("socks5"))

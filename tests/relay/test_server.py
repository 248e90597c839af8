"""The relay as a whole: all listeners or none, limits on sessions and descriptors, refusals, idle time, and the end."""

from __future__ import annotations

import asyncio

import pytest
from alg_ftp import FtpPlugin
from alg_tcp import TcpPlugin

from alg.core.addresses import parse_address
from alg.core.errors import BindError, ConfigError
from alg.core.model import Endpoint
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import Limits, Route, Times, Upstream
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, Host, Peer, free_port, refused, silent_host
from tests.relay.rig import Notes, Rig, relaying, relaying_ftp, route_to
from tests.relay.toys import ToyPlugin


def test_taken_port_leaves_nothing_half_open(run: Run) -> None:
    """F11: one of two listeners is taken: the error names it, and the other one is not left open."""

    async def work() -> None:
        with Host(SERVER) as host, Host("127.0.0.1") as holder:
            free = Endpoint(parse_address("127.0.0.1"), free_port())
            upstream = Upstream(SERVER, host.endpoint.port)
            routes = [Route(TcpPlugin, None, each, upstream) for each in (free, holder.endpoint)]
            relay = Relay(routes, Registry())
            with pytest.raises(BindError, match=f"cannot listen at {holder.endpoint}: Address already in use"):
                await relay.start()
            assert await refused(free) == "refused"

    run(work())


def test_unresolvable_upstream_is_refused_at_start(run: Run) -> None:
    """F09: a name without an address is an error that names route and host, and nothing is left open."""

    async def work() -> None:
        listen = Endpoint(parse_address("127.0.0.1"), free_port())
        relay = Relay([Route(TcpPlugin, None, listen, Upstream("nowhere.invalid", 21))], Registry())
        with pytest.raises(ConfigError, match=r"nowhere\.invalid cannot be resolved"):
            await relay.start()
        assert await refused(listen) == "refused"

    run(work())


def test_upstream_by_name(run: Run) -> None:
    """A name is looked up at the start, and the first of its addresses that answers is taken."""

    async def work() -> None:
        with Host("127.0.0.1") as host, Notes() as notes:
            route = Route(TcpPlugin, None, Endpoint.parse("127.0.0.1", 0), Upstream("localhost", host.endpoint.port))
            relay = Relay([route], Registry())
            await relay.start()
            rig = Rig(relay, notes, host)
            client, server = await rig.pair()
            with client, server:
                await client.send(b"by name")
                assert await server.receive() == b"by name"
            await rig.at_rest()
            relay.close()

    run(work())


def test_name_is_looked_up_again(run: Run) -> None:
    """F10: when the time is over the next client has the name looked up again, and does not wait for it."""

    async def work() -> None:
        with Host("127.0.0.1") as host, Notes() as notes:
            route = Route(TcpPlugin, None, Endpoint.parse("127.0.0.1", 0), Upstream("localhost", host.endpoint.port))
            relay = Relay([route], Registry(), times=Times(resolve=0.001))
            await relay.start()
            rig = Rig(relay, notes, host)
            for _ in range(5):
                client, server = await rig.pair()
                client.close()
                server.close()
            await rig.at_rest()
            relay.close()
            await asyncio.sleep(0)

    run(work())


def test_refused_upstream_gives_421(run: Run) -> None:
    """F07: nobody listens at the upstream: the FTP client is told 421 at once, and the session is over."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            rig.host.close()
            with await Peer.connect(rig.at) as client:
                async with asyncio.timeout(1.0):
                    assert await client.rest() == b"421 The server cannot be reached; try again later.\r\n"
            assert str(rig.host.endpoint) in (await rig.notes.wait("connect_refused")).message
            await rig.at_rest()

    run(work())


def test_silent_upstream_gives_421_in_time(run: Run) -> None:
    """F07: the upstream does not answer at all: 421 when the time to connect is over."""

    async def work() -> None:
        with silent_host() as silent, Notes() as notes:
            relay = Relay([route_to(silent, FtpPlugin)], Registry(), times=Times(connect=0.3))
            await relay.start()
            with await Peer.connect(relay.listeners[0].local) as client:
                async with asyncio.timeout(1.0):
                    assert (await client.rest()).startswith(b"421 The server cannot be reached")
            assert (await notes.wait("connect_timeout")).session == 1
            await relay.wait_idle()
            assert relay.services.budget.used == 0
            relay.close()

    run(work())


def test_sessions_are_limited_in_all(run: Run) -> None:
    """T81: who comes beyond the limit is refused in the protocol; those inside are not affected; the counter is exact."""

    async def work() -> None:
        async with relaying_ftp(limits=Limits(sessions=3)) as rig:
            inside = [await rig.ftp() for _ in range(3)]
            for _ in range(5):
                with await Peer.connect(rig.at, OTHER) as late:
                    assert await late.rest() == b"421 Too many connections; try again later.\r\n"
            assert rig.host.untouched()
            note = await rig.notes.wait("too_many_sessions")
            assert note.fields["refused"] == 1
            assert len(rig.notes.of("too_many_sessions")) == 1  # the others are in the next second's record
            for ftp in inside:
                assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            inside.pop().close()
            await rig.notes.wait("session_close")
            inside.append(await rig.ftp(OTHER))
            for ftp in inside:
                ftp.close()
            await rig.at_rest()

    run(work())


def test_sessions_of_one_client_are_limited(run: Run) -> None:
    """T81: one source cannot take all: its share is limited, others still get in."""

    async def work() -> None:
        async with relaying_ftp(limits=Limits(sessions_per_client=2)) as rig:
            inside = [await rig.ftp(CLIENT) for _ in range(2)]
            for _ in range(20):
                with await Peer.connect(rig.at, CLIENT) as late:
                    assert (await late.rest()).startswith(b"421 ")
            inside.append(await rig.ftp(OTHER))
            assert len(rig.relay.sessions) == 3
            await rig.notes.wait("too_many_sessions_of_client")
            for ftp in inside:
                ftp.close()
            await rig.at_rest()

    run(work())


def test_descriptors_are_counted_before_they_are_spent(run: Run) -> None:
    """T82, F15: sessions stop where the descriptors do, and a third of these is left for data connections."""

    async def work() -> None:
        async with relaying_ftp() as all_of_them:
            enough = all_of_them.relay.services.budget
            reserved = enough.descriptors + 2 * enough.pipes + Limits().reserved_descriptors - 32
        async with relaying_ftp(limits=Limits(reserved_descriptors=reserved)) as rig:
            budget = rig.relay.services.budget
            assert (budget.descriptors, budget.pipes) == (28, 2)
            inside = [await rig.ftp() for _ in range(9)]
            with await Peer.connect(rig.at) as late:
                assert (await late.rest()).startswith(b"421 ")
            await rig.notes.wait("no_descriptors")
            with Host(SERVER) as data:
                numbers = divmod(data.endpoint.port, 256)
                answers = [await ftp.say(b"PASV", b"227 (127,0,0,5,%d,%d)" % numbers) for ftp in inside]
            assert [answer[:3] for answer in answers] == [b"227"] * 5 + [b"425"] * 4
            for ftp in inside:
                ftp.close()
            await rig.at_rest()

    run(work())


def test_idle_session_ends(run: Run) -> None:
    """Without a byte for the idle time a session ends; one that says something now and then lives."""

    async def work() -> None:
        async with relaying(ToyPlugin, times=Times(idle=0.4)) as rig:
            idle, its_server = await rig.pair()
            busy, server = await rig.pair(OTHER)
            with idle, its_server, busy, server:

                async def chat() -> None:
                    while not rig.notes.of("idle"):
                        await busy.send(b"still here\n")
                        assert await server.line() == b"still here\n"

                await chat()
                assert await idle.rest() == b"sorry, idle\n"
                await busy.send(b"and here\n")
                assert await server.line() == b"and here\n"
            await rig.at_rest()

    run(work())


def test_session_is_not_idle_while_data_flows(run: Run) -> None:
    """F41: a silent control connection lives as long as a data connection of its session carries something."""

    async def work() -> None:
        async with relaying_ftp(times=Times(idle=0.3)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told) as client, await data.accept() as server:
                    loop = asyncio.get_running_loop()
                    until = loop.time() + 1.0
                    while loop.time() < until:
                        await server.send(b"more")
                        assert await client.exactly(4) == b"more"
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_drain_waits_for_sessions_and_accepts_nobody(run: Run) -> None:
    """F20: after the request to stop nobody new is accepted, and a session that runs is waited for."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            draining = asyncio.ensure_future(rig.relay.drain(5.0))
            assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
            assert await refused(rig.at) == "refused"
            assert not draining.done()
            ftp.close()
            assert await draining

    run(work())


def test_drain_gives_up_in_time(run: Run) -> None:
    """F20: a session that does not end is no reason to wait longer than the drain time."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            assert not await rig.relay.drain(0.1)
            rig.relay.close()
            assert await ftp.client.rest() == b"421 Service not available, closing control connection.\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_stop_while_the_upstream_is_being_connected(run: Run) -> None:
    """The relay is closed before an upstream was reached: the client is told, and all is given back."""

    async def work() -> None:
        with silent_host() as silent, Notes() as notes:
            relay = Relay([route_to(silent, FtpPlugin)], Registry(), limits=Limits(sessions=1))
            await relay.start()
            at = relay.listeners[0].local
            with await Peer.connect(at) as client, await Peer.connect(at) as second:
                assert (await second.rest()).startswith(b"421 Too many")  # so the first is in
                relay.close()
                assert (await client.rest()).startswith(b"421 Service not available")
            assert (relay.sessions, relay.services.budget.used) == (set(), 0)
            assert not notes.of("session_open")

    run(work())

"""Where the client chooses its server (`USER user@host`): what the allow list lets pass, and that nothing else is dialled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from alg.core.model import Endpoint
from alg.settings import AllowedUpstream, Times
from tests.conftest import Run
from tests.relay.peers import SERVER, THIRD, Host, Peer, silent_host
from tests.relay.rig import Rig, relaying_ftp
from tests.relay.test_flow_end import turns
from tests.relay.test_names import NAME, Resolver

LOOPBACK = AllowedUpstream(ip_network("127.0.0.0/8"))
REFUSED = b"530 This server is not allowed.\r\n"


@asynccontextmanager
async def choosing(*allowed: AllowedUpstream, times: Times | None = None) -> AsyncIterator[tuple[Rig, Peer]]:
    """A relay whose clients choose, out of these, and a client that was greeted."""
    async with relaying_ftp(allowed=allowed, times=times) as rig:
        with await Peer.connect(rig.at) as client:
            assert (await client.line()).startswith(b"220 ")
            yield rig, client
        await rig.at_rest()
        assert rig.host.untouched()


async def user(client: Peer, host: str, port: int) -> None:
    """Log in there."""
    await client.send(b"USER me@%s:%d\r\n" % (host.encode("ascii"), port))


async def served(client: Peer, host: Host) -> None:
    """The server greets, and hears the name without its host; the answer comes back."""
    with await host.accept() as server:
        await server.send(b"220 hello\r\n")
        assert await server.line() == b"USER me\r\n"
        await server.send(b"331 and the password?\r\n")
        assert await client.line() == b"331 and the password?\r\n"


@pytest.mark.parametrize(
    "entry", [LOOPBACK, AllowedUpstream(ip_network("127.0.0.5/32")), "port"], ids=["network", "host", "port"]
)
def test_literal_address(run: Run, entry: AllowedUpstream | str) -> None:
    """An address passes by a network; this host only by one that lies within loopback."""

    async def work() -> None:
        with Host(SERVER) as host:
            port = host.endpoint.port
            allowed = entry if isinstance(entry, AllowedUpstream) else AllowedUpstream(LOOPBACK.host, port)
            async with choosing(allowed) as (rig, client):
                await user(client, SERVER, port)
                await served(client, host)
                assert not rig.notes.of("upstream_refused")

    run(work())


@pytest.mark.parametrize(
    ("allowed", "answer", "good"),
    [
        ([AllowedUpstream(NAME), LOOPBACK], SERVER, True),
        ([AllowedUpstream("*.example"), LOOPBACK], SERVER, False),  # a wildcard needs two labels behind it
        ([AllowedUpstream("*.upstream.example"), LOOPBACK], SERVER, True),
        ([AllowedUpstream(NAME)], SERVER, False),
        ([AllowedUpstream("*.example"), AllowedUpstream(ip_network("0.0.0.0/0"))], SERVER, False),
        ([AllowedUpstream("other.example")], SERVER, False),
        ([AllowedUpstream(NAME, 21)], SERVER, False),
    ],
    ids=["name", "short-wildcard", "network-alone", "name-alone", "everything", "other-name", "other-port"],
)
def test_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, allowed: list[AllowedUpstream], answer: str, good: bool
) -> None:
    """What a name leads to is judged too: that it is allowed does not mean that it may lead to this host."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, answer)
        with Host(SERVER) as host:
            async with choosing(*allowed) as (rig, client):
                await user(client, NAME, host.endpoint.port)
                if good or LOOPBACK in allowed:
                    await served(client, host)
                else:
                    assert await client.line() == REFUSED
                    assert await rig.notes.wait("upstream_refused")
                    assert host.untouched()
                    named = any(entry.host == NAME and entry.port is None for entry in allowed)
                    network = any(not isinstance(entry.host, str) for entry in allowed)
                    assert resolver.asked == int(named or network)

    run(work())


@pytest.mark.parametrize(
    ("pattern", "private"), [("*.example.org", False), (NAME, True), ("*.upstream.example", False)]
)
def test_wildcard_and_private_addresses(run: Run, monkeypatch: pytest.MonkeyPatch, pattern: str, private: bool) -> None:
    """Who owns a domain makes names below it: by a wildcard nobody is led to a private address, by the whole name yes."""
    name = NAME if pattern == NAME else pattern.replace("*", "inside")

    async def work() -> None:
        resolver = Resolver(monkeypatch, "10.255.255.1")
        monkeypatch.setattr("tests.relay.test_names.NAME", name)
        async with choosing(AllowedUpstream(pattern), times=Times(connect=0.2)) as (rig, client):
            asking = asyncio.ensure_future(resolver.until_asked())
            await user(client, name, 2121)
            await asking
            if private:  # whoever may be there
                rig.relay.close()
            else:
                assert await client.line() == REFUSED
            assert resolver.asked == 1
            assert bool(rig.notes.of("upstream_refused")) is not private

    run(work())


def test_listener_of_the_gateway_itself(run: Run) -> None:
    """Our own listener is no server, whatever the operator allows."""

    async def work() -> None:
        async with choosing(LOOPBACK) as (rig, client):
            await user(client, "127.0.0.1", rig.at.port)
            assert await client.line() == REFUSED
            assert await rig.notes.wait("self_target")

    run(work())


def test_server_that_does_not_answer_or_listen(run: Run) -> None:
    """The client is told, and may name another one."""

    async def work() -> None:
        with Host(SERVER) as host, silent_host(THIRD) as silent:
            closed = Host(SERVER)
            closed.close()
            async with choosing(LOOPBACK, times=Times(connect=0.3)) as (rig, client):
                for endpoint, reason in ((silent, "connect_timeout"), (closed.endpoint, "connect_refused")):
                    await user(client, str(endpoint.address), endpoint.port)
                    assert await client.line() == b"530 The server cannot be reached; try again later.\r\n"
                    assert await rig.notes.wait(reason)
                await user(client, SERVER, host.endpoint.port)
                await served(client, host)

    run(work())


def test_client_that_goes_while_its_server_is_looked_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never answers holds neither a client that went, nor one that waits longer than to connect may take."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, None)
        async with choosing(AllowedUpstream(NAME), times=Times(connect=0.3)) as (rig, client):
            asking = asyncio.ensure_future(resolver.until_asked())
            await user(client, NAME, 21)
            await asking
            assert await client.line() == b"530 The server cannot be reached; try again later.\r\n"
            assert await rig.notes.wait("not_resolved")
            asking = asyncio.ensure_future(resolver.until_asked())
            await user(client, NAME, 21)
            await asking
            client.reset()

    run(work())


def test_gateway_that_stops_while_a_server_is_chosen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is called back afterwards, and the client gets its 421."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, None)
        async with choosing(AllowedUpstream(NAME)) as (rig, client):
            asking = asyncio.ensure_future(resolver.until_asked())
            await user(client, NAME, 21)
            await asking
            rig.relay.close()
            assert (await client.rest()).startswith(b"421 ")
            client.close()
            await rig.relay.wait_idle()
            await turns()
            assert rig.notes.all[-1].reason in ("stopped", "session_close")

    run(work())


def test_data_connection_to_the_chosen_server(run: Run) -> None:
    """What PASV announces is judged against the server that was chosen."""

    async def work() -> None:
        with Host(SERVER) as host, Host(SERVER) as data:
            async with choosing(LOOPBACK) as (_, client):
                await user(client, SERVER, host.endpoint.port)
                with await host.accept() as server:
                    await server.send(b"220 hello\r\n")
                    await server.line()
                    await server.send(b"230 in\r\n")
                    assert await client.line() == b"230 in\r\n"
                    await client.send(b"EPSV\r\n")
                    assert await server.line() == b"EPSV\r\n"
                    await server.send(b"229 (|||%d|)\r\n" % data.endpoint.port)
                    port = (await client.line()).split(b"|")[3]
                    with await Peer.connect(Endpoint.parse("127.0.0.1", port)) as inner, await data.accept() as outer:
                        await outer.send(b"data")
                        assert await inner.exactly(4) == b"data"

    run(work())

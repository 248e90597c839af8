"""FTP through SOCKS: what is announced stays as it is, and the client's next connection is claimed by who expects it; BIND."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from alg.core.model import Endpoint
from alg.core.policy import LeaseLimits
from alg.settings import AllowedUpstream, Limits
from tests.conftest import Run
from tests.relay.asking import (
    SERVER_ONLY,
    asked,
    asked_relay,
    connected,
    ftp_rules,
    ftp_through,
    greeted,
    reply,
    request,
)
from tests.relay.peers import CLIENT, OTHER, SERVER, THIRD, Host, Peer, refused
from tests.relay.rig import Rig

NOBODY = Endpoint.parse("0.0.0.0", 0)


@contextlib.asynccontextmanager
async def ftp_relay(limits: Limits | None = None) -> AsyncIterator[Rig]:
    """A relay for FTP by SOCKS, whose clients may go to one port of the server only."""
    with Host(SERVER) as host:
        port = host.endpoint.port
    # The rig's host takes that port: so nothing but its control connections is allowed.
    async with asked_relay(
        allowed=(AllowedUpstream(SERVER_ONLY, port),), rules=ftp_rules(), limits=limits, host_port=port
    ) as rig:
        yield rig


def test_a_passive_data_connection_is_claimed(run: Run) -> None:
    """The 227 passes as it is; the client's connection to that endpoint needs no rule, and no other client gets it."""

    async def work() -> None:
        async with ftp_relay() as rig:
            ftp = await ftp_through(rig)
            with Host(SERVER) as data:
                assert await ftp.passive(data.endpoint) == data.endpoint
                assert await asked(rig, 1, data.endpoint, OTHER) == 2
                with await connected(rig, data.endpoint) as near, await data.accept() as far:
                    await far.send(b"contents")
                    far.close()
                    assert await near.rest() == b"contents"
                assert await asked(rig, 1, data.endpoint) == 2
                assert data.untouched()
            ftp.close()

    run(work())


def test_two_clients_expect_the_same_endpoint(run: Run) -> None:
    """Each gets its own: whose connection it is, its address says (T16)."""

    async def work() -> None:
        async with ftp_relay() as rig:
            first, second = await ftp_through(rig), await ftp_through(rig, OTHER)
            with Host(SERVER) as data:
                await first.passive(data.endpoint)
                await second.passive(data.endpoint)
                for source in (OTHER, CLIENT):
                    with await connected(rig, data.endpoint, source), await data.accept():
                        pass
            assert not rig.notes.of("wrong_peer")
            first.close()
            second.close()

    run(work())


def test_what_is_claimed_and_cannot_be_reached(run: Run) -> None:
    """The client hears it in its protocol."""

    async def work() -> None:
        async with ftp_relay() as rig:
            ftp = await ftp_through(rig)
            with Host(SERVER) as data:
                nobody = data.endpoint
            await ftp.passive(nobody)
            assert await asked(rig, 1, nobody) == 5
            ftp.close()

    run(work())


def test_a_claim_dies_with_its_session(run: Run) -> None:
    """T19: once the control connection is gone, nobody gets there."""

    async def work() -> None:
        async with ftp_relay() as rig:
            ftp = await ftp_through(rig)
            with Host(SERVER) as data:
                await ftp.passive(data.endpoint)
                ftp.close()
                await rig.at_rest()
                assert await asked(rig, 1, data.endpoint) == 2
                assert data.untouched()

    run(work())


def test_active_mode_through_socks(run: Run) -> None:
    """A client behind SOCKS that says PORT gets a lease: the server is told ours, and the client is dialled."""

    async def work() -> None:
        async with ftp_relay() as rig:
            ftp = await ftp_through(rig)
            with Host(CLIENT) as data:
                told = await ftp.active(data.endpoint)
                assert told != data.endpoint
                assert await refused(told, THIRD) == "reset"
                with await Peer.connect(told, SERVER) as far, await data.accept() as near:
                    await far.send(b"contents")
                    far.close()
                    assert await near.rest() == b"contents"
            ftp.close()

    run(work())


async def bound(rig: Rig, target: Endpoint) -> tuple[Peer, Endpoint]:
    """A client that waits for that target to come, and where."""
    client = await greeted(rig)
    await client.send(request(2, target))
    code, at = await reply(client)
    assert code == 0
    return client, at


def test_bind(run: Run) -> None:
    """RFC 1928 section 4: the first reply says where we wait, the second who came. T43: a wrong peer is reset and uses nothing
    up; the port is none of a service; it is used once."""

    async def work() -> None:
        async with asked_relay() as rig:
            client, at = await bound(rig, rig.host.endpoint)
            assert at.port >= 1024
            assert await refused(at, THIRD) == "reset"
            with await Peer.connect(at, SERVER) as far:
                code, who = await reply(client)
                assert (code, who) == (0, Endpoint.parse(*far.sock.getsockname()))
                assert await refused(at, SERVER) == "refused"
                await far.send(b"contents")
                far.fin()
                assert await client.rest() == b"contents"
                client.close()
                assert await far.rest() == b""
            assert rig.notes.of("wrong_peer")

    run(work())


def test_bind_is_a_lease_like_any_other(run: Run) -> None:
    """The caps count it, and its lifetime ends it: the second reply then says so."""

    async def work() -> None:
        limits = Limits(leases=LeaseLimits(per_client=1, lifetime=0.3))
        async with asked_relay(limits=limits) as rig:
            client, at = await bound(rig, rig.host.endpoint)
            assert await asked(rig, 2, rig.host.endpoint) == 1
            assert rig.notes.of("too_many_leases")
            assert (await reply(client))[0] != 0
            assert await client.rest() == b""
            assert await refused(at, SERVER) == "refused"
            assert rig.notes.of("lease_expired")
            client.close()

    run(work())


def test_bind_for_who_is_not_allowed(run: Run) -> None:
    """It names somebody whom no rule allows, or nobody while it is connected to nobody."""

    async def work() -> None:
        async with asked_relay() as rig:
            assert await asked(rig, 2, Endpoint.parse(THIRD, 0)) == 2
            assert await asked(rig, 2, NOBODY) == 2
            with await connected(rig, rig.host.endpoint), await rig.host.accept():
                client, at = await bound(rig, NOBODY)
                assert await refused(at, THIRD) == "reset"
                with await Peer.connect(at, SERVER):
                    assert (await reply(client))[0] == 0
                client.close()
                assert await asked(rig, 2, NOBODY, OTHER) == 2

    run(work())


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_client_that_leaves_waits_no_more(run: Run, how: str) -> None:
    """Its listener is gone at once."""

    async def work() -> None:
        async with asked_relay() as rig:
            client, at = await bound(rig, rig.host.endpoint)
            getattr(client, how)()
            async with asyncio.timeout(1):
                while await refused(at, THIRD) != "refused":
                    pass
            await rig.at_rest()
            client.close()

    run(work())

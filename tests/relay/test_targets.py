"""Where nobody is led: to sockets of the gateway itself (T03, T14), to a third party (T01, T06), in a circle (T15)."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from alg_ftp.config import ForeignAddress
from alg_tcp import TcpPlugin

from alg.core.addresses import parse_address
from alg.core.errors import ConfigError
from alg.core.model import Endpoint, PortRange, Realm, Side
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import Route, Upstream
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, THIRD, Host, Peer, free_port, refused
from tests.relay.rig import Notes, Rig, endpoint_in, port_line, relaying_ftp, route_to

HERE = parse_address("127.0.0.1")


def passive_reply(endpoint: Endpoint) -> bytes:
    """A 227 reply that names it."""
    numbers = (*endpoint.address.packed, *divmod(endpoint.port, 256))
    return b"227 Entering Passive Mode (%d,%d,%d,%d,%d,%d)." % numbers


def test_client_cannot_name_a_third_party(run: Run) -> None:
    """T01: PORT and EPRT to another host are refused; nothing goes up, nobody is called, the session goes on."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(THIRD) as canary:
                for line in (port_line(canary.endpoint).strip(), b"EPRT |1|%s|" % canary.endpoint.to_bytes(b"|")):
                    assert (await ftp.refused(line)).startswith(b"504 ")
                for line in (b"PORT 192,0,2,9,15,160", b"EPRT |1|192.0.2.9|4000|"):  # not of this host
                    assert (await ftp.refused(line)).startswith(b"504 ")
                assert rig.relay.services.gate.pending_leases == 0
                assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
                assert canary.untouched()
            assert len(rig.notes.of("self_target")) == 2  # on loopback a third party is this host, too
            assert len(rig.notes.of("third_party_address")) == 2
            ftp.close()
            await rig.at_rest()

    run(work())


def test_client_behind_a_nat_of_its_own_still_names_nobody_else(run: Run) -> None:
    """T01: with `foreign_active = peer` the port counts, and the address is the client's own."""

    async def work() -> None:
        async with relaying_ftp(config=FtpConfig(foreign_active=ForeignAddress.PEER)) as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as data, Host(THIRD, port=data.endpoint.port) as canary:
                told = await ftp.active(canary.endpoint)
                with await Peer.connect(told, SERVER), await data.accept():
                    assert canary.untouched()
            ftp.close()
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("policy", ForeignAddress)
def test_server_cannot_name_a_third_party(run: Run, policy: ForeignAddress) -> None:
    """T06: a 227 that names another host leads to the server itself, or nowhere; never to that host."""

    async def work() -> None:
        async with relaying_ftp(config=FtpConfig(foreign_passive=policy)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data, Host(THIRD, port=data.endpoint.port) as canary:
                told = await ftp.say(b"PASV", passive_reply(canary.endpoint))
                if policy is ForeignAddress.PEER:
                    with await Peer.connect(endpoint_in(told)), await data.accept():
                        assert canary.untouched()
                else:
                    assert told.startswith(b"425 ")
                    assert rig.relay.services.gate.pending_leases == 0
                assert canary.untouched()
            reason = "third_party_address" if policy is ForeignAddress.PEER else "self_target"
            assert len(rig.notes.of(reason)) == 1  # on loopback a third party is this host, too
            ftp.close()
            await rig.at_rest()

    run(work())


async def at_home(rig: Rig) -> tuple[Peer, Peer]:
    """An FTP session of a client that sits at the gateway's own address."""
    client = await Peer.connect(rig.at, "127.0.0.1")
    server = await rig.host.accept()
    await server.send(b"220 hello\r\n")
    await client.line()
    return client, server


def test_own_listener_is_no_target(run: Run) -> None:
    """T03, T14: even a client at the gateway's own address cannot have it call its public listener."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            client, server = await at_home(rig)
            with client, server:
                await client.send(port_line(rig.at))
                assert (await client.line()).startswith(b"504 ")
            await rig.notes.wait("self_target")
            await rig.at_rest()

    run(work())


def test_lease_of_another_session_is_no_target(run: Run) -> None:
    """T14: nor a lease of somebody else, and that one is not used up by it."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            victim = await rig.ftp()
            client, server = await at_home(rig)
            with Host(SERVER) as data, client, server:
                told = await victim.passive(data.endpoint)
                await client.send(port_line(told))
                assert (await client.line()).startswith(b"504 ")
                with await Peer.connect(told), await data.accept():
                    pass
            await rig.notes.wait("self_target")
            victim.close()
            await rig.at_rest()

    run(work())


def test_target_that_has_become_ours_is_not_dialled(run: Run) -> None:
    """T14: between announcement and dial a lease came to be at the target: it is judged again, and not dialled."""

    async def work() -> None:
        realms = {side: Realm(bind=HERE) for side in Side}
        port = free_port()
        realms[Side.SERVER] = Realm(bind=HERE, ports=PortRange(port, port))
        with Host("127.0.0.1") as host, Notes() as notes:
            relay = Relay([route_to(host.endpoint, FtpPlugin, realms=realms)], Registry())
            await relay.start()
            rig = Rig(relay, notes, host)
            ftp, victim = await rig.ftp(), await rig.ftp(OTHER)
            with Host(OTHER) as data:
                told = await ftp.passive(Endpoint(HERE, port))
                lease = await victim.active(data.endpoint)
                assert lease == Endpoint(HERE, port)
                assert await refused(told) == "reset"
                await notes.wait("self_target")
                with await Peer.connect(lease, "127.0.0.1"), await data.accept():
                    pass
            ftp.close()
            victim.close()
            await rig.at_rest()
            relay.close()

    run(work())


@pytest.mark.parametrize("name", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
def test_route_to_itself_is_refused_at_start(run: Run, name: str, listen: str) -> None:
    """T15: an upstream that is a listener of this gateway, by whatever spelling, is refused, and nothing is left open."""

    async def work() -> None:
        port = free_port()
        route = Route(TcpPlugin, None, Endpoint.parse(listen, port), Upstream(name, port))
        relay = Relay([route], Registry())
        with pytest.raises(ConfigError, match="a listener of this gateway"):
            await relay.start()
        assert await refused(Endpoint(HERE, port), OTHER) == "refused"

    run(work())


def test_two_routes_that_lead_to_each_other_are_refused(run: Run) -> None:
    """T15: nor may a route lead to another route's listener."""

    async def work() -> None:
        with Host(SERVER) as host:
            there = Endpoint(HERE, free_port())
            first = Route(TcpPlugin, None, there, Upstream(str(host.endpoint.address), host.endpoint.port))
            relay = Relay([first, route_to(there)], Registry())
            with pytest.raises(ConfigError, match="a listener of this gateway"):
                await relay.start()

    run(work())


def test_server_at_home_cannot_lead_back_to_us(run: Run) -> None:
    """T15: a 227 that names our own listener gives 425 at the first hop, and no second session."""

    async def work() -> None:
        with Host("127.0.0.1") as host, Notes() as notes:
            relay = Relay([route_to(host.endpoint, FtpPlugin)], Registry())
            await relay.start()
            rig = Rig(relay, notes, host)
            ftp = await rig.ftp()
            told = await ftp.say(b"PASV", passive_reply(rig.at))
            assert told.startswith(b"425 ")
            assert len(relay.sessions) == 1
            ftp.close()
            await rig.at_rest()
            relay.close()

    run(work())

"""Listeners that sessions share, on real sockets: one for all who are told of it, and each who comes is a session."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from alg.core.addresses import parse_address
from alg.core.commands import OpenBinding
from alg.core.events import BindingOpened
from alg.core.model import Endpoint, Expectation, Leg, PortRange, Realm, Side
from alg.core.policy import LeaseLimits, TargetRules
from alg.registry import Registry
from alg.relay.server import Relay
from alg.relay.services import Services
from alg.relay.shared import SharedListener, SharedListeners
from alg.settings import Limits, Route, Times
from tests import pki
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, THIRD, Host, Peer, refused
from tests.relay.rig import Notes, Rig, relaying, route_to
from tests.relay.test_families import Host6, connect6, has_ipv6
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import client_tls, server_tls
from tests.relay.toys import SharingPlugin

HERE = "tests.relay.toys"
ELSEWHERE = "only.example.org"


async def share(
    client: Peer, target: Endpoint, *sides: str, lifetime: float = 60, plugin: str = "sharing", name: str = "-"
) -> bytes:
    """Have a listener be shared; return the answer."""
    words = [target.to_bytes(b" ").decode(), f"{lifetime}", plugin, name, *sides]
    await client.send(f"share {' '.join(words)}\n".encode())
    return await client.line()


def told(answer: bytes) -> Endpoint:
    """Where it is."""
    address, port = answer.split()
    return Endpoint.parse(address, port)


async def talk(one: Peer, other: Peer) -> None:
    """A line passes each way."""
    for sayer, hearer in ((one, other), (other, one)):
        await sayer.send(b"line\n")
        assert await hearer.line() == b"line\n"


def test_sessions_get_the_same_port(run: Run) -> None:
    """Of one client and of another; both come through, a stranger is reset, and no session hears of it."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            pairs = [await rig.pair(CLIENT), await rig.pair(CLIENT), await rig.pair(OTHER)]
            with Host(SERVER) as target:
                first = told(await share(pairs[0][0], target.endpoint))
                assert await refused(first, OTHER) == "reset"
                assert [told(await share(client, target.endpoint)) for client, _ in pairs] == [first] * 3
                assert rig.relay.services.ports.taken == 1
                for source in (CLIENT, OTHER, CLIENT):
                    with await Peer.connect(first, source) as near, await target.accept() as far:
                        await talk(near, far)
                assert await refused(first, THIRD) == "reset"
                assert target.untouched()
                note = await rig.notes.wait("wrong_peer", 2)
                assert (note.session, note.fields["listener"]) == (0, first)
                assert str(note.fields["peer"]).startswith(f"{THIRD}:")
            for client, server in pairs:
                await talk(client, server)
                client.close()
                server.close()

    run(work())


def test_who_comes_is_a_session_of_its_own(run: Run) -> None:
    """With a number, records, its own plugin and its server; it and its listener outlive who asked."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with Host(SERVER) as target:
                at = told(await share(client, target.endpoint, name="a.example"))
                with await Peer.connect(at) as near, await target.accept() as far:
                    await near.send(b"name\n")
                    assert await near.line() == b"a.example False\n"
                    note = await rig.notes.wait("session_open", 2)
                    assert note.session == 2
                    assert f"-> {target.endpoint}" in note.message
                    client.close()
                    server.close()
                    await rig.notes.wait("session_close")
                    assert told(await share(near, target.endpoint, name="a.example")) == at
                    await talk(near, far)
                await rig.notes.wait("session_close", 2)
                with await Peer.connect(at) as near, await target.accept() as far:
                    await talk(near, far)

    run(work())


def test_a_session_that_was_not_named_has_no_name(run: Run) -> None:
    """Its server is known by its address."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                at = told(await share(client, target.endpoint))
                with await Peer.connect(at) as near, await target.accept():
                    for peer in (near, client):
                        await peer.send(b"name\n")
                        assert await peer.line() == b"None False\n"

    run(work())


def test_it_expires_when_nobody_may_come_any_more(run: Run) -> None:
    """Then nothing listens there, all is given back, and the same target gets another listener."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                at = told(await share(client, target.endpoint, lifetime=0.1))
                used = rig.relay.services.budget.used
                note = await rig.notes.wait("lease_expired")
                assert (note.session, note.fields["listener"], note.fields["target"]) == (0, at, target.endpoint)
                assert await refused(at) == "refused"
                assert rig.relay.services.ports.taken == 0
                assert rig.relay.services.budget.used < used
                assert target.untouched()
                again = told(await share(client, target.endpoint))
                with await Peer.connect(again) as near, await target.accept() as far:
                    await talk(near, far)

    run(work())


def test_who_comes_keeps_it_open(run: Run) -> None:
    """A listener that is used lives on from then; it ends a lifetime after the last who came."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            loop = rig.relay.services.loop
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                began = loop.time()
                at = told(await share(client, target.endpoint, lifetime=0.4))
                while loop.time() < began + 0.3:
                    with await Peer.connect(at) as near, await target.accept() as far:
                        await talk(near, far)
                used = loop.time()
                await rig.notes.wait("lease_expired")
                assert loop.time() >= used + 0.39

    run(work())


def test_a_route_shares_so_many(run: Run) -> None:
    """The next is refused to who asks; it goes on, and gets what there is."""

    async def work() -> None:
        async with relaying(SharingPlugin, limits=Limits(leases=LeaseLimits(shared=2))) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as one, Host(SERVER) as two, Host(SERVER) as three:
                first = told(await share(client, one.endpoint))
                told(await share(client, two.endpoint))
                assert await share(client, three.endpoint) == b"no too_many_leases\n"
                assert told(await share(client, one.endpoint)) == first
                assert rig.relay.services.ports.taken == 2

    run(work())


def test_without_ports_there_is_none(run: Run) -> None:
    """And nothing is held of the attempt."""

    async def work() -> None:
        realm = Realm(bind=parse_address("127.0.0.77"), ports=PortRange(20000, 20000))
        async with relaying(SharingPlugin, realms=dict.fromkeys(Side, realm)) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as one, Host(SERVER) as two:
                at = told(await share(client, one.endpoint))
                assert at == Endpoint.parse("127.0.0.77", 20000)
                used = rig.relay.services.budget.used
                assert await share(client, two.endpoint) == b"no no_port\n"
                assert rig.relay.services.budget.used == used

    run(work())


def test_its_target_is_judged(run: Run) -> None:
    """No third party, and no socket of ours: a shared listener is one."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target, Host(THIRD) as third:
                at = told(await share(client, target.endpoint))
                assert await share(client, third.endpoint) == b"no self_target\n"
                assert await share(client, Endpoint.parse("192.0.2.1", 5000)) == b"no third_party_address\n"
                assert await share(client, rig.at) == b"no self_target\n"
                assert await share(client, at) == b"no self_target\n"
            assert rig.relay.services.ports.taken == 1

    run(work())


def test_it_closes_with_the_relay(run: Run) -> None:
    """At once; while sessions are waited for, nobody is let in, and none is opened."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as one, Host(SERVER) as two:
                at = told(await share(client, one.endpoint))
                assert not await rig.relay.drain(0)
                assert await refused(at) == "refused"
                for target in (one, two):
                    assert await share(client, target.endpoint) == b"no stopped\n"
                assert rig.relay.services.ports.taken == 0
                await talk(client, server)

    run(work())


def test_another_plugin_may_treat_who_comes(run: Run) -> None:
    """One that can be found; one that cannot is heard of when it is asked for."""

    async def work() -> None:
        async with relaying(SharingPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                at = told(await share(client, target.endpoint, plugin=f"{HERE}:UpperPlugin"))
                with await Peer.connect(at) as near, await target.accept() as far:
                    await far.send(b"upper")
                    assert await near.exactly(5) == b"UPPER"
                assert await share(client, target.endpoint, plugin=f"{HERE}:Nobody") == b"no bad_config\n"
            assert rig.relay.services.ports.taken == 1

    run(work())


@pytest.mark.parametrize("sides", [(), ("client",), ("server",), ("client", "server")], ids=" ".join)
def test_tls_on_either_leg(run: Run, sides: tuple[str, ...]) -> None:
    """From the first byte; the target is verified by its own name, whatever the operator calls the upstream."""

    async def work() -> None:
        named = replace(server_tls(), name=pki.NAME)
        async with relaying(SharingPlugin, client_tls=client_tls(), server_tls=named) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                near = await Peer.connect(told(await share(client, target.endpoint, *sides, name=ELSEWHERE)))
                far = await target.accept()
                if "server" in sides:
                    far = await TlsPeer.serve(far, pki.server(pki.make(ELSEWHERE)))
                if "client" in sides:
                    near = await TlsPeer.cover(near)
                with near, far:
                    await near.send(b"name\n")
                    assert await near.line() == f"{ELSEWHERE} {'server' in sides}\n".encode()
                    await talk(near, far)

    run(work())


@pytest.mark.parametrize(("certified", "name"), [(pki.NAME, ELSEWHERE), (ELSEWHERE, "-")])
def test_a_target_with_another_name_is_refused(run: Run, certified: str, name: str) -> None:
    """Where it came with a name that is asked for; where it has none, the operator's."""

    async def work() -> None:
        named = replace(server_tls(), name=pki.NAME)
        async with relaying(SharingPlugin, server_tls=named) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as target:
                at = told(await share(client, target.endpoint, "server", name=name))
                with await Peer.connect(at) as near, await target.accept() as far:
                    tls = TlsPeer(far, pki.server(pki.make(certified)), server_side=True)
                    with pytest.raises((OSError, AssertionError)):
                        await tls.shake()
                        assert await tls.receive()
                    assert await near.line() == b"sorry, certificate_refused\n"

    run(work())


@pytest.mark.parametrize(("target", "on_loopback"), [("192.0.2.1", False), (SERVER, True)])
def test_loopback_is_allowed_to_who_is_there(run: Run, target: str, on_loopback: bool) -> None:
    """An operator who put the upstream on loopback meant that one, and no other server's word for it."""

    async def work() -> None:
        services = Services(Registry(), Times(), Limits())
        route = route_to(Endpoint.parse(SERVER, 7000), SharingPlugin)
        rules = {side: TargetRules(loopback=True) for side in Side}
        came: asyncio.Queue[tuple[SharedListener, socket.socket]] = asyncio.Queue()
        shared = SharedListeners(
            *(services, route, None, rules),
            on_accepted=lambda listener, sock, _: came.put_nowait((listener, sock)),
        )
        expectation = Expectation.usual(Side.CLIENT, Endpoint.parse(target, 5000), plugin="sharing", shared=True)
        opened = shared.open(OpenBinding(1, expectation), Leg(Endpoint.parse(SERVER, 1), Endpoint.parse(CLIENT, 2)))
        assert isinstance(opened, BindingOpened)
        with await Peer.connect(opened.endpoints[Side.CLIENT]):
            listener, sock = await came.get()
            sock.close()
            loopback = {side: rules.loopback for side, rules in listener.targets.items()}
            assert loopback == {Side.CLIENT: True, Side.SERVER: on_loopback}
        shared.close()
        services.close()

    run(work())


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_over_ipv6(run: Run) -> None:
    """The listener is of the family of the client's leg."""

    async def work() -> None:
        with Host6() as host, Host6() as target, Notes() as notes:
            rules = {side: TargetRules(loopback=True) for side in Side}
            route: Route = replace(route_to(host.endpoint, SharingPlugin, listen="::1"), targets=rules)
            relay = Relay([route], Registry())
            await relay.start()
            rig = Rig(relay, notes, host)
            with await connect6(rig.at) as client, await host.accept() as server:
                at = told(await share(client, target.endpoint))
                assert at.address == rig.at.address
                assert told(await share(client, target.endpoint)) == at
                with await connect6(at) as near, await target.accept() as far:
                    await talk(near, far)
                await talk(client, server)
            relay.close()
            await relay.wait_idle()
            relay.close()
            rig.check_empty()

    run(work())

"""What one client of a SOCKS or CONNECT route may not do to the others of its address, to us, or to whom it may not reach."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import pytest

from alg.core.model import Endpoint
from alg.core.opening import MAX_EARLY_DATA
from alg.core.proxy_protocol import ProxyVersion, format_header
from alg.registry import Registry
from alg.relay.server import Relay
from alg.settings import AllowedUpstream, Proxy, Times, Way
from tests.conftest import Run
from tests.peers.namespaces import CLIENT as OUTSIDER
from tests.peers.namespaces import GATEWAY_INSIDE
from tests.relay.asking import asked, asked_relay, ftp_rules, greeted, reply, request
from tests.relay.interception import NEEDS_ROOT, ThirdLab, lab
from tests.relay.peers import CLIENT, DEADLINE, OTHER, SERVER, THIRD, Host, Peer, refused
from tests.relay.rig import FtpPair, Notes, relaying_ftp, route_to
from tests.relay.test_associations import NOWHERE
from tests.relay.test_flow_end import turns

__all__ = ["lab"]

PUBLIC = "8.8.8.8"


async def logged_in(at: Endpoint, user: bytes, target: Endpoint) -> tuple[Peer, int]:
    """Somebody with a password (the name twice) asks for that; the code of the answer."""
    client = await Peer.connect(at)
    await client.send(b"\x05\x01\x02")
    assert await client.exactly(2) == b"\x05\x02"
    await client.send(b"\x01%c%s%c%s" % (len(user), user, 2 * len(user), user * 2))
    assert await client.exactly(2) == b"\x01\x00"
    await client.send(request(1, target))
    return client, (await reply(client))[0]


USERS = {"alice": "alicealice", "bob": "bobbob"}


def test_a_data_connection_is_that_users(run: Run) -> None:
    """Another one of the same address, behind a translation perhaps, is not let to it."""

    async def work() -> None:
        with Host(SERVER) as other:
            port = other.endpoint.port
        allowed = (AllowedUpstream(ip_network(f"{SERVER}/32"), port),)
        async with asked_relay(users=USERS, host_port=port, rules=ftp_rules(), allowed=allowed) as rig:
            alice, code = await logged_in(rig.at, b"alice", rig.host.endpoint)
            server = await rig.host.accept()
            await server.send(b"220 hello\r\n")
            assert (code, await alice.line()) == (0, b"220 hello\r\n")
            with Host(SERVER) as data:
                await FtpPair(alice, server).passive(data.endpoint)
                bob, code = await logged_in(rig.at, b"bob", data.endpoint)
                assert code == 2
                bob.close()
                hers, code = await logged_in(rig.at, b"alice", data.endpoint)
                assert code == 0
                (await data.accept()).close()
                hers.close()
            alice.close()
            server.close()

    run(work())


def test_a_data_connection_is_that_routes(run: Run) -> None:
    """Another route does not lead there, if it leads nowhere near: its clients have shown nothing."""

    async def work() -> None:
        with Host(SERVER) as host, Host(SERVER) as data, Notes():
            allowed = (AllowedUpstream(ip_network(f"{SERVER}/32"), host.endpoint.port),)
            nowhere = (AllowedUpstream(ip_network("192.0.2.0/24")),)
            with_password = route_to(host.endpoint, way=Way.SOCKS, allowed=allowed, users=USERS, rules=ftp_rules())
            relay = Relay([with_password, route_to(host.endpoint, way=Way.CONNECT, allowed=nowhere)], Registry())
            await relay.start()
            alice, _ = await logged_in(relay.listeners[0].local, b"alice", host.endpoint)
            server = await host.accept()
            await server.send(b"220 hello\r\n")
            await alice.line()
            await FtpPair(alice, server).passive(data.endpoint)
            with await Peer.connect(relay.listeners[1].local) as other:
                await other.send(b"CONNECT %s HTTP/1.1\r\n\r\n" % str(data.endpoint).encode())
                assert (await other.line()).startswith(b"HTTP/1.1 400 ")
            with await Peer.connect(relay.listeners[1].local) as other:
                target = str(data.endpoint).encode()
                await other.send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, target))
                assert (await other.line()).startswith(b"HTTP/1.1 403 ")
            alice.close()
            server.close()
            relay.close()
            assert await relay.drain(DEADLINE)
            relay.close()

    run(work())


def test_bind_for_nobody_is_for_ones_own_servers(run: Run) -> None:
    """Another user of the same address is connected to them, and not oneself."""

    async def work() -> None:
        async with asked_relay(users=USERS) as rig:
            alice, _ = await logged_in(rig.at, b"alice", rig.host.endpoint)
            server = await rig.host.accept()
            for user, wanted in ((b"bob", 2), (b"alice", 0)):
                client = await Peer.connect(rig.at)
                await client.send(b"\x05\x01\x02")
                await client.exactly(2)
                await client.send(b"\x01%c%s%c%s" % (len(user), user, 2 * len(user), user * 2))
                await client.exactly(2)
                await client.send(request(2, NOWHERE))
                assert (await reply(client))[0] == wanted
                client.close()
            alice.close()
            server.close()

    run(work())


def test_bind_past_another_proxy(run: Run) -> None:
    """Who is behind it cannot come to us, and shall not learn where we are; an announced listener is no way either."""

    async def work() -> None:
        async with asked_relay(via=Proxy("socks5", THIRD, 9)) as rig:
            assert await asked(rig, 2, rig.host.endpoint) == 7
            note = await rig.notes.wait("not_through_proxy")
            assert f"nobody can come to us who is behind socks5://{THIRD}:9" in note.message

    run(work())


def test_no_header_to_whom_we_waited_for(run: Run) -> None:
    """A server that came to a BIND hears the client, and not who that is."""

    async def work() -> None:
        async with asked_relay(proxy_protocol=ProxyVersion.V1) as rig:
            client = await greeted(rig)
            await client.send(request(2, rig.host.endpoint))
            _, at = await reply(client)
            with await Peer.connect(at, SERVER) as far:
                await reply(client)
                await client.send(b"file contents")
                client.fin()
                assert await far.rest() == b"file contents"
            client.close()

    run(work())


def test_servers_need_no_header(run: Run) -> None:
    """Though one's address is within the network of those who must say for whom they come."""

    async def work() -> None:
        async with relaying_ftp(proxy_senders=(ip_network("127.0.0.0/8"),)) as rig:
            client = await Peer.connect(rig.at)
            await client.send(format_header(ProxyVersion.V1, Endpoint.parse(CLIENT, 4000), rig.at))
            server = await rig.host.accept()
            await server.send(b"220 hello\r\n")
            await client.line()
            with Host(CLIENT) as data:
                told = await FtpPair(client, server).active(data.endpoint)
                with await Peer.connect(told, SERVER) as far:
                    await far.send(b"contents")
                    with await data.accept() as near:
                        assert await near.exactly(8) == b"contents"
            client.close()
            server.close()
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_refusal_is_heard_whatever_came_with_it(run: Run, pieces: int) -> None:
    """RFC 1928 section 6: a command that there is not gets its code, in one piece with the greeting or not."""

    async def work() -> None:
        greeting, command = b"\x05\x01\x00", b"\x05\x09\x00\x01\x7f\x00\x00\x05\x00\x50"
        async with asked_relay() as rig:
            with await Peer.connect(rig.at) as client:
                if pieces == 1:
                    await client.send(greeting + command)
                else:
                    await client.send(greeting)
                    assert await client.exactly(2) == b"\x05\x00"
                    await client.send(command)
                said, _ = await client.until_cut()
                assert said.removeprefix(b"\x05\x00") == b"\x05\x07\x00\x01" + bytes(6)

    run(work())


def test_who_leaves_a_bind_after_a_byte(run: Run) -> None:
    """Its listener goes with it."""

    async def work() -> None:
        async with asked_relay() as rig:
            client = await greeted(rig)
            await client.send(request(2, rig.host.endpoint))
            _, at = await reply(client)
            await client.send(b"x")
            client.reset()
            await rig.at_rest()
            assert await refused(at, THIRD) == "refused"

    run(work())


def test_what_is_said_early_is_not_lost(run: Run) -> None:
    """A client of BIND that speaks before anybody has come is heard by who comes."""

    async def work() -> None:
        async with asked_relay() as rig:
            client = await greeted(rig)
            await client.send(request(2, rig.host.endpoint))
            _, at = await reply(client)
            early = b"x" * 100_000
            sending = asyncio.ensure_future(client.send(early))
            await turns()
            with await Peer.connect(at, SERVER) as far:
                await reply(client)
                await sending
                client.fin()
                assert await far.rest() == early
            client.close()

    run(work())


class SlowNames:
    """Stands in for the loop's resolver: names under `slow.example` are found when `go_on` is set, and no earlier."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = asyncio.Event()
        self.asked = self.most = 0
        loop = asyncio.get_running_loop()
        self._others = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self._resolve, raising=False)

    async def _resolve(self, host: str, port: int, **words: Any) -> object:
        if not host.endswith(".example"):
            return await self._others(host, port, **words)
        if host.endswith("slow.example"):
            self.asked += 1
            self.most = max(self.most, self.asked)
            await self.go_on.wait()
            self.asked -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (SERVER, port))]


def test_as_much_as_may_be_said_early(run: Run) -> None:
    """With the request itself: it is no sign that the client has left."""

    async def work() -> None:
        async with asked_relay() as rig:
            client = await greeted(rig)
            early = b"x" * MAX_EARLY_DATA
            await client.send(request(2, rig.host.endpoint) + early)
            _, at = await reply(client)
            await client.send(b"y")
            await turns()
            with await Peer.connect(at, SERVER) as far:
                assert (await reply(client))[0] == 0
                client.fin()
                assert await far.rest() == early + b"y"
            client.close()

    run(work())


def test_slow_names_are_ones_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """T97: the resolver's threads are not one client's, however long its names take, and though it has given up waiting."""

    async def work() -> None:
        names = SlowNames(monkeypatch)
        allowed = (AllowedUpstream("*"), AllowedUpstream(ip_network(f"{SERVER}/32")))
        async with asked_relay(allowed=allowed, times=Times(connect=0.5)) as rig:
            port = rig.host.endpoint.port.to_bytes(2)

            async def ask(name: bytes, source: str) -> Peer:
                client = await greeted(rig, source)
                await client.send(b"\x05\x01\x00\x03%c%s%s" % (len(name), name, port))
                return client

            for count in (4, 4):
                slow = [await ask(b"%d.slow.example" % number, OTHER) for number in range(20)]
                with await ask(b"good.example", CLIENT) as good:
                    assert (await reply(good))[0] == 0
                    (await rig.host.accept()).close()
                for client in slow:
                    assert (await reply(client))[0] == 4
                    client.close()
                assert names.most == count
            names.go_on.set()
            with await ask(b"late.slow.example", OTHER) as again:
                assert (await reply(again))[0] == 0
                (await rig.host.accept()).close()
            assert names.asked == 0

    run(work())


@NEEDS_ROOT
def test_the_public_is_refused_at_once(run: Run, lab: ThirdLab) -> None:
    """Where nobody needs a password: nothing is waited for, and a flood of them is a record a second."""

    async def work() -> None:
        lab.client.ip("address", "add", f"{PUBLIC}/32", "dev", "eth0")
        lab.gateway.ip("route", "add", PUBLIC, "via", OUTSIDER[4])
        try:
            with lab.gateway.entered(), Notes() as notes:
                anywhere, listen = (AllowedUpstream("*"),), GATEWAY_INSIDE[4]
                route = route_to(Endpoint.parse(SERVER, 9), way=Way.SOCKS, allowed=anywhere, listen=listen)
                relay = Relay([route], Registry())
                await relay.start()
                at = relay.listeners[0].local
                for _ in range(5):
                    with lab.client.entered():
                        client = await Peer.connect(at, PUBLIC)
                    with client:
                        assert (await client.until_cut())[0] == b""
                assert len(notes.of("client_refused")) == 1
                assert relay.services.budget.sessions == 0
                relay.close()
                assert await relay.drain(DEADLINE)
                relay.close()
        finally:
            lab.gateway.ip("route", "delete", PUBLIC)
            lab.client.ip("address", "delete", f"{PUBLIC}/32", "dev", "eth0")

    run(work())

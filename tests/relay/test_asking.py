"""Clients that ask us to connect, by SOCKS or CONNECT: what they get, in their own protocol, and what nobody gets."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from alg_udp import UdpPlugin

from alg.core.model import Endpoint, Transport
from alg.core.proxy_protocol import ProxyVersion, format_header
from alg.settings import AllowedUpstream, Limits, PortRule, Times, Upstream, Way
from tests.conftest import Run
from tests.relay.asking import (
    EVERY_PORT,
    SERVER_ONLY,
    asked,
    asked_relay,
    connected,
    ftp_rules,
    greeted,
    reply,
    request,
)
from tests.relay.peers import CLIENT, OTHER, SERVER, THIRD, Host, Peer
from tests.relay.test_names import NAME, Resolver


async def both_ways(client: Peer, server: Peer) -> None:
    """They hear each other, and the end."""
    await server.send(b"from the server")
    assert await client.exactly(15) == b"from the server"
    await client.send(b"from the client")
    client.fin()
    assert await server.rest() == b"from the client"
    server.close()


@pytest.mark.parametrize("way", ["socks5", "socks4", "socks4a", "connect"])
def test_a_client_asks_and_is_connected(run: Run, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes when the server is connected, and nothing of either side before it; what came early is not lost."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, SERVER)
        allowed = (AllowedUpstream(SERVER_ONLY), AllowedUpstream(NAME))
        async with asked_relay(allowed=allowed, way=Way.CONNECT if way == "connect" else Way.SOCKS) as rig:
            target = rig.host.endpoint
            port = target.port.to_bytes(2)
            words, granted = {
                "socks5": (b"\x05\x01\x00" + request(1, target), b"\x05\x00\x05\x00\x00\x01"),
                "socks4": (b"\x04\x01" + port + target.address.packed + b"me\0", b"\0\x5a"),
                "socks4a": (b"\x04\x01" + port + b"\0\0\0\x01me\0" + NAME.encode() + b"\0", b"\0\x5a"),
                "connect": (b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % str(target).encode(), b"HTTP/1.1 200"),
            }[way]
            with await Peer.connect(rig.at) as client:
                await client.send(words + b"early")
                server = await rig.host.accept()
                assert await server.exactly(5) == b"early"
                assert (await client.exactly(len(granted))) == granted
                if way == "connect":
                    assert (await client.line()).endswith(b"\r\n")
                    assert await client.line() == b"\r\n"
                else:
                    await client.exactly(6)
                await both_ways(client, server)
            assert resolver.asked == (way == "socks4a")

    run(work())


@pytest.mark.parametrize(
    ("host", "code", "reason"),
    [
        (THIRD, 2, "upstream_refused"),
        ("169.254.169.254", 2, "upstream_refused"),
        ("10.0.0.1", 2, "upstream_refused"),
        ("224.0.0.1", 2, "upstream_refused"),
        ("255.255.255.255", 2, "upstream_refused"),
        ("0.0.0.0", 2, "upstream_refused"),
    ],
)
@pytest.mark.parametrize("everybody", ["*", "0.0.0.0/0"])
def test_no_open_relay(run: Run, host: str, code: int, reason: str, everybody: str) -> None:
    """T12: what no rule allows is refused in the protocol, with one record, and nobody is dialled; "everybody" allows the
    public Internet only, and neither this host nor its links."""

    async def work() -> None:
        entry = AllowedUpstream(everybody if everybody == "*" else ip_network(everybody))
        if everybody != "*" and host in ("10.0.0.1", "224.0.0.1", "255.255.255.255"):
            return  # a network allows what lies in it; the kernel refuses groups
        async with asked_relay(allowed=(entry,)) as rig:
            with Host(THIRD) as third:
                assert await asked(rig, 1, Endpoint.parse(host, third.endpoint.port)) == code
                assert third.untouched()
            assert [note.reason for note in rig.notes.all] == [reason]
            assert await asked(rig, 1, rig.host.endpoint) == 2
            assert rig.host.untouched()

    run(work())


def test_the_gateway_itself_is_no_target(run: Run) -> None:
    """T14, T15: not its listener, though the address is allowed; the session that asks is refused, and no other begins."""

    async def work() -> None:
        async with asked_relay(allowed=(AllowedUpstream(ip_network("127.0.0.0/8")),)) as rig:
            assert await asked(rig, 1, rig.at) == 2
            await rig.at_rest()
            assert [note.reason for note in rig.notes.all] == ["self_target"]

    run(work())


def test_where_nobody_listens(run: Run) -> None:
    """The reply says what happened: 05, connection refused."""

    async def work() -> None:
        async with asked_relay() as rig:
            nobody = rig.host.endpoint
            rig.host.close()
            assert await asked(rig, 1, nobody) == 5
            assert rig.notes.of("connect_refused")

    run(work())


def test_a_name_is_looked_up_once_and_what_was_judged_is_dialled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """T13: one look-up for each decision; a name that leads where it may not is refused."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, SERVER)
        async with asked_relay(allowed=(AllowedUpstream(NAME), AllowedUpstream(SERVER_ONLY))) as rig:
            name = b"\x05\x01\x00\x03%c" % len(NAME) + NAME.encode() + rig.host.endpoint.port.to_bytes(2)
            with await greeted(rig) as client:
                await client.send(name)
                server = await rig.host.accept()
                assert (await reply(client))[0] == 0
                await both_ways(client, server)
            assert resolver.asked == 1
            resolver.answer = THIRD
            with await greeted(rig) as client:
                await client.send(name)
                assert (await reply(client))[0] == 2
            assert resolver.asked == 2
            with await greeted(rig) as client:
                await client.send(b"\x05\x01\x00\x03\x0dother.invalid\x00\x50")
                assert (await reply(client))[0] == 4
            assert resolver.asked == 2

    run(work())


def test_users_and_passwords(run: Run) -> None:
    """RFC 1929: who has no password gets nothing; no password is ever recorded."""

    async def work() -> None:
        async with asked_relay(users={"alice": "hush-hush"}) as rig:
            for password, answer in ((b"hush-hush", 0), (b"other-one", 1)):
                with await Peer.connect(rig.at) as client:
                    await client.send(b"\x05\x02\x00\x02")
                    assert await client.exactly(2) == b"\x05\x02"
                    await client.send(b"\x01\x05alice\x09" + password)
                    said = await client.exactly(2)
                    assert bool(said[1]) == bool(answer)
                    if answer:
                        assert await client.rest() == b""
                        continue
                    await client.send(request(1, rig.host.endpoint))
                    assert (await reply(client))[0] == 0
                    await both_ways(client, await rig.host.accept())
            with await Peer.connect(rig.at) as client:
                await client.send(b"\x05\x01\x00" + request(1, rig.host.endpoint))
                assert await client.rest() == b"\x05\xff"
            assert rig.host.untouched()
            assert not [note for note in rig.notes.all if "hush" in note.message or "other-one" in note.message]

    run(work())


def test_who_says_nothing_is_let_go(run: Run) -> None:
    """T79: one deadline for all that comes before the session, which bytes do not move."""

    async def work() -> None:
        async with asked_relay(times=Times(handshake=0.2)) as rig:
            with await Peer.connect(rig.at) as client:
                await client.send(b"\x05")
                await rig.notes.wait("too_slow")
                assert (await client.until_cut())[0] in (b"", b"\x05\xff")
            with await Peer.connect(rig.at) as client:
                client.fin()
                assert await client.until_cut() == (b"", "end")

    run(work())


def test_the_relay_stops_while_somebody_asks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not said all, or waits for a name, is let go; nothing is left."""

    async def work() -> None:
        resolver = Resolver(monkeypatch, None)
        async with asked_relay(allowed=(AllowedUpstream(NAME),)) as rig:
            with await greeted(rig) as silent, await greeted(rig) as waiting:
                await waiting.send(b"\x05\x01\x00\x03%c" % len(NAME) + NAME.encode() + b"\0\x50")
                assert rig.relay.services.budget.sessions == 2
                await resolver.until_asked()
                rig.relay.close()
                assert (await silent.until_cut())[0] in (b"", b"\x05\x01\x00\x01" + bytes(6))
                assert (await waiting.until_cut())[0][:2] == b"\x05\x01"

    run(work())


def test_a_client_may_only_have_so_many(run: Run) -> None:
    """Those that have not said what they want count."""

    async def work() -> None:
        async with asked_relay(limits=Limits(sessions_per_client=2)) as rig:
            with await greeted(rig), await greeted(rig):
                with await Peer.connect(rig.at) as third:
                    assert await third.until_cut() == (b"", "end")
                assert rig.notes.of("too_many_sessions_of_client")
                with await greeted(rig, OTHER) as other:
                    await other.send(request(1, rig.host.endpoint))
                    assert (await reply(other))[0] == 0
                    await both_ways(other, await rig.host.accept())

    run(work())


class TestProxyHeader:
    """The PROXY protocol, toward us: from those who are listed, and from nobody else."""

    SENDERS = (ip_network(f"{CLIENT}/32"),)

    @pytest.mark.parametrize("version", list(ProxyVersion))
    def test_a_client_is_who_its_sender_says(self, run: Run, version: ProxyVersion) -> None:
        """It counts, and is recorded, for whom it comes; what comes behind the header is not lost."""

        async def work() -> None:
            client, local = Endpoint.parse("192.0.2.7", 4000), Endpoint.parse("192.0.2.1", 21)
            async with asked_relay(way=Way.FIXED, allowed=(), proxy_senders=self.SENDERS) as rig:
                with await Peer.connect(rig.at) as near:
                    header = format_header(version, client, local)
                    await near.send(header[:9])
                    await near.send(header[9:] + b"first")
                    far = await rig.host.accept()
                    assert await far.exactly(5) == b"first"
                    (session,) = rig.relay.sessions
                    assert session.peer == client
                    await both_ways(near, far)
                await rig.at_rest()
                assert str(client) in rig.notes.of("session_open")[0].message

        run(work())

    @pytest.mark.parametrize(
        ("source", "words", "reason"),
        [
            (OTHER, b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 21\r\nx", "client_refused"),
            (OTHER, b"x", "client_refused"),
            (CLIENT, b"220 hello\r\n", "bad_header"),
            (CLIENT, b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 99999\r\n", "bad_header"),
        ],
        ids=["not-listed", "not-listed-silent", "no-header", "bad-header"],
    )
    def test_what_is_refused(self, run: Run, source: str, words: bytes, reason: str) -> None:
        """T51: nobody is dialled, and there is one record."""

        async def work() -> None:
            async with asked_relay(way=Way.FIXED, allowed=(), proxy_senders=self.SENDERS) as rig:
                with await Peer.connect(rig.at, source) as near:
                    await near.send(words)
                    await near.until_cut()
                assert rig.host.untouched()
                assert len(rig.notes.all) == 1, rig.notes.all

        run(work())

    def test_no_header_in_time(self, run: Run) -> None:
        """A sender that never says it is let go."""

        async def work() -> None:
            times = Times(handshake=0.2)
            async with asked_relay(way=Way.FIXED, allowed=(), proxy_senders=self.SENDERS, times=times) as rig:
                with await Peer.connect(rig.at) as near:
                    await near.send(b"PROXY TCP4 ")
                    assert await near.until_cut() == (b"", "end")
                assert rig.notes.of("too_slow")

        run(work())

    def test_the_public_may_not_ask_without_a_password(self, run: Run) -> None:
        """Whose address is of the public Internet asks nothing here, unless it is listed, or has a password."""

        async def work() -> None:
            public = Endpoint.parse("8.8.8.8", 4000)
            for clients, served in (((), False), ((ip_network("8.8.8.0/24"),), True)):
                async with asked_relay(proxy_senders=self.SENDERS, clients=clients) as rig:
                    with await Peer.connect(rig.at) as near:
                        header = format_header(ProxyVersion.V1, public, Endpoint.parse("8.8.4.4", 1080))
                        await near.send(header + b"\x05\x01\x00")
                        if served:
                            assert await near.exactly(2) == b"\x05\x00"
                        else:
                            assert (await near.until_cut())[0] == b""
                    assert bool(rig.notes.of("client_refused")) == (not served)

        run(work())


def test_connected_to_several(run: Run) -> None:
    """Each has a session of its own."""

    async def work() -> None:
        async with asked_relay() as rig:
            pairs = [(await connected(rig, rig.host.endpoint), await rig.host.accept()) for _ in range(5)]
            for client, server in pairs:
                await both_ways(client, server)
                client.close()

    run(work())


def test_a_port_has_a_plugin_for_each_transport(run: Run) -> None:
    """What is said of datagrams changes nothing for connections to the same port."""

    async def work() -> None:
        rules = (*ftp_rules(), PortRule(EVERY_PORT, UdpPlugin, None))
        async with asked_relay(rules=rules) as rig:
            (listener,) = rig.relay.listeners
            wanted, targets = Upstream(SERVER, 21), [Endpoint.parse(SERVER, 21)]
            asked = listener.toward(wanted, targets, rig.at)
            assert (asked.name, asked.tls is None) == ("ftp", False)
            spoken_to = listener.toward(wanted, targets, rig.at, Transport.UDP)
            assert (spoken_to.name, spoken_to.tls) == ("udp", None)

    run(work())

"""Realms: where data channels listen, what is written into payloads, and from where the upstream is dialled."""

from __future__ import annotations

import pytest

from alg.core.addresses import parse_address
from alg.core.model import Realm, Side
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, Host, Peer, refused
from tests.relay.rig import endpoint_in, port_line, relaying_ftp

BIND, SHOWN, ANY = parse_address("127.0.0.8"), parse_address("198.51.100.1"), parse_address("0.0.0.0")
SIX = parse_address("2001:db8::1")


def realms(client: Realm, server: Realm | None = None) -> dict[Side, Realm]:
    """Both sides."""
    return {Side.CLIENT: client, Side.SERVER: server or Realm()}


def test_bind_and_advertise(run: Run) -> None:
    """The client is told the advertised address; what listens is bound to the other one, and only there."""

    async def work() -> None:
        async with relaying_ftp(realms=realms(Realm(bind=BIND, advertise=SHOWN))) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert told.address == SHOWN
                assert await refused(type(told)(rig.at.address, told.port), OTHER) == "refused"
                with await Peer.connect(type(told)(BIND, told.port)), await data.accept():
                    pass
            ftp.close()
            await rig.at_rest()

    run(work())


def test_unspecified_bind_is_not_advertised(run: Run) -> None:
    """Bound to all addresses, the client is told the one that it speaks to: 0.0.0.0 leads nowhere."""

    async def work() -> None:
        async with relaying_ftp(realms=realms(Realm(bind=ANY))) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert told.address == rig.at.address
                with await Peer.connect(told), await data.accept():
                    pass
            ftp.close()
            await rig.at_rest()

    run(work())


def test_upstream_is_dialled_from_the_bound_address(run: Run) -> None:
    """The server's realm says from which of our addresses the server is called, on control and data alike."""

    async def work() -> None:
        async with relaying_ftp(realms=realms(Realm(), Realm(bind=BIND))) as rig:
            ftp = await rig.ftp()
            assert ftp.server.peer.address == BIND
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told), await data.accept() as server:
                    assert server.peer.address == BIND
            ftp.close()
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("other", [Realm(advertise=SIX), Realm(bind=SIX), Realm(bind=SIX, advertise=SIX)])
def test_addresses_of_the_other_family_are_not_for_this_leg(run: Run, other: Realm) -> None:
    """A route that serves both families names an IPv6 address: who came by IPv4 is told the one it spoke to, by IPv4."""

    async def work() -> None:
        async with relaying_ftp(realms=realms(other, other)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert told.address == rig.at.address
                with await Peer.connect(told), await data.accept():
                    pass
            with Host(CLIENT) as data:
                await ftp.client.send(port_line(data.endpoint))
                line = await ftp.server.line()
                assert line.startswith(b"PORT ")
                told = endpoint_in(line)
                assert told.address == ftp.server.peer.address
                with await Peer.connect(told, SERVER), await data.accept():
                    pass
            ftp.close()
            await rig.at_rest()

    run(work())

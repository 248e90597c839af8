"""The client chooses its server: the session begins without one, and gets it when the plugin asks."""

from __future__ import annotations

import ipaddress

from alg.settings import AllowedUpstream
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying_ftp


def test_client_chooses_its_server_by_user(run: Run) -> None:
    """`USER name@host:port` connects there; the server hears the name alone."""

    async def work() -> None:
        async with relaying_ftp(allowed=(AllowedUpstream(ipaddress.ip_network("127.0.0.0/8")),)) as rig:
            with await Peer.connect(rig.at) as client:
                assert (await client.line()).startswith(b"220 ")
                await client.send(f"USER u@{rig.host.endpoint}\r\n".encode())
                with await rig.host.accept() as server:
                    await server.send(b"220 ready\r\n")
                    assert await server.line() == b"USER u\r\n"
                    await server.send(b"331 password?\r\n")
                    assert await client.line() == b"331 password?\r\n"
            await rig.at_rest()

    run(work())


def test_server_that_is_not_allowed_is_not_reached(run: Run) -> None:
    """Another is refused, and the client may try again."""

    async def work() -> None:
        async with relaying_ftp(allowed=(AllowedUpstream(ipaddress.ip_network("192.0.2.0/24")),)) as rig:
            with await Peer.connect(rig.at) as client:
                await client.line()
                await client.send(f"USER u@{rig.host.endpoint}\r\n".encode())
                assert (await client.line()).startswith(b"530 ")
                assert rig.host.untouched()
            await rig.at_rest()

    run(work())

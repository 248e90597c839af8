"""CCC (RFC 4217 section 12.3): TLS leaves a control connection that lives on; some clients send no close_notify."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig

from alg.core.model import TlsPolicy
from alg.settings import ClientTls, ServerTls
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying_ftp
from tests.relay.tls_peer import TlsPeer


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_after_ccc_the_client_speaks_in_the_clear(run: Run, says_goodbye: bool) -> None:
    """With its own close_notify or without, as curl's passive mode: what comes then is in the clear."""
    tls = ClientTls(policy=TlsPolicy.CLIENT, certificate=pki.file(pki.good()))

    async def work() -> None:
        async with relaying_ftp(
            config=FtpConfig(ccc=True), client_tls=tls, server_tls=ServerTls(policy=TlsPolicy.NEVER)
        ) as rig:
            plain, server = await rig.pair()
            with plain, server:
                await server.send(b"220 ready\r\n")
                await plain.line()
                await plain.send(b"AUTH TLS\r\n")
                assert await plain.line() == b"234 AUTH TLS: go ahead.\r\n"
                client = await TlsPeer.cover(plain)
                await client.send(b"USER u\r\n")
                await server.line()
                await server.send(b"230 welcome\r\n")
                await client.line()
                await client.send(b"CCC\r\n")
                assert (await client.line()).startswith(b"200 ")
                assert await client.rest() == b""
                if says_goodbye:
                    await client.raw(client.goodbye())
                clear = Peer(client.sock)
                await clear.send(b"NOOP\r\n")
                assert await server.line() == b"NOOP\r\n"
                await server.send(b"200 still here\r\n")
                assert await clear.line() == b"200 still here\r\n"
            await rig.at_rest()

    run(work())

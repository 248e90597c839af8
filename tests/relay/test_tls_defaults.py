"""What TLS there is without being told: versions, ciphers, no renegotiation, resumption, new keys (T108)."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest

from tests import pki
from tests.conftest import Run
from tests.openssl import needs_openssl
from tests.relay.peers import Peer
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS, covering

MATRIX = [
    *(
        (f"client-{version}", True, version, version not in ("TLSv1", "TLSv1_1"))
        for version in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
    ),
    *(
        (f"server-{version}", False, version, version not in ("TLSv1", "TLSv1_1"))
        for version in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
    ),
]
WEAK = ["NULL-SHA256", "ADH-AES128-SHA256", "AECDH-AES128-SHA", "AECDH-NULL-SHA"]
"""RC4 and 3DES are gone from OpenSSL itself, as it is built today."""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("client", "version", "good"), [each[1:] for each in MATRIX], ids=[each[0] for each in MATRIX])
def test_versions(run: Run, client: bool, version: str, good: bool) -> None:
    """T108: TLS 1.2 at least, on both legs, whatever OpenSSL's own default is."""
    context = pki.client() if client else pki.server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    async def work() -> None:
        async with covering(client, not client) as rig:
            near, far = await rig.pair()
            with near, far:
                covered = TlsPeer.cover(near, context) if client else TlsPeer.serve(far, context)
                if good:
                    with await covered as tls:
                        assert tls.tls.version() == version.replace("_", ".")
                else:
                    with pytest.raises((ssl.SSLError, ConnectionResetError)):
                        await covered
                    other = far if client else near
                    assert (await other.until_cut())[0] == b""
            await rig.at_rest()
            assert good or rig.notes.of("tls_failed")

    run(work())


@pytest.mark.parametrize("cipher", WEAK)
def test_weak_ciphers(run: Run, cipher: str) -> None:
    """T108: no anonymous and no NULL suite: a client that offers nothing else is refused."""
    context = pki.client(trust=None, version=pki.V12)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            with near, far:
                with pytest.raises(ssl.SSLError):
                    await TlsPeer.cover(near, context)
                assert await plain_until_cut(far) == b""
            await rig.at_rest()

    run(work())


def test_renegotiation_is_refused(run: Run) -> None:
    """T108: a client under TLS 1.2 that asks for another handshake does not get it, and the connection does not break off."""
    openssl = pytest.importorskip("OpenSSL.SSL")

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            context = openssl.Context(openssl.TLSv1_2_METHOD)
            tls = openssl.Connection(context, None)
            tls.set_connect_state()
            with near, far:
                await drive(near, tls, tls.do_handshake)
                tls.write(b"before")
                await flush(near, tls)
                assert await far.exactly(6) == b"before"
                tls.renegotiate()
                hellos = rig.relay.sessions.copy().pop()
                with pytest.raises(openssl.Error, match="no renegotiation"):
                    await drive(near, tls, tls.do_handshake)
                assert hellos.master is None or hellos.master.error is None
            await rig.at_rest()

    run(work())


async def flush(peer: Peer, tls: object) -> None:
    """Send what pyOpenSSL wants to send."""
    from OpenSSL import SSL

    try:
        while data := tls.bio_read(65536):  # type: ignore[attr-defined]
            await peer.send(data)
    except SSL.WantReadError:
        pass


async def drive(peer: Peer, tls: object, step: object) -> None:
    """Do a step of pyOpenSSL until it is done."""
    from OpenSSL import SSL

    while True:
        try:
            step()  # type: ignore[operator]
        except SSL.WantReadError:
            await flush(peer, tls)
            tls.bio_write(await peer.receive())  # type: ignore[attr-defined]
        else:
            await flush(peer, tls)
            return


@VERSIONS
def test_sessions_can_be_resumed(run: Run, version: ssl.TLSVersion) -> None:
    """A client may come back with its TLS session, at the same listener; at another one it gets a whole handshake."""

    async def work() -> None:
        context = pki.client(version=version)
        async with covering(True, False) as rig, covering(True, False) as other:
            near, far = await rig.pair()
            with await TlsPeer.cover(near, context) as tls, far:
                await far.send(b"x")
                assert await tls.exactly(1) == b"x"  # the ticket has come before it
                session = tls.tls.session
            for at, resumed in ((rig, True), (other, False)):
                near, far = await at.pair()
                with await TlsPeer.cover(near, context, session=session) as tls, far:
                    assert tls.tls.session_reused is resumed
            await rig.at_rest()
            await other.at_rest()

    run(work())


@needs_openssl
def test_key_update(run: Run) -> None:
    """TLS 1.3 may change its keys at any time; what is said afterwards is read, also where an answer is asked for."""

    async def work() -> None:
        async with covering(True, False) as rig:
            command = ["openssl", "s_client", "-connect", str(rig.at), "-tls1_3"]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as tool:  # noqa: ASYNC220
                assert tool.stdin
                assert tool.stderr
                with await rig.host.accept() as far:
                    tool.stdin.write(b"before\n")
                    tool.stdin.flush()
                    assert await far.line() == b"before\n"
                    tool.stdin.write(b"K\n")  # its own command: a KeyUpdate that asks for one
                    tool.stdin.flush()
                    while b"KEYUPDATE" not in (line := tool.stderr.readline()):
                        assert line
                    tool.stdin.write(b"after\n")
                    tool.stdin.flush()
                    assert await far.line() == b"after\n"
                    await far.send(b"and back\n")
                    assert tool.stdout
                    while await asyncio.to_thread(tool.stdout.readline) != b"and back\n":
                        continue
                    tool.stdin.close()
                    assert await far.rest() == b""
                await rig.at_rest()

    run(work())

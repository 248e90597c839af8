"""What the gateway makes of a server's certificate, and that nothing falls back to the clear when it refuses one."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace

import pytest

from alg.settings import ServerTls
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Host, Peer
from tests.relay.rig import relaying, relaying_ftp
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS, client_tls, server_tls
from tests.relay.toys import ToyPlugin

NAMED = replace(server_tls(), name=pki.NAME)
BAD = {
    "expired": (pki.make(pki.NAME, from_days=-9, to_days=-1), NAMED, "certificate has expired"),
    "not-yet": (pki.make(pki.NAME, from_days=2), NAMED, "certificate is not yet valid"),
    "wrong-name": (pki.make("other.example.org"), NAMED, "Hostname mismatch"),
    "wrong-address": (pki.make(pki.NAME), server_tls(), "IP address mismatch"),
    "unknown-ca": (pki.make(pki.NAME, issuer="theirs"), NAMED, "unable to get local issuer certificate"),
    "self-signed": (pki.make(pki.NAME, issuer=None), NAMED, "self-signed certificate"),
    "wrong-pin": (pki.good(), ServerTls(pins=(pki.make("pinned").fingerprint,)), "none of those that are pinned"),
    "pin-without-ca": (pki.make(pki.NAME, issuer="theirs"), replace(NAMED, pins=(pki.good().fingerprint,)), ""),
    "system-ca": (pki.good(), ServerTls(), ""),
}


async def nothing_in_the_clear(far: Peer) -> None:
    """All that still comes is TLS: alerts, and what a client says before it sees the certificate."""
    data = await plain_until_cut(far)
    while data:
        assert data[0] in (20, 21, 22, 23), data[:40]
        assert data[1] == 3, data[:40]
        data = data[5 + int.from_bytes(data[3:5]) :]


async def failed_handshake(far: Peer, pair: pki.Pair, version: ssl.TLSVersion | None = None) -> None:
    """The server offers TLS with that certificate; whatever comes of it, not a byte is in the clear."""
    tls = TlsPeer(far, pki.server(pair, version=version), server_side=True)
    with contextlib.suppress(ssl.SSLError, ConnectionResetError):
        await tls.shake()
    await nothing_in_the_clear(far)


@VERSIONS
@pytest.mark.parametrize("what", BAD)
def test_bad_certificate(run: Run, what: str, version: ssl.TLSVersion) -> None:
    """Refused, recorded with the cause, told to the client; the server never sees a byte in the clear again."""
    pair, settings, words = BAD[what]

    async def work() -> None:
        async with relaying(ToyPlugin, server_tls=settings) as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(b"tls server\nsecret\n" if version is pki.V12 else b"tls server\n")
                if version is pki.V12:  # what is pipelined must not pass either
                    assert (await near.rest()).startswith(b"sorry, bytes_before_tls")
                else:
                    await failed_handshake(far, pair, version)
                    assert await near.rest() == b"sorry, certificate_refused\n"
                assert b"secret" not in await plain_until_cut(far)
            await rig.at_rest()
            if version is pki.V13:
                (note,) = rig.notes.of("certificate_refused")
                assert words in note.message

    run(work())


@VERSIONS
@pytest.mark.parametrize("what", BAD)
def test_bad_certificate_from_the_first_byte(run: Run, what: str, version: ssl.TLSVersion) -> None:
    """The same with implicit TLS, for FTP: the client reads a 421, and the server nothing."""
    pair, settings, words = BAD[what]

    async def work() -> None:
        async with relaying_ftp(server_tls=replace(settings, implicit=True)) as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(b"USER me\r\nPASS secret\r\n")
                await failed_handshake(far, pair, version)
                assert await near.rest() == b"421 The server's certificate is not to be trusted.\r\n"
            await rig.at_rest()
            assert words in rig.notes.of("certificate_refused")[0].message

    run(work())


GOOD = {
    "name": (pki.make(pki.NAME), NAMED),
    "wildcard": (pki.make("*.example.org"), NAMED),
    "address": (pki.make("127.0.0.5"), server_tls()),
    "pin": (pki.make("x", issuer=None, to_days=-1, from_days=-2), None),
    "pin-and-ca": (pki.good(), replace(server_tls(), pins=(pki.good().fingerprint,))),
    "insecure": (pki.make("y", issuer="theirs", to_days=-1, from_days=-2), ServerTls(verify=False)),
}


@VERSIONS
@pytest.mark.parametrize("what", GOOD)
def test_good_certificate(run: Run, what: str, version: ssl.TLSVersion) -> None:
    """By name or address, by a pin alone, or without verification where the operator wants none."""
    pair, settings = GOOD[what]
    settings = settings or ServerTls(pins=(pair.fingerprint,))

    async def work() -> None:
        async with relaying(server_tls=replace(settings, implicit=True)) as rig:
            near, far = await rig.pair()
            with near, await TlsPeer.serve(far, pki.server(pair, version=version)) as tls:
                await near.send(b"hello")
                assert await tls.exactly(5) == b"hello"
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize(("name", "sent"), [(pki.NAME, pki.NAME), (None, None)])
def test_name_that_the_server_is_asked_for(run: Run, name: str | None, sent: str | None) -> None:
    """SNI is the name of the upstream; a literal address is none (RFC 6066)."""
    asked: list[str | None] = []
    context = pki.server()
    context.sni_callback = lambda _, name, __: asked.append(name)

    async def work() -> None:
        async with relaying(server_tls=replace(server_tls(implicit=True), name=name)) as rig:
            near, far = await rig.pair()
            with near, await TlsPeer.serve(far, context):
                pass
            await rig.at_rest()

    run(work())
    assert asked == [sent]


@VERSIONS
@pytest.mark.parametrize("ours", [True, False], ids=["shown", "none"])
def test_client_certificate(run: Run, ours: bool, version: ssl.TLSVersion) -> None:
    """A server that demands one gets that of the route; without one the handshake fails, and nothing passes."""
    shown = pki.make("gateway.example.org")
    context = pki.server(version=version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_file())

    async def work() -> None:
        settings = replace(server_tls(implicit=True), certificate=pki.file(shown) if ours else None)
        async with relaying(server_tls=settings) as rig:
            near, far = await rig.pair()
            with near, far:
                if ours:
                    tls = await TlsPeer.serve(far, context)
                    assert ("commonName", "gateway.example.org") in tls.tls.getpeercert()["subject"][0]  # type: ignore[index]
                    await near.send(b"hello")
                    assert await tls.exactly(5) == b"hello"
                else:
                    await near.send(b"secret")
                    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
                        await TlsPeer.serve(far, context)
                    await near.until_cut()
                    await nothing_in_the_clear(far)
            await rig.at_rest()

    run(work())


def test_data_connection_with_another_certificate(run: Run) -> None:
    """The server's certificate is verified on data connections too: without a good one, not a byte passes."""

    async def work() -> None:
        async with relaying_ftp(server_tls=server_tls(implicit=True), client_tls=client_tls()) as rig:
            near, far = await rig.pair()
            with near, await TlsPeer.serve(far) as server, Host("127.0.0.5") as data:
                await server.send(b"220 hello\r\n")
                await near.line()
                await near.send(b"EPSV\r\n")
                for line, answer in ((b"PBSZ 0", b"200 ok"), (b"PROT P", b"200 ok")):
                    assert await server.line() == line + b"\r\n"
                    await server.send(answer + b"\r\n")
                assert await server.line() == b"EPSV\r\n"
                await server.send(b"229 here (|||%d|)\r\n" % data.endpoint.port)
                port = int((await near.line()).split(b"|")[3])
                with await Peer.connect(replace(rig.at, port=port)) as inner, await data.accept() as outer:
                    await inner.send(b"secret")
                    await failed_handshake(outer, pki.make("127.0.0.5", issuer="theirs"))
                    assert await inner.until_cut() == (b"", "reset")
                assert (await rig.notes.wait("certificate_refused")).session
            await rig.at_rest()

    run(work())

"""What bad clients of TLS get: garbage, nothing, another protocol, a foreign name (T23)."""

from __future__ import annotations

import ssl

import pytest

from alg.core.client_hello import MAX_CLIENT_HELLO, MAX_RECORDS
from alg.core.model import TlsPolicy
from alg.settings import ClientTls, ServerTls, Times
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying_ftp
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import client_tls, covering

LONG_RECORD = b"\x16\x03\x01\x40\x00"
GARBAGE = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_tls", b""),
    "ftp": (b"USER x\r\n", "not_tls", b""),
    "zeros": (bytes(64), "not_tls", b""),
    "alert": (b"\x15\x03\x01\x00\x02\x02\x28", "not_tls", b""),
    "too-long": (LONG_RECORD + b"\x01" + (MAX_CLIENT_HELLO + 1).to_bytes(3), "client_hello_too_long", b"\x15"),
    "endless": (
        b"\x16\x03\x01\x00\x04\x01\x00\xff\xff" + b"\x16\x03\x01\x00\x01\x00" * MAX_RECORDS,
        "client_hello_too_long",
        b"\x15",
    ),
    "malformed": (b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00", "bad_client_hello", b"\x15"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_instead_of_a_hello(run: Run, what: str) -> None:
    """At most an alert comes back, nothing is reflected, the server sees nothing; the record names the cause."""
    data, reason, answer = GARBAGE[what]

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(data)
                got = await plain_until_cut(near)
                assert got[:1] == answer
                assert len(got) in (0, 7)
                assert await plain_until_cut(far) == b""
            await rig.at_rest()
            assert rig.notes.of(reason)

    run(work())


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x01\x00\x01"], ids=["nothing", "half"])
@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
def test_peer_that_never_completes_its_handshake(run: Run, client: bool, sent: bytes) -> None:
    """A deadline ends it, on both sides, and is recorded."""

    async def work() -> None:
        async with covering(client, not client, times=Times(handshake=0.2)) as rig:
            near, far = await rig.pair()
            one, other = (near, far) if client else (far, near)
            with near, far:
                if sent and client:
                    await one.send(sent)
                await plain_until_cut(one)
                assert (await other.until_cut())[0] == b""
            await rig.at_rest()
            assert rig.notes.of("tls_timeout")

    run(work())


@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_peer_that_dies_in_the_middle_of_its_handshake(run: Run, client: bool, how: str) -> None:
    """Half a hello, and then nobody: the other side is cut, and it is recorded."""

    async def work() -> None:
        async with covering(client, not client) as rig:
            near, far = await rig.pair()
            one, other = (near, far) if client else (far, near)
            with near, far:
                await one.send(b"\x16\x03\x03\x01\x00\x01" if client else b"\x16\x03\x03\x01\x00\x02")
                if not client:
                    assert (await one.receive())[:1] == b"\x16"
                one.reset() if how == "reset" else one.close()
                assert await other.until_cut() == (b"", "reset")
            await rig.at_rest()
            assert rig.notes.of("tls_failed")

    run(work())


async def alert_for(context: ssl.SSLContext, name: str | None, at: Peer) -> int:
    """The alert that a client gets for its hello."""
    tls = TlsPeer(at, context, name=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.tls.do_handshake()
    await tls.flush()
    data = await plain_until_cut(at)
    assert data[:1] == b"\x15"
    assert data[5] == 2, "it is fatal"
    return data[6]


@pytest.mark.parametrize("offered", [["h2"], ["http/1.1"], ["h2", "http/1.1"]])
def test_another_protocol_is_refused(run: Run, offered: list[str]) -> None:
    """T23: ALPN without `ftp` gets alert 120, before a certificate is shown; with `ftp`, or without ALPN, it goes on."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(implicit=True)) as rig:
            context = pki.client()
            context.set_alpn_protocols(offered)
            near, far = await rig.pair()
            with near, far:
                assert await alert_for(context, pki.NAME, near) == 120
            assert await rig.notes.wait("wrong_protocol")
            context.set_alpn_protocols([*offered, "ftp"])
            near, far = await rig.pair()
            with await TlsPeer.cover(near, context) as tls, far:
                assert tls.tls.selected_alpn_protocol() == "ftp"
            await rig.at_rest()

    run(work())


def test_foreign_name_is_refused(run: Run) -> None:
    """T23: a name that is none of the certificate's gets alert 112; our own, or none at all, is served."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await rig.pair()
            with near, far:
                assert await alert_for(pki.client(), "www.example.com", near) == 112
                assert await plain_until_cut(far) == b""
            assert "www.example.com" in (await rig.notes.wait("foreign_name")).message
            for name in (pki.NAME, pki.NAME.upper() + ".", None):
                near, far = await rig.pair()
                with await TlsPeer.cover(near, pki.client(trust=None), name=name), far:
                    pass
            await rig.at_rest()

    run(work())


def test_request_inside_tls_is_not_reflected(run: Run) -> None:
    """T23: `GET /` inside TLS ends the session; not a word of it comes back, and none reaches the server."""

    async def work() -> None:
        async with relaying_ftp(client_tls=client_tls(implicit=True), server_tls=ServerTls(TlsPolicy.NEVER)) as rig:
            near, far = await rig.pair()
            with await TlsPeer.cover(near) as tls, far:
                await far.send(b"220 hello\r\n")
                assert await tls.line() == b"220 hello\r\n"
                await tls.send(b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: secret.example\r\n\r\n")
                got = await tls.rest()
                assert b"script" not in got
                assert b"secret" not in got
                assert await plain_until_cut(far) == b""
            await rig.at_rest()

    run(work())


def test_minted_certificates(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """`mint`: each name, and each address that clients reach us at, gets a certificate of the local CA that fits."""
    monkeypatch.setenv("ALG_HOME", str(tmp_path))

    async def work() -> None:
        asked = ClientTls(client_tls(implicit=True).policy, True, mint=True, names=("a.example.org", "*.b.example.org"))
        async with covering(True, False, asked=asked) as rig:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(f"{tmp_path}/ca.pem")
            for name in ("a.example.org", "x.b.example.org", "127.0.0.1", "y.b.example.org", "a.example.org"):
                near, far = await rig.pair()
                with await TlsPeer.cover(near, context, name=name), far:
                    pass
            near, far = await rig.pair()
            with near, far:
                assert await alert_for(context, "b.example.org", near) == 112
            await rig.at_rest()

    run(work())

"""The end of TLS on a connection that lives on (`Flow.stop_tls`): who says so first, and what stands behind it."""

from __future__ import annotations

import ssl

import pytest

from alg.settings import Times
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.tls_peer import TlsPeer, plain_until_cut
from tests.relay.tls_rig import VERSIONS, asking, secure_client, secure_server


async def goes_on(near: Peer, far: Peer) -> None:
    """Both speak in the clear, and it is not their TLS that reads it."""
    await near.send(b"plainly again\n")
    assert await far.line() == b"plainly again\n"
    await far.send(b"so it is\n")
    assert await near.line() == b"so it is\n"


@VERSIONS
@pytest.mark.parametrize("glued", [False, True], ids=["apart", "glued"])
def test_gateway_says_so_first(run: Run, version: ssl.TLSVersion, glued: bool) -> None:
    """The client answers with close_notify; what it says in the clear may stand behind it in the same segment."""

    async def work() -> None:
        async with asking() as rig:
            plain, far = await rig.pair()
            near = await secure_client(plain, pki.client(version=version))
            with plain, far:
                await near.send(b"clear client\n")
                assert await near.line() == b"go ahead\n"
                assert await near.receive() == b""
                await near.raw(near.goodbye() + (b"at once\n" if glued else b""))
                assert await plain.line() == b"done\n"
                if glued:
                    assert await far.line() == b"at once\n"
                await goes_on(plain, far)
            await rig.at_rest()

    run(work())


@VERSIONS
@pytest.mark.parametrize("clear", [b"", b"at once\n"], ids=["alone", "glued"])
def test_client_says_so_first(run: Run, version: ssl.TLSVersion, clear: bytes) -> None:
    """The client's close_notify stands behind its request already, and perhaps what it says in the clear as well."""

    async def work() -> None:
        async with asking() as rig:
            plain, far = await rig.pair()
            near = await secure_client(plain, pki.client(version=version))
            with plain, far:
                await near.raw(near.sealed(b"clear client\n") + near.goodbye() + clear)
                assert await near.line() == b"go ahead\n"
                assert await near.receive() == b""
                plain = near.uncovered()
                assert await plain.line() == b"done\n"
                if clear:
                    assert await far.line() == clear
                await goes_on(plain, far)
            await rig.at_rest()

    run(work())


@VERSIONS
def test_server_leg(run: Run, version: ssl.TLSVersion) -> None:
    """The same toward the server, and TLS can begin anew afterwards."""

    async def work() -> None:
        async with asking() as rig:
            near, plain = await rig.pair()
            with near, plain:
                for _ in range(2):
                    far = await secure_server(near, plain, pki.server(version=version))
                    await near.send(b"clear server\n")
                    assert await far.receive() == b""
                    await far.raw(far.goodbye())
                    assert await near.line() == b"done\n"
                    await goes_on(near, plain)
            await rig.at_rest()

    run(work())


@pytest.mark.parametrize("what", ["more", "fin", "reset", "nothing", "garbage"])
def test_client_that_does_not_agree(run: Run, what: str) -> None:
    """It says more, hangs up, or says nothing: the session ends, and it gets not a byte in the clear."""
    reasons = {"more": "bytes_before_clear", "fin": "tls_truncated", "nothing": "tls_timeout"}

    async def work() -> None:
        async with asking(times=Times(handshake=1.0)) as rig:  # longer than our close_notify is held back
            plain, far = await rig.pair()
            near = await secure_client(plain)
            with plain, far:
                await near.send(b"clear client\n")
                assert await near.line() == b"go ahead\n"
                assert await near.receive() == b""
                if what == "more":
                    await near.raw(near.sealed(b"more\n") if near.tls.version() else b"")
                elif what == "fin":
                    near.cut()
                elif what == "reset":
                    plain.reset()
                elif what == "garbage":
                    await plain.send(b"\x01 in the clear, without close_notify\n")
                if what != "reset":
                    assert await plain_until_cut(plain) == b""
                assert b"clear" not in await plain_until_cut(far)
            await rig.at_rest()
            assert rig.notes.of(reasons.get(what, "tls_failed")), rig.notes.all

    run(work())


def test_end_that_nobody_asked_for(run: Run) -> None:
    """close_notify in the middle of a session is the client's end, and nothing behind it is read in the clear."""

    async def work() -> None:
        async with asking() as rig:
            plain, far = await rig.pair()
            near = await secure_client(plain)
            with plain, far:
                await near.raw(near.sealed(b"one\n") + near.goodbye() + b"two\n")
                assert await far.rest() == b"one\n"
            await rig.at_rest()

    run(work())


def test_hello_behind_a_request_in_the_clear(run: Run) -> None:
    """What is pipelined behind the request for TLS ends the session, be it a hello (T20)."""

    async def work() -> None:
        async with asking() as rig:
            near, far = await rig.pair()
            with near, far:
                tls = TlsPeer(near, pki.client(), name=pki.NAME)
                with pytest.raises(ssl.SSLWantReadError):
                    tls.tls.do_handshake()
                await near.send(b"tls client\n" + tls.outgoing.read())
                got = await plain_until_cut(near)
                assert got.endswith(b"sorry, bytes_before_tls\n")
                assert await plain_until_cut(far) == b""
            await rig.at_rest()

    run(work())

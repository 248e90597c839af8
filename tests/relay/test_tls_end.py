"""How flows with TLS end: half-close, truncation, resets, nothing at all; each side sees the truth (P2, F05)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from alg.core.model import Side
from alg.settings import Times
from tests import pki
from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import Rig
from tests.relay.test_flow_end import turns
from tests.relay.tls_peer import TlsPeer, TruncatedError, plain_until_cut
from tests.relay.tls_rig import VERSIONS, asking, covering, pair
from tests.relay.toys import BothWaysPlugin

CELLS = pytest.mark.parametrize(
    ("client", "server"), [(True, True), (True, False), (False, True)], ids=["tls-tls", "tls-plain", "plain-tls"]
)
FIRST = pytest.mark.parametrize("first", list(Side), ids=["client", "server"])
DATA = bytes(range(256)) * 4096


async def answer_to(rig: Rig, one: Peer, other: Peer) -> None:
    """The one ends; the other still says a lot, and then ends too."""
    with one, other:
        await one.send(b"that is all")
        one.fin()
        assert await other.rest() == b"that is all"
        sending = asyncio.ensure_future(other.send(DATA))
        assert await one.exactly(len(DATA)) == DATA
        await sending
        await turns()
        assert rig.relay.sessions
        other.fin()
        assert await one.rest() == b""
    await rig.at_rest()
    assert not rig.notes.of("tls_truncated")


@VERSIONS
@CELLS
@FIRST
def test_half_close(run: Run, client: bool, server: bool, first: Side, version: object) -> None:
    """An end is passed on behind the last byte, as close_notify, as FIN, or as one of them; the other way goes on."""

    async def work() -> None:
        async with covering(client, server) as rig:
            near, far = await pair(rig, client, server, version)  # type: ignore[arg-type]
            ends = (near, far) if first is Side.CLIENT else (far, near)
            await answer_to(rig, *ends)

    run(work())


@VERSIONS
def test_half_close_that_the_peer_does_not_want(run: Run, version: ssl.TLSVersion) -> None:
    """Under TLS 1.2 who has ended may be gone for good: the record says so. Under TLS 1.3 it is a client that was lost."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await pair(rig, True, False, version)
            with far:
                await near.raw(near.goodbye() if isinstance(near, TlsPeer) else b"")  # type: ignore[attr-defined]
                assert await far.rest() == b""
                near.reset()
                with contextlib.suppress(ConnectionError):
                    await far.send(DATA)
                note = await rig.notes.wait(
                    "half_close_unsupported" if version is ssl.TLSVersion.TLSv1_2 else "session_close"
                )
                assert "the client is gone" in note.message
            await rig.at_rest()

    run(work())


@CELLS
def test_half_close_of_what_is_read(run: Run, client: bool, server: bool) -> None:
    """The same where a plugin reads both sides."""

    async def work() -> None:
        async with covering(client, server, BothWaysPlugin) as rig:
            near, far = await pair(rig, client, server)
            await answer_to(rig, near, far)

    run(work())


@VERSIONS
@FIRST
def test_truncation_toward_tls(run: Run, first: Side, version: object) -> None:
    """An end without close_notify is passed on as one: the other side sees that something may be missing. It is recorded."""

    async def work() -> None:
        async with covering(True, True) as rig:
            near, far = await pair(rig, True, True, version)  # type: ignore[arg-type]
            with near, far:
                one, other = (near, far) if first is Side.CLIENT else (far, near)
                assert isinstance(one, TlsPeer)
                await one.send(b"half of it")
                one.cut()
                assert await other.exactly(10) == b"half of it"
                with pytest.raises(TruncatedError):
                    await other.receive()
                other.close()
                await rig.at_rest()
            assert f"the {first.value} ended without close_notify" in rig.notes.of("tls_truncated")[0].message

    run(work())


@VERSIONS
@FIRST
@pytest.mark.parametrize("data", [b"", b"half of it"], ids=["nothing", "some"])
def test_truncation_toward_a_plain_leg(run: Run, first: Side, data: bytes, version: object) -> None:
    """In the clear there is but one end, so it is a reset, never FIN: also where not a byte has come."""

    async def work() -> None:
        client = first is Side.CLIENT
        async with covering(client, not client) as rig:
            near, far = await pair(rig, client, not client, version)  # type: ignore[arg-type]
            with near, far:
                one, other = (near, far) if client else (far, near)
                assert isinstance(one, TlsPeer)
                await one.send(data) if data else None
                one.cut()
                got, how = await other.until_cut()
                assert how == "reset"
                assert data.startswith(got)
                await rig.at_rest()
            assert rig.notes.of("tls_truncated")

    run(work())


@FIRST
def test_reader_that_hangs_up_after_the_end(run: Run, first: Side) -> None:
    """Who said nothing, heard all, and hangs up without close_notify has cut nothing off: that is an orderly end."""

    async def work() -> None:
        client = first is Side.CLIENT
        async with covering(client, not client) as rig:
            near, far = await pair(rig, client, not client)
            reader, writer = (near, far) if client else (far, near)
            with near, far:
                assert isinstance(reader, TlsPeer)
                await writer.send(b"a file")
                writer.fin()
                assert await reader.rest() == b"a file"
                reader.cut()
                assert await writer.until_cut() == (b"", "end")
            await rig.at_rest()
            assert not rig.notes.of("tls_truncated")

    run(work())


@VERSIONS
@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
def test_end_before_the_handshake_of_the_other_leg(run: Run, client: bool, version: object) -> None:
    """Nothing to say on the plain leg, and that before TLS is there on the other: still an orderly end, without a byte."""

    async def work() -> None:
        async with covering(client, not client) as rig:
            near, far = await rig.pair()
            (far if client else near).close()
            await turns()
            if client:
                with await TlsPeer.cover(near, pki.client(version=version)) as tls:  # type: ignore[arg-type]
                    assert await tls.rest() == b""
            else:
                with await TlsPeer.serve(far, pki.server(version=version)) as tls:  # type: ignore[arg-type]
                    assert await tls.rest() == b""
            await rig.at_rest()
            assert not [note for note in rig.notes.all if note.level > 20]

    run(work())


@VERSIONS
def test_end_of_one_tls_leg_before_the_handshake_of_the_other(run: Run, version: object) -> None:
    """A client under TLS that ends at once, while the server has not shaken hands yet: the server sees an orderly end."""

    async def work() -> None:
        async with covering(True, True) as rig:
            near, far = await rig.pair()
            with await TlsPeer.cover(near, pki.client(version=version)) as tls:  # type: ignore[arg-type]
                tls.fin()
                await turns()
                with await TlsPeer.serve(far, pki.server(version=version)) as server:  # type: ignore[arg-type]
                    assert await server.rest() == b""
                    server.fin()
                    assert await tls.rest() == b""
            await rig.at_rest()
            assert not [note for note in rig.notes.all if note.level > 20]

    run(work())


@FIRST
def test_peer_that_resets_in_the_middle(run: Run, first: Side) -> None:
    """A reset in mid-transfer is a reset on the other side, and no end that TLS calls orderly."""

    async def work() -> None:
        async with covering(True, True) as rig:
            near, far = await pair(rig, True, True)
            with near, far:
                one, other = (near, far) if first is Side.CLIENT else (far, near)
                await one.send(DATA)
                got = await other.exactly(1000)
                one.reset()
                with pytest.raises(ConnectionResetError):
                    while await other.receive():
                        pass
                assert got == DATA[:1000]
                await rig.at_rest()

    run(work())


def test_broken_record(run: Run) -> None:
    """What is no TLS in the middle of TLS ends the flow with a reset, and a record that says so."""

    async def work() -> None:
        async with covering(True, False) as rig:
            near, far = await pair(rig, True, False)
            assert isinstance(near, TlsPeer)
            with near, far:
                await near.send(b"good")
                assert await far.exactly(4) == b"good"
                await near.raw(b"\x17\x03\x03\x00\x20" + bytes(32))
                assert await far.until_cut() == (b"", "reset")
                await rig.at_rest()
            assert rig.notes.of("tls_broken")

    run(work())


@FIRST
def test_peer_that_goes_before_its_handshake(run: Run, first: Side) -> None:
    """A connection that is opened and never used is no error; nobody takes it for an empty file either: a reset."""

    async def work() -> None:
        client = first is Side.CLIENT
        async with covering(client, not client) as rig:
            near, far = await rig.pair()
            one, other = (near, far) if client else (far, near)
            one.close()
            assert await other.until_cut() == (b"", "reset")
            other.close()
            await rig.at_rest()
            assert not [note for note in rig.notes.all if note.level > 20]

    run(work())


def test_gateway_that_stops_during_handshakes(run: Run) -> None:
    """Told to stop while legs shake hands, from the first byte or later: nothing is written in the clear, all ends."""

    async def work() -> None:
        async with asking(times=Times(idle=0.3)) as rig:
            near, far = await rig.pair()
            with near, far:
                await near.send(b"tls client\n")
                assert await near.line() == b"go ahead\n"
                assert await plain_until_cut(near) == b""
                assert await far.rest() == b""
                await rig.notes.wait("idle")
            await rig.at_rest()
        async with covering(True, True) as rig:
            near, far = await rig.pair()
            rig.relay.close()
            await rig.relay.wait_idle()
            with near, far:
                assert await plain_until_cut(near) == b""
                hello = await plain_until_cut(far)
                assert hello[:1] in (b"", b"\x16")

    run(work())


@pytest.mark.parametrize("how", ["reset", "close"])
def test_server_that_goes_during_the_handshake_of_the_client(run: Run, how: str) -> None:
    """Nothing is written in the clear to a client that waits for TLS, and no deadline keeps the session."""

    async def work() -> None:
        async with asking() as rig:
            near, far = await rig.pair()
            with near:
                await near.send(b"tls client\n")
                assert await near.line() == b"go ahead\n"
                far.reset() if how == "reset" else far.close()
                with await TlsPeer.cover(near) as tls:
                    assert await tls.line() == b"done\n"
                    assert await tls.rest() in (b"", b"sorry, server_lost\n")
            await rig.at_rest()

    run(work())

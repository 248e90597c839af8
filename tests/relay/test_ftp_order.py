"""FTP as odd peers speak it: much at once, replies that never come, commands that revoke each other."""

from __future__ import annotations

import asyncio

from alg.core.model import PortRange, Realm, Side
from alg.settings import Limits
from tests.conftest import Run
from tests.relay.peers import CLIENT, SERVER, Host, Peer, free_port, refused
from tests.relay.rig import FtpPair, endpoint_in, port_line, relaying_ftp

MANY = 2000
FURTHER = "(further ones of this session are counted only)"


def test_many_commands_at_once_while_no_port_is_free(run: Run) -> None:
    """Each of two thousand PORTs that come together is answered 425, in turn; the session can still be used."""

    async def work() -> None:
        port = free_port()
        realms = {Side.CLIENT: Realm(), Side.SERVER: Realm(ports=PortRange(port, port))}
        async with relaying_ftp(realms=realms) as rig:
            holder = await rig.ftp()
            with Host(CLIENT) as data:
                await holder.active(data.endpoint)
                ftp = await rig.ftp()
                sending = asyncio.ensure_future(ftp.client.send(port_line(data.endpoint) * MANY))
                answers = [await ftp.client.line() for _ in range(MANY)]
                await sending
                assert {answer[:4] for answer in answers} == {b"425 "}
                assert await ftp.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
                holder.close()
                await rig.notes.wait("session_close")
                assert (await ftp.active(data.endpoint)).port == port
            ftp.close()
            await rig.at_rest()

    run(work())


def test_passive_reply_behind_a_missing_one(run: Run) -> None:
    """A server answers RETR and ABOR together with one reply: the next 227 is rewritten all the same, and leads there."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            await ftp.client.send(b"RETR x\r\nABOR\r\n")
            assert [await ftp.server.line() for _ in range(2)] == [b"RETR x\r\n", b"ABOR\r\n"]
            await ftp.server.send(b"150 go\r\n226 aborted\r\n")
            assert [await ftp.client.line() for _ in range(2)] == [b"150 go\r\n", b"226 aborted\r\n"]
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                assert told.address == rig.at.address
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    await outer.send(b"data")
                    assert await inner.receive() == b"data"
            assert (await rig.notes.wait("reply_missing")).fields == {"code": 227}
            ftp.close()
            await rig.at_rest()

    run(work())


def test_port_sent_together_with_an_earlier_pasv_wins(run: Run) -> None:
    """The listener that PORT announced stands; that of the 227 does not. PORT waits until PASV is settled."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as near, Host(SERVER) as far:
                await ftp.client.send(b"PASV\r\n" + port_line(near.endpoint))
                assert await ftp.server.line() == b"PASV\r\n"
                numbers = b"127,0,0,5,%d,%d" % divmod(far.endpoint.port, 256)
                await ftp.server.send(b"227 Entering Passive Mode (%s).\r\n" % numbers)
                for_client = endpoint_in(await ftp.client.line())
                for_server = endpoint_in(await ftp.server.line())
                await ftp.server.send(b"200 ok\r\n")
                assert await ftp.client.line() == b"200 ok\r\n"
                assert await refused(for_client) == "refused"
                with await Peer.connect(for_server, SERVER) as outer, await near.accept() as inner:
                    await outer.send(b"data")
                    assert await inner.receive() == b"data"
            ftp.close()
            await rig.at_rest()

    run(work())


def test_pasv_sent_together_with_an_earlier_port_wins(run: Run) -> None:
    """The other way round: the listener of the 227 stands, that of PORT is given up."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(CLIENT) as near, Host(SERVER) as far:
                await ftp.client.send(port_line(near.endpoint) + b"PASV\r\n")
                for_server = endpoint_in(await ftp.server.line())
                await ftp.server.send(b"200 ok\r\n")
                assert await ftp.client.line() == b"200 ok\r\n"
                assert await ftp.server.line() == b"PASV\r\n"
                assert await refused(for_server, SERVER) == "refused"  # at once, whatever comes of PASV
                numbers = b"127,0,0,5,%d,%d" % divmod(far.endpoint.port, 256)
                await ftp.server.send(b"227 Entering Passive Mode (%s).\r\n" % numbers)
                for_client = endpoint_in(await ftp.client.line())
                with await Peer.connect(for_client), await far.accept():
                    pass
            ftp.close()
            await rig.at_rest()

    run(work())


async def have_refused(ftp: FtpPair, count: int) -> None:
    """Ask so often for TLS where there is no certificate."""
    await ftp.client.send(b"AUTH TLS\r\n" * count)
    for _ in range(count):
        assert (await ftp.client.line()).startswith(b"431 ")


def test_same_refusal_is_recorded_a_hundred_times(run: Run) -> None:
    """The hundred and first record of one refusal is not written; other reasons are; the end tells how many there were."""

    async def work() -> None:
        assert Limits().records_per_session == 100
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            await have_refused(ftp, 101)
            notes = rig.notes.of("no_certificate")
            assert len(notes) == 100
            assert [FURTHER in note.message for note in notes] == [False] * 99 + [True]
            assert (await ftp.refused(b"PORT 127,0,0,9,100,1")).startswith(b"504 ")
            await rig.notes.wait("self_target")
            ftp.close()
            await rig.at_rest()
            assert len(rig.notes.of("no_certificate")) == 101
            assert rig.notes.of("no_certificate")[-1].message == "101 times in all"

    run(work())


def test_refusals_up_to_the_limit_need_no_total(run: Run) -> None:
    """At the limit all have been told, each session has its own account, and the limit can be set."""

    async def work() -> None:
        async with relaying_ftp(limits=Limits(records_per_session=3)) as rig:
            for _ in range(2):
                ftp = await rig.ftp()
                await have_refused(ftp, 3)
                ftp.close()
                await rig.at_rest()
            assert len(rig.notes.of("no_certificate")) == 6

    run(work())

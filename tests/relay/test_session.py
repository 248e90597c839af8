"""A session from accept to its end: what is counted while it lives, and what is said when it cannot begin."""

from __future__ import annotations

from tests.conftest import Run
from tests.relay.rig import relaying, relaying_ftp


def test_a_connected_session_is_counted_until_its_end(run: Run) -> None:
    """A session whose upstream is connected is one of the relay's sessions, with its descriptors, until both legs end."""

    async def work() -> None:
        async with relaying() as rig:
            client, server = await rig.pair()
            await client.send(b"hello")
            assert await server.receive() == b"hello"
            assert len(rig.relay.sessions) == rig.relay.services.budget.sessions == 1
            assert rig.relay.services.budget.used == 2
            client.close()
            assert await server.receive() == b""
            server.close()
            await rig.at_rest()

    run(work())


def test_an_ftp_dialogue_passes(run: Run) -> None:
    """What neither announces nor breaks a rule passes unchanged, both ways."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            assert await ftp.say(b"SYST", b"215 UNIX Type: L8") == b"215 UNIX Type: L8\r\n"
            ftp.close()
            await rig.at_rest()

    run(work())

"""Plugins that fail at the beginning cost their session, and nothing else."""

from __future__ import annotations

from tests.conftest import Run
from tests.relay.peers import Peer
from tests.relay.rig import relaying
from tests.relay.toys import PlainPlugin, UnbornPlugin


def test_plugin_that_cannot_be_made_refuses_its_clients(run: Run) -> None:
    """A plugin that fails at birth costs the client its session, not the gateway its count."""

    async def work() -> None:
        async with relaying(UnbornPlugin) as rig:
            for _ in range(3):
                with await Peer.connect(rig.at) as client:
                    assert (await client.until_cut())[0] == b""
            assert "cannot be made" in (await rig.notes.wait("plugin_failed")).message
            assert rig.host.untouched()
            await rig.at_rest()

    run(work())


def test_plugin_that_cannot_begin_refuses_its_clients(run: Run) -> None:
    """A plugin that fails when both sides are connected costs its session: both are let go, nothing is left."""

    async def work() -> None:
        async with relaying(PlainPlugin) as rig:
            client, server = await rig.pair()
            with client, server:
                assert await client.rest() == b"sorry, plugin_failed\n"
                assert (await server.until_cut())[0] == b""
            assert "cannot begin" in (await rig.notes.wait("plugin_failed")).message
            await rig.at_rest()

    run(work())

"""What ends with a master flow, and what does not: a session that is ended for a reason ends as a whole."""

from __future__ import annotations

import asyncio

from alg_ftp import FtpConfig

from alg.core.model import Endpoint
from alg.plugin import Verdict
from alg.settings import Limits
from tests.conftest import Run
from tests.relay.peers import DEADLINE, SERVER, Host, Peer, refused, silent_host
from tests.relay.rig import relaying, relaying_ftp
from tests.relay.test_flow_end import turns
from tests.relay.test_related import TOY, ask
from tests.relay.toys import NeedyPlugin, ToyPlugin

NEEDY = f"{NeedyPlugin.__module__}:{NeedyPlugin.__name__}"


def test_failing_plugin_ends_related_flows(run: Run) -> None:
    """An exception in the plugin of the master flow cuts the flows that came of it, both ends, with a reset."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                told = await ask(client, "many", data.endpoint)
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    await outer.send(b"flows")
                    assert await inner.receive() == b"flows"
                    await client.send(b"raise\n")
                    assert await client.rest() == b"sorry, plugin_failed\n"
                    assert await inner.until_cut() == (b"", "reset")
                    assert await outer.until_cut() == (b"", "reset")
                assert await refused(told) == "refused"
            await rig.at_rest()

    run(work())


def test_forbidden_command_ends_data_connections(run: Run) -> None:
    """A command that ends the session by rule ends the transfer too."""

    async def work() -> None:
        config = FtpConfig(rules={"DELE": Verdict.ABORT})
        async with relaying_ftp(config=config) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    assert (await ftp.refused(b"DELE x")).startswith(b"421 ")
                    assert await inner.until_cut() == (b"", "reset")
                    assert await outer.until_cut() == (b"", "reset")
            ftp.close()
            await rig.at_rest()

    run(work())


def test_failing_plugin_ends_dials(run: Run) -> None:
    """A related flow that is still being connected is given up with its session; its client sees a reset at once."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, silent_host(SERVER) as target:
                told = await ask(client, "open", target)
                with await Peer.connect(told) as inner:
                    async with asyncio.timeout(DEADLINE):
                        while rig.relay.services.ports.taken:  # until it has been accepted
                            await turns()
                    await client.send(b"raise\n")
                    assert await client.rest() == b"sorry, plugin_failed\n"
                    assert await inner.until_cut() == (b"", "reset")
                await rig.at_rest()

    run(work())


def test_lost_client_does_not_end_related_flows(run: Run) -> None:
    """A control connection that breaks leaves the transfer alone: it may be the last thing that the client waits for."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with server, Host(SERVER) as data:
                told = await ask(client, "many", data.endpoint)
                with await Peer.connect(told) as inner, await data.accept() as outer:
                    client.reset()
                    await server.until_cut()
                    await rig.notes.wait("session_close")
                    await outer.send(b"still flows")
                    assert await inner.receive() == b"still flows"
                assert await refused(told) == "refused"
            await rig.at_rest()

    run(work())


def test_no_listener_after_the_master_flow(run: Run) -> None:
    """A related flow that outlives the master flow cannot have us listen any more."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                told = await ask(client, "open", data.endpoint, TOY)
                with await Peer.connect(told) as inner, await data.accept():
                    await client.send(b"close\n")
                    assert await client.rest() == b""
                    client.close()
                    await rig.notes.wait("session_close")
                    await inner.send(b"open %s\n" % data.endpoint.to_bytes(b" "))
                    assert await inner.rest() == b"sorry, session_over\n"
                    assert rig.relay.services.ports.taken == 0
            await rig.at_rest()

    run(work())


def test_related_flow_whose_plugin_cannot_be_configured(run: Run) -> None:
    """A plugin whose default configuration raises costs its flow: who came sees a reset, and all is given back."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                told = await ask(client, "open", data.endpoint, NEEDY)
                assert await refused(told) == "reset"
                assert "path must be set" in (await rig.notes.wait("plugin_failed")).message
                await client.send(b"still here\n")
                assert await server.line() == b"still here\n"
            await rig.at_rest()

    run(work())


def test_flows_of_one_session_are_bounded(run: Run) -> None:
    """At the limit the next data connection is refused in FTP's words; when one has ended, another may come."""

    async def work() -> None:
        async with relaying_ftp(limits=Limits(flows_per_session=2)) as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                offer = b"227 Entering Passive Mode (127,0,0,5,%d,%d)." % divmod(data.endpoint.port, 256)
                first, second = [await connected(await ftp.passive(data.endpoint), data) for _ in range(2)]
                assert (await ftp.say(b"PASV", offer)).startswith(b"425 ")
                assert "2 related flows are open" in (await rig.notes.wait("too_many_flows")).message
                for peer in first:
                    peer.close()
                await rig.notes.wait("flow_close")
                for peer in (*await connected(await ftp.passive(data.endpoint), data), *second):
                    peer.close()
            ftp.close()
            await rig.at_rest()

    run(work())


async def connected(told: Endpoint, data: Host) -> tuple[Peer, Peer]:
    """Make a data connection; return both ends."""
    return await Peer.connect(told), await data.accept()

"""Related flows beyond FTP's: many through one lease, some with a plugin that announces further ones."""

from __future__ import annotations

from alg.core.model import Endpoint
from alg.settings import Limits
from tests.conftest import Run
from tests.relay.peers import SERVER, Host, Peer, refused
from tests.relay.rig import relaying
from tests.relay.toys import ToyPlugin

TOY = f"{ToyPlugin.__module__}:{ToyPlugin.__name__}"


async def ask(client: Peer, verb: str, target: Endpoint, plugin: str = "") -> Endpoint:
    """Have the toy open something; return what it is told."""
    await client.send(f"{verb} {target.address} {target.port} {plugin}\n".encode())
    return Endpoint.parse(*(await client.line()).split())


def test_many_flows_through_one_lease(run: Run) -> None:
    """A lease without a limit stays open while its session lives."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                told = await ask(client, "many", data.endpoint)
                for number in range(5):
                    with await Peer.connect(told) as inner, await data.accept() as outer:
                        await inner.send(b"%d" % number)
                        assert await outer.receive() == b"%d" % number
                client.close()
                await server.until_cut()
            await rig.at_rest()
            assert await refused(told) == "refused"

    run(work())


def test_flow_without_descriptors_is_cut(run: Run) -> None:
    """A lease that is open for many does not let in more than there are descriptors for."""

    async def work() -> None:
        async with relaying() as rig:
            budget = rig.relay.services.budget
            reserved = budget.descriptors + 2 * budget.pipes + Limits().reserved_descriptors - 7
        async with relaying(ToyPlugin, limits=Limits(reserved_descriptors=reserved)) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as data:
                told = await ask(client, "many", data.endpoint)
                with await Peer.connect(told), await data.accept():
                    assert await refused(told) == "reset"
                    await rig.notes.wait("no_descriptors")
                await rig.notes.wait("flow_close")
                with await Peer.connect(told), await data.accept():
                    pass
            await rig.at_rest()

    run(work())


def test_related_flow_announces_another(run: Run) -> None:
    """The plugin of a related flow may expect, report, fail and end like that of a master; the session outlives it."""

    async def work() -> None:
        async with relaying(ToyPlugin) as rig:
            client, server = await rig.pair()
            with client, server, Host(SERVER) as first, Host(SERVER) as second:
                told = await ask(client, "open", first.endpoint, TOY)
                with await Peer.connect(told) as inner, await first.accept() as outer:
                    again = await ask(inner, "open", second.endpoint)
                    with await Peer.connect(again) as innermost, await second.accept() as outermost:
                        await outermost.send(b"deep")
                        assert await innermost.receive() == b"deep"
                    await inner.send(b"raise\n")
                    assert await inner.rest() == b"sorry, plugin_failed\n"
                    assert (await outer.until_cut())[0] == b""
                assert len(rig.notes.of("rewrite")) == 2
                await client.send(b"still here\n")
                assert await server.line() == b"still here\n"
            await rig.at_rest()

    run(work())

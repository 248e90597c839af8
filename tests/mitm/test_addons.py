"""Other addons beside the gateway: they see each unit, and may change, drop, refuse or end. One that fails ends the flow,
where mitmproxy itself would let pass what nobody judged.
"""

from __future__ import annotations

import pytest
from mitmproxy.tcp import TCPFlow

from alg.mitm.owner import LeaseRequest
from tests.mitm.conftest import Run
from tests.mitm.rig import proxying
from tests.mitm.test_ftp import greet, passive


class Editor:
    """Changes the greeting, drops NOOP."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        message = flow.messages[-1]
        message.content = message.content.replace(b"ready", b"changed")
        if message.content == b"NOOP\r\n":
            message.content = b""


def test_change_and_drop(run: Run) -> None:
    """What another addon leaves of a message is what is sent."""

    async def work() -> None:
        async with proxying(addons=(Editor(),)) as mitm:
            client, server = await mitm.pair()
            server.say(b"220 ready\r\n")
            await client.hear(b"220 changed\r\n")
            client.say(b"NOOP\r\nPWD\r\n")
            await server.hear(b"PWD\r\n")

    run(work())


class Killer:
    """Kills a flow in which somebody says SITE."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """As a user's script would."""
        if flow.messages[-1].content.startswith(b"SITE"):
            flow.kill()


class Raiser:
    """Fails when somebody says SITE."""

    def tcp_message(self, flow: TCPFlow) -> None:
        """A defect of a user's script."""
        if flow.messages[-1].content.startswith(b"SITE"):
            raise ValueError("a defect")


@pytest.mark.parametrize(("addon", "reason"), [(Killer(), "killed"), (Raiser(), "hook_failed")])
def test_end(run: Run, addon: object, reason: str) -> None:
    """The session ends, and the server does not hear what was judged."""

    async def work() -> None:
        async with proxying(addons=(addon,)) as mitm:
            client, server = await greet(mitm)
            client.say(b"SITE CHMOD 777 x\r\nNOOP\r\n")
            assert (await client.until_cut()).startswith(b"421 ")
            assert await server.until_cut() == b""
            await mitm.until(reason)

    run(work())


@pytest.mark.parametrize("first", [False, True])
def test_refuse_a_lease(run: Run, first: bool) -> None:
    """An addon may refuse a listener, whether it is asked before the gateway or behind it."""

    class Refuser:
        def alg_lease(self, request: LeaseRequest) -> None:
            request.refused = "not today"

    async def work() -> None:
        async with proxying(addons=(Refuser(),)) as mitm:
            if first:
                chain = mitm.master.addons.chain
                chain.insert(
                    0, chain.pop(chain.index(next(each for each in chain if type(each).__name__ == "Refuser")))
                )
            client, server = await greet(mitm)
            client.say(b"PASV\r\n")
            await server.hear(b"PASV\r\n")
            server.say(b"227 Entering Passive Mode (127,0,0,1,200,1).\r\n")
            assert (await client.line()).startswith(b"425 ")
            assert "refused_by_addon" in mitm.gateway.records
            assert mitm.gateway.services.ports.taken == 0

    run(work())


def test_inject(run: Run) -> None:
    """A command that a person injects is treated as one of the client's; a reply goes to the client as it is."""

    async def work() -> None:
        async with proxying() as mitm:
            client, server = await greet(mitm)
            mitm.master.commands.call("inject.tcp", mitm.flows[0], False, b"SYST\r\n")
            await server.hear(b"SYST\r\n")
            server.say(b"215 UNIX\r\n")
            await client.hear(b"215 UNIX\r\n")
            mitm.master.commands.call("inject.tcp", mitm.flows[0], True, b"220 hello from above\r\n")
            await client.hear(b"220 hello from above\r\n")

    run(work())


def test_data_of_a_killed_session_is_cut(run: Run) -> None:
    """What came through before ends with a session that is ended for a reason, and does not look complete."""

    async def work() -> None:
        async with proxying(addons=(Killer(),)) as mitm:
            client, server = await greet(mitm)
            data = await mitm.listen()
            receiver = await mitm.connect(await passive(client, server, data.port))
            sender = await data.accept()
            sender.say(b"half of")
            await receiver.hear(b"half of")
            client.say(b"SITE x\r\n")
            with pytest.raises(ConnectionError):
                await receiver.rest()

    run(work())

"""`connect`: the client chooses its server. Until there is one nothing passes, and nothing is promised."""

from __future__ import annotations

import pytest

from alg.core.commands import CloseConnection, Command, ConnectUpstream, SendData, SendEof, Splice
from alg.core.events import CommandFailed, ConnectionLost, DataReceived, EofReceived, UpstreamConnected
from alg.core.flow import FlowMachine
from alg.core.policy import Gate, LeaseLimits
from alg.core.session import Session
from alg.plugin import ConnectError, PluginError, PolicyError, Side, Stream, StreamPlugin
from alg.testing import Playbook
from tests.machines import CLIENT, FROM_CLIENT, FROM_SERVER, SERVER, TARGET, Echo, aborted

COMMAND = ConnectUpstream("ftp.example.org", 21)


class Choosing(Echo):
    """Each line of the client is `HOST PORT` until one can be connected to; then lines pass."""

    name = "choosing"

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            if self.flow.connected:
                stream.send(line)
                continue
            host, port = line.split()
            try:
                await self.flow.connect(host.decode(), int(port))
            except (PolicyError, ConnectError) as error:
                stream.reply(error.reason.encode() + b"\n")
            else:
                stream.reply(b"there\n")


CHOICE = DataReceived(Side.CLIENT, b"ftp.example.org 21\n")


def chosen(plugin: type[StreamPlugin[None]] = Choosing) -> tuple[FlowMachine, list[Command]]:
    """A machine without a server, and what it said at the start."""
    session = Session(1, CLIENT.peer.address, Gate(LeaseLimits()))
    machine = FlowMachine(plugin(None), session, client=CLIENT, server=None)
    return machine, machine.start()


def test_the_client_chooses() -> None:
    """The host is asked; when it has answered there is a leg, and lines pass both ways."""
    machine, commands = chosen()
    assert commands == []
    flow = machine.plugin.flow
    assert not flow.connected
    assert flow.client is CLIENT
    assert machine.receive(CHOICE) == [COMMAND]
    assert not machine.wants_data(Side.CLIENT)
    assert machine.receive(UpstreamConnected(COMMAND, SERVER)) == [SendData(Side.CLIENT, b"there\n")]
    assert flow.connected
    assert flow.server is SERVER
    assert machine.receive(FROM_CLIENT) == [SendData(Side.SERVER, b"x\n")]
    assert machine.receive(FROM_SERVER) == [SendData(Side.CLIENT, b"y\n")]


def test_another_one_may_be_tried() -> None:
    """A choice that fails raises where it was made; there is still no server."""
    machine, _ = chosen()
    assert machine.receive(CHOICE) == [COMMAND]
    failed = CommandFailed(COMMAND, PolicyError("no", reason="upstream_refused"))
    assert machine.receive(failed) == [SendData(Side.CLIENT, b"upstream_refused\n")]
    assert not machine.plugin.flow.connected
    assert machine.receive(CHOICE) == [COMMAND]
    machine.receive(UpstreamConnected(COMMAND, SERVER))
    assert machine.plugin.flow.connected


def test_an_answer_after_the_end_is_ignored() -> None:
    """The client went while its server was connected to."""
    machine, _ = chosen()
    machine.receive(CHOICE)
    machine.receive(ConnectionLost(Side.CLIENT, ConnectError("reset")))
    assert machine.receive(UpstreamConnected(COMMAND, SERVER)) == []
    assert machine.receive(CommandFailed(COMMAND, ConnectError("no"))) == []


def test_a_client_that_leaves_without_choosing() -> None:
    """It is an orderly end."""
    machine, _ = chosen()
    assert machine.receive(EofReceived(Side.CLIENT)) == [CloseConnection()]
    assert machine.ended


class Half(StreamPlugin[None]):
    """Reads the client only."""

    name = "half"

    async def from_client(self, stream: Stream) -> None:
        await self.flow.connect("ftp.example.org", 21)
        stream.send(await stream.read_some())


class Returning(Half):
    """Has nothing to say about the server either."""

    async def from_server(self, stream: Stream) -> None:
        return


@pytest.mark.parametrize("plugin", [Half, Returning])
def test_a_server_that_is_not_read_is_opaque_once_it_is_there(plugin: type[Half]) -> None:
    """No leg is spliced that there is not."""
    machine, commands = chosen(plugin)
    assert commands == [COMMAND]
    assert machine.receive(FROM_SERVER) == []
    assert machine.receive(UpstreamConnected(COMMAND, SERVER)) == [Splice(Side.SERVER)]
    assert machine.receive(FROM_CLIENT) == [SendData(Side.SERVER, b"x\n"), Splice(Side.CLIENT)]
    assert machine.receive(EofReceived(Side.CLIENT)) == []


class Sending(Choosing):
    """Sends to a server that there is not."""

    async def from_client(self, stream: Stream) -> None:
        stream.send(b"hello\n")
        await stream.read_line(100)


class Splicing(Choosing):
    """Joins the client to nobody."""

    async def from_client(self, stream: Stream) -> None:
        self.flow.splice()


class Leaving(Choosing):
    """Returns before it has chosen."""

    async def from_client(self, stream: Stream) -> None:
        return


class Securing(Choosing):
    """Starts TLS on no leg."""

    async def from_client(self, stream: Stream) -> None:
        await self.flow.start_tls(Side.SERVER)


class Unsecuring(Choosing):
    """Stops TLS on no leg."""

    async def from_client(self, stream: Stream) -> None:
        await self.flow.stop_tls(Side.SERVER)


@pytest.mark.parametrize("plugin", [Sending, Splicing, Leaving, Securing, Unsecuring])
def test_what_needs_a_server_is_a_mistake_before_there_is_one(plugin: type[Choosing]) -> None:
    """It ends the session: no byte is lost in silence."""
    error = aborted(chosen(plugin)[1])
    assert isinstance(error, PluginError)
    assert "has no server yet" in str(error)


def test_an_expectation_needs_a_server_too() -> None:
    """Its target could be nobody's."""

    class Expecting(Choosing):
        async def from_client(self, stream: Stream) -> None:
            await self.flow.expect(Side.CLIENT, TARGET)

    machine, commands = chosen(Expecting)
    assert isinstance(aborted(commands), PluginError)
    assert not machine.session.pending


class Again(Choosing):
    """Connects once more."""

    async def from_client(self, stream: Stream) -> None:
        await self.flow.connect("ftp.example.org", 21)
        await self.flow.connect("ftp.example.net", 21)


class AtOnce(Choosing):
    """Connects from both coroutines."""

    async def from_client(self, stream: Stream) -> None:
        await self.flow.connect("ftp.example.org", 21)

    async def from_server(self, stream: Stream) -> None:
        await self.flow.connect("ftp.example.net", 21)


def test_there_is_one_server() -> None:
    """To connect twice is a mistake: one after the other, both at once, or where the route named the server."""
    machine, commands = chosen(Again)
    assert commands == [COMMAND]
    assert "connects to a second server" in str(aborted(machine.receive(UpstreamConnected(COMMAND, SERVER))))
    _, commands = chosen(AtOnce)
    assert commands[:1] == [COMMAND]
    assert "connects to a second server" in str(aborted(commands))
    assert isinstance(Playbook(Again).error, PluginError)


def test_connect_after_the_end_is_a_mistake() -> None:
    """Nobody is connected to."""

    class Late(Choosing):
        async def from_client(self, stream: Stream) -> None:
            self.flow.close()
            await self.flow.connect("ftp.example.org", 21)

    assert chosen(Late)[1] == [CloseConnection()]


def test_the_end_of_the_server_that_was_chosen_is_passed_on() -> None:
    """As that of any server."""
    machine, _ = chosen()
    machine.receive(CHOICE)
    machine.receive(UpstreamConnected(COMMAND, SERVER))
    assert machine.receive(EofReceived(Side.SERVER)) == [SendEof(Side.CLIENT)]

"""Flow machines for tests that play the host themselves."""

from __future__ import annotations

from alg.core.commands import Abort, Command
from alg.core.events import DataReceived
from alg.core.flow import FlowMachine
from alg.core.model import Leg, TlsInfo
from alg.core.policy import Gate, LeaseLimits
from alg.core.session import Session
from alg.plugin import AlgError, Side, Stream, StreamPlugin
from alg.testing import endpoint

CLIENT = Leg(endpoint("10.77.1.1:2121"), endpoint("10.77.1.2:40000"))
SERVER = Leg(endpoint("10.77.2.1:50000"), endpoint("10.77.2.2:21"))
LISTENER = endpoint("10.77.1.1:20001")
OPENED = {Side.CLIENT: LISTENER}
TARGET = endpoint("10.77.2.2:5000")
FROM_CLIENT = DataReceived(Side.CLIENT, b"x\n")
FROM_SERVER = DataReceived(Side.SERVER, b"y\n")
TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")


class Echo(StreamPlugin[None]):
    """Passes lines on, both ways."""

    name = "echo"

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            stream.send(line)

    async def from_server(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            stream.send(line)


def make_machine(plugin: type[StreamPlugin[None]]) -> FlowMachine:
    """A machine that has not been started, in a session of its own."""
    session = Session(1, CLIENT.peer.address, Gate(LeaseLimits()))
    return FlowMachine(plugin(None), session, client=CLIENT, server=SERVER)


def started(plugin: type[StreamPlugin[None]]) -> tuple[FlowMachine, list[Command]]:
    """A machine that has been started, and what it said."""
    machine = make_machine(plugin)
    return machine, machine.start()


def aborted(commands: list[Command]) -> AlgError:
    """The error with which a machine ended, as its last command."""
    assert isinstance(commands[-1], Abort)
    return commands[-1].error

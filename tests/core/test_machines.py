"""Plugins and machines are made so that one which fails at that costs its flow, and is told apart from a peer's fault."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from alg_ftp import FtpConfig, FtpPlugin

from alg.core.errors import PluginError
from alg.core.events import DataReceived
from alg.core.flow import FlowMachine
from alg.core.machines import make_machine, make_plugin
from alg.core.model import Leg, Side
from alg.core.plugin import Need, StreamPlugin
from alg.core.policy import Gate, LeaseLimits
from alg.core.session import Session
from alg.core.stream import Stream
from alg.testing import endpoint

LEGS = {
    Side.CLIENT: Leg(endpoint("10.77.1.1:2121"), endpoint("10.77.1.2:40000")),
    Side.SERVER: Leg(endpoint("10.77.2.1:50000"), endpoint("10.77.2.2:21")),
}


@dataclass(frozen=True)
class GoodConfig:
    """A configuration."""

    word: str = "default"


class GoodPlugin(StreamPlugin[GoodConfig]):
    """Does nothing."""

    name = "good"
    config_type = GoodConfig


class UnbornPlugin(StreamPlugin[None]):
    """Cannot be made."""

    name = "unborn"

    def __init__(self, config: None) -> None:
        raise ZeroDivisionError("cannot be made")


class StubbornPlugin(StreamPlugin[None]):
    """Takes no flow."""

    name = "stubborn"

    def __setattr__(self, name: str, value: object) -> None:
        if name == "flow":
            raise ZeroDivisionError("cannot begin")
        super().__setattr__(name, value)


def session() -> Session:
    """A session of the client."""
    return Session(1, LEGS[Side.CLIENT].peer.address, Gate(LeaseLimits()))


def test_configuration() -> None:
    """The given one, else the default one, else none."""
    assert make_plugin(GoodPlugin).config == GoodConfig()
    assert make_plugin(GoodPlugin, GoodConfig("other")).config == GoodConfig("other")
    assert make_plugin(StubbornPlugin).config is None


def test_plugin_that_cannot_be_made() -> None:
    """Its fault, by name."""
    with pytest.raises(PluginError, match="plugin unborn raised ZeroDivisionError: cannot be made"):
        make_plugin(UnbornPlugin)


def test_machine() -> None:
    """With a server, and without one where the client chooses it."""
    machine = make_machine(GoodPlugin(GoodConfig()), session(), LEGS)
    assert isinstance(machine, FlowMachine)
    assert machine.legs == LEGS
    assert make_machine(GoodPlugin(GoodConfig()), session(), {Side.CLIENT: LEGS[Side.CLIENT]}).legs.keys() == {
        Side.CLIENT
    }


def test_machine_that_cannot_begin() -> None:
    """The plugin's fault as well."""
    with pytest.raises(PluginError, match="plugin stubborn raised ZeroDivisionError: cannot begin"):
        make_machine(StubbornPlugin(None), session(), LEGS)


def test_needs() -> None:
    """Nothing by default; FTP needs to take TLS off a leg only where CCC is allowed."""
    assert make_plugin(GoodPlugin).needs() == frozenset()
    assert make_plugin(FtpPlugin).needs() == frozenset()
    assert make_plugin(FtpPlugin, FtpConfig(ccc=True)).needs() == {Need.STOP_TLS}


def test_buffered() -> None:
    """What was handed in and is not read, for hosts that cannot stop reading; nothing after the end."""

    class ReadingPlugin(StreamPlugin[None]):
        name = "reading"

        async def from_client(self, stream: Stream) -> None:
            await stream.read_exactly(4)
            self.flow.close()

        async def from_server(self, stream: Stream) -> None:
            await stream.read_exactly(1)

    machine = make_machine(ReadingPlugin(None), session(), LEGS)
    machine.start()
    machine.receive(DataReceived(Side.CLIENT, b"abc"))
    assert (machine.buffered(Side.CLIENT), machine.buffered(Side.SERVER)) == (3, 0)
    machine.receive(DataReceived(Side.CLIENT, b"de"))
    assert machine.buffered(Side.CLIENT) == 0

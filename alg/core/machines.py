"""Makes plugins and their machines, so that a plugin which fails at that costs its flow, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from alg.core.datagram_flow import DatagramMachine
from alg.core.datagrams import DatagramPlugin
from alg.core.errors import PluginError
from alg.core.flow import FlowMachine
from alg.core.model import Leg, Side
from alg.core.plugin import Plugin, StreamPlugin
from alg.core.session import Session

P = TypeVar("P", bound=Plugin[object])


def make_plugin(plugin: type[P], config: object = None) -> P:
    """An instance of the plugin; without a configuration it gets its default one.

    Raises:
        PluginError: it raised.
    """
    try:
        if config is None and plugin.config_type is not None:
            config = plugin.config_type()
        return plugin(config)
    except Exception as problem:  # noqa: BLE001 - whatever a plugin raises ends its session, and only that
        raise _failure(plugin.name, problem) from None


def make_machine(plugin: Plugin[object], session: Session, legs: Mapping[Side, Leg]) -> FlowMachine:
    """The machine that drives a plugin between two legs; the server's is missing where the client chooses it.

    Raises:
        PluginError: it is none for TCP; or one of its methods is no coroutine, and raised.
    """
    if not isinstance(plugin, StreamPlugin):
        raise _wrong_transport(plugin, "TCP")
    try:
        return FlowMachine(plugin, session, client=legs[Side.CLIENT], server=legs.get(Side.SERVER))
    except Exception as problem:  # noqa: BLE001 - as above
        raise _failure(plugin.name, problem) from None


def make_datagram_machine(plugin: Plugin[object], session: Session, legs: Mapping[Side, Leg]) -> DatagramMachine:
    """The machine that drives a plugin for datagrams.

    Raises:
        PluginError: it is none for UDP.
    """
    if not isinstance(plugin, DatagramPlugin):
        raise _wrong_transport(plugin, "UDP")
    return DatagramMachine(plugin, session, client=legs[Side.CLIENT], server=legs[Side.SERVER])


def _wrong_transport(plugin: Plugin[object], needed: str) -> PluginError:
    return PluginError(f"plugin {plugin.name} treats {plugin.transport.name} flows; this one is {needed}")


def _failure(name: str, problem: Exception) -> PluginError:
    return PluginError(f"plugin {name} raised {type(problem).__name__}: {problem}")

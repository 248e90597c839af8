"""Makes plugins and their machines, so that a plugin which fails at that costs its flow, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from alg.core.errors import PluginError
from alg.core.flow import FlowMachine
from alg.core.model import Leg, Side
from alg.core.plugin import StreamPlugin
from alg.core.session import Session


def make_plugin(plugin: type[StreamPlugin[object]], config: object = None) -> StreamPlugin[object]:
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


def make_machine(plugin: StreamPlugin[object], session: Session, legs: Mapping[Side, Leg]) -> FlowMachine:
    """The machine that drives a plugin between two legs; the server's is missing where the client chooses it.

    Raises:
        PluginError: one of its methods is no coroutine, and raised.
    """
    try:
        return FlowMachine(plugin, session, client=legs[Side.CLIENT], server=legs.get(Side.SERVER))
    except Exception as problem:  # noqa: BLE001 - as above
        raise _failure(plugin.name, problem) from None


def _failure(name: str, problem: Exception) -> PluginError:
    return PluginError(f"plugin {name} raised {type(problem).__name__}: {problem}")

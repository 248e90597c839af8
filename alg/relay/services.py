"""`Services`: what all sessions of a relay share: the loop, the gate, the budget, pipes, ports, deadlines, plugins."""

from __future__ import annotations

import asyncio

from alg.core.machines import make_plugin
from alg.core.plugin import Plugin
from alg.core.policy import Gate
from alg.dynamic_ports import DynamicPorts
from alg.own_address import is_own_address
from alg.registry import Registry
from alg.relay.budget import Budget, raise_descriptor_limit
from alg.relay.claims import Claims
from alg.relay.lookups import Lookups
from alg.relay.pipes import PipePool
from alg.relay.poller import make_watcher
from alg.relay.timeouts import Timeouts
from alg.settings import Limits, Route, Times


class Services:
    """Made once for each relay, on its running event loop."""

    def __init__(self, registry: Registry, times: Times, limits: Limits, *, splice: bool = True) -> None:
        """`splice`: whether bulk may leave Python where the kernel can carry it; if not, it is copied."""
        self.loop = asyncio.get_running_loop()
        self.watcher = make_watcher(self.loop)
        self.registry = registry
        self.times = times
        self.limits = limits
        self.gate = Gate(limits.leases, is_own_address=is_own_address)
        self.ports = DynamicPorts(self.gate)
        self.claims = Claims()
        self.lookups = Lookups(self.loop)
        self.budget = Budget(limits, raise_descriptor_limit())
        self.pipes = PipePool(available=splice, limit=self.budget.pipes)
        self._timeouts: dict[float, Timeouts] = {}
        self.connect_timeouts = self.timeouts(times.connect)

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""
        if seconds not in self._timeouts:
            self._timeouts[seconds] = Timeouts(self.loop, seconds)
        return self._timeouts[seconds]

    def make_plugin(self, name: str, route: Route) -> Plugin[object]:
        """An instance of the plugin that a related flow asks for by name.

        Raises:
            ConfigError: there is no such plugin.
            PluginError: it cannot be made.
        """
        if name == route.plugin.name:
            return make_plugin(route.plugin, route.config)
        return make_plugin(self.registry.find(name))

    def close(self) -> None:
        """Give everything back; nobody may use it any more."""
        self.pipes.close()
        self.lookups.close()
        for timeouts in self._timeouts.values():
            timeouts.close()
        self.watcher.close()

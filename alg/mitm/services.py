"""`Services`: what all sessions in one mitmproxy share: the settings, the gate, ports, records, tasks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace

from alg.core.model import Endpoint, Expectation
from alg.core.policy import Gate
from alg.core.reasons import is_refusal, printable
from alg.dynamic_ports import DynamicPorts
from alg.mitm import compat
from alg.mitm.layer import FlowLayer
from alg.mitm.legs import endpoint_of
from alg.mitm.settings import MitmSettings
from alg.own_address import is_own_address
from alg.registry import Registry

LOGGER = logging.getLogger("alg")
_RECORDS_KEPT = 10_000


class Services:
    """Made once for each gateway."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.settings = MitmSettings()
        self.gate = Gate(self.settings.limits.leases, is_own_address=is_own_address)
        self.ports = DynamicPorts(self.gate)
        self.records: deque[str] = deque(maxlen=_RECORDS_KEPT)
        """The reasons of the newest records."""
        self.layers: dict[str, FlowLayer] = {}
        """Those of all connections that were claimed, by mitmproxy's number of the client's connection."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: list[Endpoint] = []
        """mitmproxy's own listeners, as the gate knows them."""

    def configure(self, settings: MitmSettings) -> None:
        """Take new settings: they hold for what begins from now on."""
        self.settings = settings
        self.gate.limits = replace(settings.limits.leases, lifetime=settings.lifetime)

    def record(self, who: str, reason: str, message: str) -> str:
        """Write a record into mitmproxy's event log; return what stands there, without whose it is."""
        line = f"{reason} {printable(message)}"
        self.records.append(reason)
        LOGGER.log(logging.WARNING if is_refusal(reason) else logging.INFO, "%s %s", who, line)
        return line

    def run(self, work: Coroutine[object, object, None]) -> None:
        """Have something done beside all else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def learn_listeners(self) -> None:
        """mitmproxy's own listeners are never a target; they come and go with its option `mode`."""
        listening = [endpoint_of(address) for address in compat.proxyserver().listen_addrs()]
        if listening != self._listening:
            for endpoint in self._listening:
                self.gate.remove_socket(endpoint)
            for endpoint in listening:
                self.gate.add_socket(endpoint)
            self._listening = listening

    def judge_targets(self, expectation: Expectation) -> None:
        """Judge the targets again: by now mitmproxy may listen elsewhere.

        Raises:
            PolicyError: `self_target`.
        """
        self.learn_listeners()
        for target in expectation.targets:
            self.gate.judge_dial(target)

    def close(self) -> None:
        """Nobody waits for what is done beside."""
        for task in self._tasks:
            task.cancel()

"""Puts a namespace of its own into one of the lab's two links, in which the weather is made."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, Lab, Namespace
from tests.peers.processes import LabError, Process, run

from .weather import Chances

SIDES = {"inside": GATEWAY_INSIDE, "outside": GATEWAY_OUTSIDE}
"""The gateway's device in each link, and its addresses there."""


class Link:
    """A link with a place for weather. Nothing passes it but while there is some, if only fair."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    @contextmanager
    def weather(self, chances: Chances, seed: int) -> Iterator[None]:
        """Hand packets on with these chances."""
        program = str(Path(__file__).with_name("weather.py"))
        arguments = ("far", "near", json.dumps(asdict(chances)), str(seed))
        with Process(self._namespace.command(sys.executable, program, *arguments), "weather") as process:
            process.wait_for_lines("weather: ready", 1, 10.0)
            yield
            if not process.alive() or len(process.lines) > 1:
                raise LabError(f"the weather went wrong: {process.tail()}")


@contextmanager
def opened(lab: Lab, side: str) -> Iterator[Link]:
    """Cut the link on one side of the gateway and put the namespace between; gone afterwards, with the lab's link."""
    namespace, gateway = Namespace(f"alg-{os.getpid()}-w"), lab.gateway
    run("ip", "netns", "add", namespace.name)
    try:
        # No neighbour discovery of its own: only the peers' packets are on the link.
        namespace.set_kernel("net.ipv6.conf.all.disable_ipv6", "1")
        namespace.set_kernel("net.ipv6.conf.default.disable_ipv6", "1")
        gateway.ip("link", "set", side, "netns", namespace.name, "name", "far")
        namespace.ip("link", "add", "near", "type", "veth", "peer", "name", side, "netns", gateway.name)
        namespace.ip("link", "set", "far", "up")
        namespace.ip("link", "set", "near", "up")
        gateway.add_address(side, SIDES[side])
        yield Link(namespace)
    finally:
        with suppress(LabError):
            run("ip", "netns", "delete", namespace.name)

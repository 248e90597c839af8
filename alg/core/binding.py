"""`Binding`: one announced endpoint, as its plugin holds it; and `Machine`: what the requests of a plugin are handed to.

Nothing in here does I/O: what a plugin asks for becomes a command, which the flow machine hands to its host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from alg.core.commands import ConnectUpstream
from alg.core.errors import PluginError
from alg.core.model import Connect, Endpoint, Expectation, Leg, Side, Transport
from alg.core.outcomes import OnEnd

Field = str | int | Endpoint
"""What a record may hold besides its message."""


class Machine(Protocol):
    """What a plugin's requests are handed to: the flow machine (`alg.core.flow`)."""

    legs: dict[Side, Leg]
    now: float

    @property
    def transport(self) -> Transport:
        """What carries this flow."""

    def lease(self, expectation: Expectation, on_end: OnEnd | None) -> int:
        """Ask for a listener; return the number of the binding."""

    def shared_target(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener leads."""

    def set_deadline(self, seconds: float | None, what: str) -> None:
        """End the flow in time."""

    def linger(self, seconds: float) -> None:
        """End the flow after so much silence."""

    def dial(self, number: int) -> None:
        """Dial both legs of a binding."""

    def name(self, number: int, words: str, fields: Mapping[str, Field]) -> None:
        """Say what the flow through a binding is for."""

    def release(self, number: int) -> None:
        """Give it up."""

    def prepare_upstream(self, command: ConnectUpstream) -> None:
        """Ask for a server."""

    def prepare_tls(self, side: Side) -> None:
        """Ask for TLS."""

    def prepare_clear(self, side: Side) -> None:
        """Ask for no more TLS."""

    def splice(self) -> None:
        """Make both directions opaque."""

    def close(self) -> None:
        """End the flow."""

    def report(self, reason: str, message: str, fields: Mapping[str, Field]) -> None:
        """Write a record."""

    def report_rewrite(
        self, number: int, expectation: Expectation, endpoints: Mapping[Side, Endpoint], announced_by: str
    ) -> None:
        """Write the record of a rewrite."""


class Binding:
    """What the host reserved for an expectation: it listens already."""

    __slots__ = ("_machine", "_released", "endpoints", "expectation", "number")

    def __init__(
        self, machine: Machine, number: int, expectation: Expectation, endpoints: Mapping[Side, Endpoint]
    ) -> None:
        self._machine = machine
        self._released = False
        self.number = number
        self.expectation = expectation
        self.endpoints = endpoints
        """The endpoint to write into the payload, for each side on which we accept."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint to write into the payload, where we accept on one side.

        Raises:
            PluginError: we accept on both sides, or on none.
        """
        if len(self.endpoints) != 1:
            raise PluginError(f"a binding with {len(self.endpoints)} endpoints has no `endpoint`; see `endpoints`")
        return next(iter(self.endpoints.values()))

    def dial(self) -> None:
        """Where both legs are dialled: do it now, the server's side first.

        To do it again does nothing, nor does it after `release`, the lifetime, or the end of the flow.

        Raises:
            PluginError: a leg is accepted.
        """
        if self.expectation.accepted:
            raise PluginError("a binding that listens is not dialled")
        self._machine.dial(self.number)

    def name(self, words: str, fields: Mapping[str, Field] | None = None) -> None:
        """Say what the flow through it is for (`RETR '/notes.txt'`), for those who look at it; hosts without a screen
        leave it. It may have come already. Never put a password into it."""
        self._machine.name(self.number, words, fields or {})

    def release(self) -> None:
        """Stop listening. A flow that has come through lives on; to release twice, or after the end, does nothing."""
        if not self._released:
            self._released = True
            self._machine.release(self.number)

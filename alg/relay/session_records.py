"""`SessionRecords`: the records of one session. What a peer has us refuse again and again is told so often, and then counted."""

from __future__ import annotations

from collections.abc import Mapping

from alg.core.binding import Field
from alg.core.model import Side
from alg.core.reasons import is_refusal
from alg.relay.flow import RelayedFlow
from alg.relay.records import record, wanted


class SessionRecords:
    """Writes records with the protocol and the number of their session."""

    __slots__ = ("_limit", "_number", "_protocol", "_refusals")

    def __init__(self, protocol: str, number: int, limit: int) -> None:
        """At most `limit` records of one and the same refusal."""
        self._protocol = protocol
        self._number = number
        self._limit = limit
        self._refusals: dict[str, int] = {}
        """How often each kind of refusal was recorded."""

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record, unless there were too many such refusals."""
        if is_refusal(reason):
            told = self._refusals[reason] = self._refusals.get(reason, 0) + 1
            if told > self._limit:
                return
            if told == self._limit:
                message = f"{message} (further ones of this session are counted only)"
        record(reason, message, protocol=self._protocol, session=self._number, fields=fields)

    def write_close(self, reason: str, name: object, flow: RelayedFlow, seconds: float) -> None:
        """Write that a flow is over: under that reason, or under that of its error."""
        if flow.error is None and not wanted(reason):
            return
        from_client, from_server = (flow.legs[side].received for side in Side)
        cause = f", {flow.error}" if flow.error else ""
        self.write(
            reason if flow.error is None or flow.error.reason.endswith("_lost") else flow.error.reason,
            f"{name} ended after {seconds:.3f} s, {from_client} bytes up, {from_server} bytes down{cause}",
            {"bytes_up": from_client, "bytes_down": from_server, "milliseconds": round(seconds * 1000)},
        )

    def close(self) -> None:
        """The session is over: say how often what was counted only."""
        for reason, told in self._refusals.items():
            if told > self._limit:
                record(reason, f"{told} times in all", protocol=self._protocol, session=self._number)

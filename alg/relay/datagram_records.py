"""`DatagramRecords`: what one flow of datagrams has carried, and what is told of it.

Who speaks over UDP may be made up. Until it speaks again after the server's first answer, its flow is one of many, perhaps, and
what is told of it is told once a second for all of them; whoever forges senders can do that too, so what is told of the others
is bounded as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from alg.core.binding import Field
from alg.core.errors import AlgError
from alg.core.model import Side
from alg.core.reasons import is_refusal
from alg.relay.records import wanted
from alg.relay.session_records import SessionRecords
from alg.relay.tally import Tallies


class DatagramRecords:
    """Those of one flow."""

    __slots__ = ("_protocol", "_records", "_tallies", "flow", "lost", "said")

    def __init__(self, tallies: Tallies, protocol: str, number: int, limit: int) -> None:
        """At most `limit` records of one and the same refusal."""
        self._tallies = tallies
        self._protocol = protocol
        self._records = SessionRecords(protocol, number, limit)
        self.flow = ""
        """From where it comes, and where it leads."""
        self.said = dict.fromkeys(Side, 0)
        """Bytes that each side has said."""
        self.lost = 0
        """Datagrams that were dropped."""

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None, *, answered: bool) -> None:
        """Write a record of the session; what anybody can have us refuse, under forged addresses too, only so often."""
        if is_refusal(reason) and not (answered and self._tallies.may_record()):
            self._tallies.tell(reason, f"{self.flow.partition(' -> ')[0]}: {message}", self._protocol)
        elif wanted(reason):
            self._records.write(reason, message, fields)

    def opened(self) -> None:
        """The client is there."""
        if wanted("session_open") and self._tallies.may_record():
            self._records.write("session_open", self.flow)

    def closed(self, error: AlgError | None, seconds: float, *, answered: bool, assured: bool) -> None:
        """The flow is over."""
        cause = f", {error}" if error else ""
        flow = f"{self.flow} ended after {seconds:.3f} s"
        if not answered:
            self._tallies.tell("unanswered", f"{flow} without an answer{cause}", self._protocol)
        elif error is not None or wanted("session_close"):
            up, down = (self.said[side] for side in Side)
            fields: dict[str, Field] = {"bytes_up": up, "bytes_down": down, "milliseconds": round(seconds * 1000)}
            if self.lost:
                fields["lost"] = self.lost
                cause = f", {self.lost} datagrams lost{cause}"
            words = f"{flow}, {up} bytes up, {down} bytes down{cause}"
            reason = error.reason if error is not None and error.reason != "idle" else "session_close"
            if assured and self._tallies.may_record():
                self._records.write(reason, words, fields)
            else:
                self._tallies.tell(reason, words, self._protocol, fields)
        self._records.close()

"""What a flow machine tells its host to do, in the imperative. Plain values; a host carries them out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from alg.core.addresses import Address
from alg.core.errors import AlgError
from alg.core.model import Endpoint, Expectation, Side


@dataclass(frozen=True, slots=True)
class SendData:
    """Send these bytes to that side, behind all that was sent before."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send this datagram to that side. It may get lost, like any other."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class Linger:
    """All is said on this flow of datagrams: end it once both sides have been silent for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SendEof:
    """Tell that side that nothing more will come, once all is sent; keep reading from it."""

    side: Side


@dataclass(frozen=True, slots=True)
class OpenBinding:
    """Listen for this expectation, then answer once with `BindingOpened` or `CommandFailed`."""

    number: int
    expectation: Expectation


@dataclass(frozen=True, slots=True)
class CloseBinding:
    """Stop listening; a flow that already came through lives on."""

    number: int


@dataclass(frozen=True, slots=True)
class NameBinding:
    """What the flow through this binding is for, in words and in fields: for hosts that show flows to a person. It may be
    open already, or be yet to come; others may leave this."""

    number: int
    words: str
    fields: Mapping[str, str | int | Endpoint]


@dataclass(frozen=True, slots=True)
class DialBinding:
    """Both legs of this binding are dialled: do it now, the server's side first. The lease is done with.

    To be answered by nothing but, in the end, `RelatedEnded`.
    """

    number: int


@dataclass(frozen=True, slots=True)
class ConnectUpstream:
    """Connect to a server that the client chose, by name or literal address, if the route allows it; then answer once
    with `UpstreamConnected` or `CommandFailed`. Only for a flow that has no server yet."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class StartTls:
    """Turn that leg into TLS, then answer once with `TlsStarted` or `CommandFailed`. Do not read it meanwhile."""

    side: Side


@dataclass(frozen=True, slots=True)
class StopTls:
    """Take TLS off that leg, behind all that was sent, then answer once with `TlsStopped` or `CommandFailed`."""

    side: Side


@dataclass(frozen=True, slots=True)
class Forward:
    """Carry the next `count` bytes of that side over without asking, then answer once with `Forwarded`; if that side ends
    before, with `EofReceived`. As with `Splice`, a host may have the kernel do it."""

    side: Side
    count: int


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Answer with `DeadlinePassed` in so many seconds, and no more for an earlier one; None: no more at all."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Splice:
    """What comes from that side is nobody's business from here on: carry it over without asking, end and all.

    It is permission, not order: a host may join the descriptors in the kernel or copy. The machine never again emits
    data of that side.
    """

    side: Side


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Both directions are done: close both legs when all that was queued is sent."""


@dataclass(frozen=True, slots=True)
class Abort:
    """End the session now: send what is queued to the client, if it takes it, and drop the rest.

    With `cut_off`, what the client has got would look complete: it must not take this for an orderly end.
    """

    error: AlgError
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Write one record: a decision, in words (`message`) and in fields for machines."""

    reason: str
    message: str
    fields: Mapping[str, str | int | Endpoint]


@dataclass(frozen=True, slots=True)
class ReportRewrite:
    """Write the record of a rewrite: what stands for what from now on, for whom, how often and how long.

    It composes its words only when it is asked for them, since it comes with every data connection.
    """

    number: int
    expectation: Expectation
    endpoints: Mapping[Side, Endpoint]
    sources: Mapping[Side, tuple[Address, ...]]
    announced_by: str

    reason: ClassVar[str] = "rewrite"

    @property
    def message(self) -> str:
        """`227 10.0.0.5:40112 -> 203.0.113.1:20003 for 10.77.1.2, once, 60 s`"""
        expectation = self.expectation
        times = {None: "any number", 1: "once"}.get(expectation.limit, f"{expectation.limit} times")
        if len(self.endpoints) == 1:
            what = f"{expectation.targets[0]} -> {next(iter(self.endpoints.values()))}"
        else:
            what = expectation.describe(self.endpoints)
        words = f"{self.announced_by} {what}".lstrip()
        return f"{words} for {self._names}, {times}, {expectation.lifetime:g} s"

    @property
    def fields(self) -> Mapping[str, str | int | Endpoint]:
        """The same for machines."""
        expectation = self.expectation
        return {
            "announced_by": self.announced_by,
            "origin": "+".join(side.value for side in expectation.accepted),
            "target": ", ".join(map(str, expectation.targets)),
            "endpoint": ", ".join(map(str, self.endpoints.values())),
            "sources": self._names,
            "lifetime": f"{expectation.lifetime:g}",
            "lease": self.number,
        }

    @property
    def _names(self) -> str:
        return ", ".join(str(source) for sources in self.sources.values() for source in sources) or "nobody"


Record: TypeAlias = Report | ReportRewrite
Command: TypeAlias = (
    SendData
    | SendDatagram
    | Linger
    | SendEof
    | OpenBinding
    | CloseBinding
    | NameBinding
    | DialBinding
    | ConnectUpstream
    | StartTls
    | StopTls
    | Forward
    | SetDeadline
    | Splice
    | CloseConnection
    | Abort
    | Record
)

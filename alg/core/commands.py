"""What a flow machine tells its host to do, in the imperative. Plain values; a host carries them out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from alg.core.errors import AlgError
from alg.core.model import Endpoint, Expectation, Side


@dataclass(frozen=True, slots=True)
class SendData:
    """Send these bytes to that side, behind all that was sent before."""

    side: Side
    data: bytes


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
class StartTls:
    """Turn that leg into TLS, then answer once with `TlsStarted` or `CommandFailed`. Do not read it meanwhile."""

    side: Side


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
    """End the session now: send what is queued to the client, if it takes it, and drop the rest."""

    error: AlgError


@dataclass(frozen=True, slots=True)
class Report:
    """Write one record: a decision, in words (`message`) and in fields for machines."""

    reason: str
    message: str
    fields: Mapping[str, str | int | Endpoint]


Command: TypeAlias = (
    SendData | SendEof | OpenBinding | CloseBinding | StartTls | Splice | CloseConnection | Abort | Report
)

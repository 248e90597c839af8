"""What a host tells a flow machine: things that happened, in the past tense. Plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from alg.core.commands import ConnectUpstream
from alg.core.errors import AlgError
from alg.core.model import Endpoint, Leg, Outcome, Side, TlsInfo


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes arrived from that side, one or more. They may be any piece of the stream."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    """One datagram arrived from that side, whole; it may be empty."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class EofReceived:
    """That side will send nothing more; it may still listen (half-close)."""

    side: Side


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Answer to `Forward`: all of it was passed on; what comes now is for the plugin again, and `more` came already."""

    side: Side
    more: bytes = b""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """Answer to `SetDeadline`."""


@dataclass(frozen=True, slots=True)
class BindingOpened:
    """Answer to `OpenBinding`: it listens already, and `endpoints` are what to advertise on the sides that accept."""

    number: int
    endpoints: Mapping[Side, Endpoint]


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """Answer to `StartTls`: the handshake on that leg is complete."""

    side: Side
    tls: TlsInfo


@dataclass(frozen=True, slots=True)
class TlsStopped:
    """Answer to `StopTls`: both ends said that no more TLS will come; what comes now is in the clear."""

    side: Side


@dataclass(frozen=True, slots=True)
class UpstreamConnected:
    """Answer to `ConnectUpstream`: the flow has a server now."""

    command: ConnectUpstream
    leg: Leg


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """Answer to an `OpenBinding` (by its number), a `StartTls` or `StopTls` (by its side), or a `ConnectUpstream` that
    the host could not carry out."""

    command: int | Side | ConnectUpstream
    error: AlgError


@dataclass(frozen=True, slots=True)
class RelatedEnded:
    """A flow that the lease of that number admitted, or that was dialled, is over; told also after the end of this flow.

    Without an outcome it never had both its legs, and the plugin is not told.
    """

    number: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """That leg is gone, both ways: reset, timed out, or never reached. The flow ends."""

    side: Side
    error: AlgError


Event: TypeAlias = (
    DataReceived
    | DatagramReceived
    | EofReceived
    | Forwarded
    | DeadlinePassed
    | BindingOpened
    | TlsStarted
    | TlsStopped
    | UpstreamConnected
    | CommandFailed
    | RelatedEnded
    | ConnectionLost
)

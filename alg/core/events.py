"""What a host tells a flow machine: things that happened, in the past tense. Plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from alg.core.errors import AlgError
from alg.core.model import Endpoint, Side


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes arrived from that side, one or more. They may be any piece of the stream."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class EofReceived:
    """That side will send nothing more; it may still listen (half-close)."""

    side: Side


@dataclass(frozen=True, slots=True)
class BindingOpened:
    """Answer to `OpenBinding`: it listens already, and `endpoint` is what to advertise."""

    number: int
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """Answer to `StartTls`: the handshake on that leg is complete."""

    side: Side


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """Answer to an `OpenBinding` (by its number) or a `StartTls` (by its side) that the host could not carry out."""

    command: int | Side
    error: AlgError


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """That leg is gone, both ways: reset, timed out, or never reached. The flow ends."""

    side: Side
    error: AlgError


Event: TypeAlias = DataReceived | EofReceived | BindingOpened | TlsStarted | CommandFailed | ConnectionLost

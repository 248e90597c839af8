"""What a host is told to do, as values: routes with their upstreams, and the limits and times that hold for all.

They come from `alg.config`, or from whoever embeds a host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from alg.core.model import Endpoint, Realm, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import LeaseLimits, TargetRules


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a route leads: a host (name or literal address) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """One configured service: where clients arrive, which plugin treats them, where it leads, under which rules."""

    plugin: type[StreamPlugin[object]]
    config: object
    listen: Endpoint
    upstream: Upstream
    realms: dict[Side, Realm] = field(default_factory=lambda: {side: Realm() for side in Side})
    targets: dict[Side, TargetRules] = field(default_factory=lambda: {side: TargetRules() for side in Side})

    @property
    def is_opaque(self) -> bool:
        """Whether the plugin treats neither side."""
        return (
            self.plugin.from_client is StreamPlugin.from_client and self.plugin.from_server is StreamPlugin.from_server
        )

    def __str__(self) -> str:
        return f"{self.plugin.name} {self.listen} -> {self.upstream}"


@dataclass(frozen=True, slots=True)
class Times:
    """How long things may take, in seconds."""

    connect: float = 10.0
    """To reach an upstream or the target of a related flow, all its addresses together."""
    idle: float = 900.0
    """Without a byte from either side; a session is not idle while a related flow of it carries data."""
    drain: float = 30.0
    """For sessions to finish after a request to stop."""
    resolve: float = 30.0
    """After which an upstream's name is looked up again, when the next client comes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of what there may be at once."""

    sessions: int = 100_000
    sessions_per_client: int = 10_000
    flows_per_session: int = 64
    """Related flows that are open or being connected."""
    records_per_session: int = 100
    """Records of one and the same refusal; the others are counted, and told when the session ends."""
    leases: LeaseLimits = field(default_factory=LeaseLimits)
    reserved_descriptors: int = 64
    """Kept free for listeners, logs and the like."""


LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a daemon needs to know, validated."""

    routes: tuple[Route, ...]
    times: Times = field(default_factory=Times)
    limits: Limits = field(default_factory=Limits)
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

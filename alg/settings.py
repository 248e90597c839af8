"""What a host is told to do, as values: routes with their upstreams, and the limits and times that hold for all.

They come from `alg.config`, or from whoever embeds a host.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from alg.core.addresses import Network
from alg.core.datagrams import DatagramPlugin
from alg.core.model import Endpoint, PortRange, Realm, Side, TlsPolicy, Transport
from alg.core.plugin import Plugin
from alg.core.policy import LeaseLimits, TargetRules
from alg.core.proxy_protocol import ProxyVersion


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a route leads: a host (name or literal address) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Way(enum.Enum):
    """How clients come in; the value is the word for it in a route."""

    FIXED = "fixed"
    """They are told our address, and the route says where that leads."""
    TRANSPARENT = "transparent"
    """They know nothing of us: the kernel hands us what was meant for others."""
    SOCKS = "socks"
    """They ask by SOCKS4, 4a or 5."""
    CONNECT = "connect"
    """They ask by HTTP CONNECT."""


PUBLIC = "*"
"""As an allowed upstream: every host at an address of the public Internet."""


@dataclass(frozen=True, slots=True)
class AllowedUpstream:
    """Upstreams that clients may choose: a host name, one with a leading `*.`, a network, or `PUBLIC`; any port, or that one."""

    host: str | Network
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.host}" if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS toward the clients of a route.

    The certificate is the operator's (`certificate`, PEM, with the chain behind it; `key` if it is not in the same
    file), or minted by the local CA for each name (`mint`). A client that asks for a name which is none of `names` is
    refused; without `names`, they are those of the certificate, or for `mint` those of the upstream and of this host.
    """

    policy: TlsPolicy = TlsPolicy.NEVER
    implicit: bool = False
    certificate: Path | None = None
    key: Path | None = None
    mint: bool = False
    names: tuple[str, ...] = ()
    resumption: bool = False
    """Whether TLS on a related flow must resume the TLS session of the master flow, as proof of whose it is."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS toward the upstream of a route.

    The certificate is verified against `ca` (a PEM file; default: the system's), for `name` (default: the upstream's
    host). `pins` are SHA-256 fingerprints of certificates: then one of these is asked for, and neither chain nor name
    count unless `ca` is given too. `certificate` and `key` are what we show ourselves, if the server asks.
    """

    policy: TlsPolicy = TlsPolicy.CLIENT
    implicit: bool = False
    verify: bool = True
    ca: Path | None = None
    pins: tuple[str, ...] = ()
    name: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    resume: bool = True
    """Whether related flows resume the TLS session of the master flow, as some FTP servers demand. Where they do not, it
    may be left out: CPython leaks some kilobytes for each session that does (gh-116810)."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy between us and the upstreams: `scheme` is socks5, socks4 or http."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PortRule:
    """What treats the connections to some ports, where clients name their destination: a plugin, and TLS on either leg."""

    ports: PortRange
    plugin: type[Plugin[object]]
    config: object
    client_tls: ClientTls = field(default_factory=ClientTls)
    server_tls: ServerTls = field(default_factory=ServerTls)

    def __str__(self) -> str:
        ports = self.ports
        return f"{ports.low if ports.low == ports.high else ports}={self.plugin.name}"


@dataclass(frozen=True, slots=True)
class Route:
    """One configured service: where clients arrive, which plugin treats them, where it leads, under which rules."""

    plugin: type[Plugin[object]]
    """Where clients name their destination: the one for ports that no rule covers."""
    config: object
    listen: Endpoint
    upstream: Upstream | None
    """None: the client chooses, out of `allowed`."""
    realms: dict[Side, Realm] = field(default_factory=lambda: {side: Realm() for side in Side})
    targets: dict[Side, TargetRules] = field(default_factory=lambda: {side: TargetRules() for side in Side})
    client_tls: ClientTls = field(default_factory=ClientTls)
    server_tls: ServerTls = field(default_factory=ServerTls)
    allowed: tuple[AllowedUpstream, ...] = ()
    proxy_protocol: ProxyVersion | None = None
    """Tell the server by the PROXY protocol who its client is, on each connection that we dial to it."""
    way: Way = Way.FIXED
    rules: tuple[PortRule, ...] = ()
    """By destination port; the first that covers it counts."""
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Who may ask us to connect, with their passwords; nobody needs one if there are none."""
    clients: tuple[Network, ...] = ()
    """Who may ask us without a password, besides those whose address is not of the public Internet."""
    proxy_senders: tuple[Network, ...] = ()
    """Who must say by the PROXY protocol for whom they come."""
    keep_client_address: bool = False
    """Whether servers see the address of their client, and not ours; for `Way.TRANSPARENT`."""
    via: Proxy | None = None
    idle: float | None = None
    """For datagrams: seconds of silence after which a flow ends; None: as its plugin says."""

    def rule_for(self, port: int, transport: Transport = Transport.TCP) -> PortRule | None:
        """What is said of connections to that port, or of datagrams."""
        rules = (rule for rule in self.rules if rule.plugin.transport is transport)
        return next((rule for rule in rules if rule.ports.low <= port <= rule.ports.high), None)

    def treated_by(self, rule: PortRule | None) -> Route:
        """The route of a session whose connection is treated by that rule."""
        if rule is None:
            return self
        return replace(
            self, plugin=rule.plugin, config=rule.config, client_tls=rule.client_tls, server_tls=rule.server_tls
        )

    def tls_policy(self, side: Side) -> TlsPolicy:
        """What is to be said to a plugin about TLS on that leg."""
        return self.client_tls.policy if side is Side.CLIENT else self.server_tls.policy

    @property
    def implicit_tls(self) -> tuple[Side, ...]:
        """The legs that are TLS from the start, also those of related flows where the protocol has no say."""
        sides = {Side.CLIENT: self.client_tls.implicit, Side.SERVER: self.server_tls.implicit}
        return tuple(side for side, implicit in sides.items() if implicit)

    @property
    def is_opaque(self) -> bool:
        """Whether the plugin treats neither side."""
        return not any(map(self.plugin.reads, Side))

    @property
    def name(self) -> str:
        """The protocol by which clients come in: that of the plugin, where they need none to say where they want to go."""
        return self.plugin.name if self.way is Way.FIXED else self.way.value

    @property
    def foreign(self) -> frozenset[Side]:
        """Where our end of a leg has the address of whom we stand for."""
        if self.way is not Way.TRANSPARENT:
            return frozenset()
        return frozenset(Side) if self.keep_client_address else frozenset({Side.CLIENT})

    @property
    def plugins(self) -> list[type[Plugin[object]]]:
        """What may treat its sessions: its own plugin, and those of its rules."""
        return [self.plugin, *(rule.plugin for rule in self.rules)]

    @property
    def related_flows(self) -> bool:
        """Whether its sessions may be expected to open related flows."""
        return any(plugin.related_flows for plugin in self.plugins)

    def __str__(self) -> str:
        return f"{self.name} {self.listen} -> {self.upstream or 'as the client says'}"


def idle_of(route: Route) -> float:
    """Seconds of silence after which a flow of datagrams ends."""
    assert issubclass(route.plugin, DatagramPlugin), "others end by themselves"
    return route.plugin.idle if route.idle is None else route.idle


@dataclass(frozen=True, slots=True)
class Times:
    """How long things may take, in seconds."""

    connect: float = 10.0
    """To reach an upstream or the target of a related flow, all its addresses together."""
    handshake: float = 30.0
    """For a TLS handshake; on a data connection, a server may begin with it only when it is ready to send."""
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
    datagram_flows: int = 8192
    """Flows of datagrams; each takes a descriptor, and all together at most half of those that there are."""
    datagram_flows_per_client: int = 1024
    """Where a client has so many, each further one ends the oldest of its own."""
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
    xferlog: Path | None = None
    """A file to which a line is added for each transfer."""

"""What an operator may set for HTTP and WebSocket, with the defaults. The ready profiles are in `profiles`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from alg.plugin import Address, ConfigError, Endpoint, ProtocolError
from alg_http.profiles import PROFILES, Profile
from alg_http.rules import Part, Rule, matching


class HostHeader(enum.Enum):
    """What a server is told in `Host`."""

    REWRITE = "rewrite"
    """The server's own name or address, as the route has it: what it says of itself is mapped back."""
    ADDRESS = "address"
    """The server's address, even where the route has its name: Chromium refuses names, so the profile `cdp` implies it."""
    PASS = "pass"  # noqa: S105 - no password
    """What the client said."""


class Forwarded(enum.Enum):
    """What becomes of `Forwarded` (RFC 7239) and `X-Forwarded-*`, by which a server hears of the client."""

    REMOVE = "remove"
    """What clients claim is taken out: the gateway masquerades."""
    SET = "set"
    """The truth about this hop, in place of what clients claim."""
    PASS = "pass"  # noqa: S105 - no password
    """As they come: for a gateway behind a proxy of yours that sets them."""


class Frames(enum.Enum):
    """What becomes of a WebSocket once its handshake is verified."""

    PASS = "pass"  # noqa: S105 - no password
    """It passes unread and leaves Python, unless a rule is about messages."""
    READ = "read"
    """Every frame is checked (RFC 6455); what breaks the protocol goes no further."""


_NUMBERS = (
    *("shared_lifetime", "head_timeout", "keep_alive", "max_head", "max_headers", "max_body", "max_message"),
    *("max_frames", "request_rate"),
)


@dataclass(frozen=True)
class HttpConfig:
    """Settings of the HTTP plugin. Lengths are in bytes, times in seconds."""

    profiles: tuple[Profile, ...] = ()
    rules: tuple[Rule, ...] = ()
    """Where payloads hold addresses, besides what the profiles say."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Names of hosts inside, with their addresses: what a server calls them. No resolver is asked."""
    host_header: HostHeader = HostHeader.REWRITE
    forwarded: Forwarded = Forwarded.REMOVE
    frames: Frames = Frames.PASS
    allowed_hosts: tuple[str, ...] = ()
    """What clients may call us, in `Host`, with or without a port; empty: anything. It keeps DNS rebinding out."""
    allowed_paths: tuple[str, ...] = ()
    """Paths that clients may ask for, as in file names (`/devtools/*`); empty: any."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may open a WebSocket, by their origin (`https://app.example`); empty: any, and none as well."""
    connect: bool = False
    """Whether CONNECT passes, and what follows it unread."""
    shared_lifetime: float = 600.0
    """For how long a listener that was announced may be used, after it was last announced or used."""
    head_timeout: float = 30.0
    """For the head of a first request, from the beginning of the connection."""
    keep_alive: float = 75.0
    """For the head of a further request, from the end of the last response."""
    max_head: int = 16384
    max_headers: int = 128
    max_body: int = 1 << 20
    """Bodies, and WebSocket texts, in which addresses are looked for, before and after decompression."""
    max_message: int = 1 << 24
    """WebSocket messages, where they are read, after decompression."""
    max_frames: int = 4096
    """Frames of one WebSocket message, where they are read."""
    request_rate: int = 10_000
    """Requests a second of one connection, on average; bursts of twice as many are taken."""

    def __post_init__(self) -> None:
        """Check what would come to light only in the middle of a session.

        Raises:
            ConfigError: a number is not above 0, or a host's address no literal address.
        """
        for name in _NUMBERS:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: must be above 0, not {getattr(self, name)}")
        for name, address in self.hosts.items():
            try:
                Endpoint.parse(address, 0)
            except ProtocolError as error:
                raise ConfigError(f"hosts.{name}: {error}") from None

    @property
    def keeps_host(self) -> bool:
        """Whether a server is told what the client calls it."""
        return self.host_header is HostHeader.PASS

    @property
    def names_address(self) -> bool:
        """Whether a server is called by its address, whatever its name."""
        by_profile = Profile.CDP in self.profiles and self.host_header is HostHeader.REWRITE
        return by_profile or self.host_header is HostHeader.ADDRESS

    def address_of(self, name: str) -> Address | None:
        """The address of a host inside, by its name in lower case."""
        given = next((self.hosts[each] for each in self.hosts if each.lower() == name), None)
        return None if given is None else Endpoint.parse(given, 0).address

    def rule(self, part: Part, path: str) -> Rule | None:
        """What the operator's rules and those of the profiles say about a part of an exchange, by the path of its request;
        None: nothing."""
        rules = (*self.rules, *(rule for profile in self.profiles for rule in PROFILES[profile]))
        return matching((rule for rule in rules if rule.part is part), path)

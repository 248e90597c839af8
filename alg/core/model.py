"""The nouns of the gateway, as values: side, endpoint, leg, realm, expectation, and what came of it.

They carry facts and never sockets. The words are those of RFC 2663 and netfilter where these have one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from alg.core.addresses import Address, canonical, parse_address
from alg.core.errors import AlgError, ProtocolError

_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")


def parse_port(text: bytes | str) -> int:
    """Parse a decimal number up to 65535, without sign or leading zero.

    Raises:
        ProtocolError: it is none (reason `bad_port`).
    """
    digits = text.encode("ascii", "replace") if isinstance(text, str) else text
    if not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise ProtocolError(f"not a port: {text[:20]!a}", reason="bad_port")
    return int(digits)


class Side(enum.Enum):
    """The two sides of a session. A related flow keeps the sides of its session, whoever opens it."""

    CLIENT = "client"
    SERVER = "server"

    # A plain attribute, filled in below: this is asked for every piece of data.
    other: Side
    # Each member is a single object; the hash of an Enum, by name, costs a call in Python.
    __hash__ = object.__hash__


Side.CLIENT.other, Side.SERVER.other = Side.SERVER, Side.CLIENT


class Transport(enum.Enum):
    """What carries a flow."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a TCP or UDP port. The address is canonical: never IPv4-mapped, never a name."""

    address: Address
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is outside 0 to 65535")
        object.__setattr__(self, "address", canonical(self.address))

    @classmethod
    def parse(cls, address: bytes | str, port: bytes | str | int) -> Endpoint:
        """Make an endpoint from the texts of a payload, e.g. `Endpoint.parse(b"10.0.0.5", b"4000")`.

        Raises:
            ProtocolError: the address is no strict literal, or the port no decimal number up to 65535 (no sign, no
                leading zero). It is the fault of the peer that sent the text.
        """
        if not isinstance(port, int):
            port = parse_port(port)
        elif not 0 <= port <= 65535:
            raise ProtocolError(f"not a port: {port}", reason="bad_port")
        return cls(parse_address(address), port)

    def __hash__(self) -> int:
        return hash((int(self.address), self.port))  # that of an address goes through its text

    def to_bytes(self, separator: bytes) -> bytes:
        """Return `address separator port` in ASCII; an IPv6 address in the form of RFC 5952, without brackets."""
        return b"%s%s%d" % (str(self.address).encode("ascii"), separator, self.port)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


class TlsPolicy(enum.Enum):
    """What a route says about TLS on one leg. Whether it is implicit, with the first byte, is the host's business."""

    NEVER = "never"
    """There is none to be had (for clients: no certificate is set up)."""
    CLIENT = "client"
    """As the client does: it is there for clients that ask for it; toward the server, if the client asked."""
    REQUIRE = "require"
    """Nothing confidential passes without."""
    PASS = "pass"  # noqa: S105 - no password
    """It is between client and server: pass it on untouched, and be blind to what is within."""


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What protects a leg: the protocol version (`TLSv1.3`), the cipher suite, the name that was asked for (RFC 6066),
    and whether an earlier TLS session was resumed."""

    version: str
    cipher: str = ""
    server_name: str | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Leg:
    """One of a flow's two transport connections: our end, their end, what protects it, and what may.

    `name` is what the operator, or the client, calls a server that was named and not given by its address.
    """

    local: Endpoint
    peer: Endpoint
    tls: TlsInfo | None = None
    tls_policy: TlsPolicy = TlsPolicy.NEVER
    name: str | None = None

    @property
    def secure(self) -> bool:
        """Whether TLS protects it."""
        return self.tls is not None


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= 65535:
            raise ValueError(f"a port range is LOW-HIGH with 1 <= LOW <= HIGH <= 65535, not {self.low}-{self.high}")

    def __len__(self) -> int:
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


DEFAULT_PORTS = PortRange(16384, 32767)
"""Where data channels listen unless told otherwise: below Linux's range for outgoing connections (32768 and up)."""


@dataclass(frozen=True, slots=True)
class Realm:
    """A network in which addresses are unique, seen from the gateway.

    `bind` is where we listen in it (None: the local address of the leg that faces it), `advertise` what we write into
    payloads that go there (None: where we listen), `ports` the pool for dynamic listeners.
    """

    bind: Address | None = None
    advertise: Address | None = None
    ports: PortRange = field(default=DEFAULT_PORTS)


@dataclass(frozen=True, slots=True)
class Accept:
    """A leg of a related flow that we accept; `sources` may open it (empty: that side's peer of the master flow).

    With `tls` it is TLS from its first byte. Who is the TLS client does not depend on who connects (RFC 4217 section
    7): toward the client we are the server, toward the server the client.
    """

    sources: tuple[Address, ...] = ()
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """A leg of a related flow that we dial, from the local address of the same side's leg of the master flow.

    `tls` is as for `Accept`. `name` is what the target is called, where it has a name: TLS asks for it.
    """

    target: Endpoint
    tls: bool = False
    name: str | None = None


LegPlan: TypeAlias = Accept | Connect


@dataclass(frozen=True, slots=True)
class Expectation:
    """A plugin's statement that a related flow will come.

    Each leg is accepted or dialled; the usual pair is made by `Expectation.usual`. `limit` flows may come (None: any
    number), the first within `lifetime` seconds. `plugin` names what treats them (None: they are opaque). Where both
    legs are accepted the first comer waits for the other; where both are dialled, the plugin says when. With `shared`
    there is one listener for all sessions of the route, and `lifetime` begins anew whenever it is told or used.
    """

    client: LegPlan
    server: LegPlan
    limit: int | None = 1
    lifetime: float = 60.0
    plugin: str | None = None
    shared: bool = False
    transport: Transport = Transport.TCP
    span: int = 1
    """For UDP: how many consecutive ports, each a listener that leads to the target's port as far on; of two and more, the
    first is even (RFC 3550 section 11)."""
    pair: int | None = None
    """For UDP: the number of the binding for the other way. What comes through one of the two leaves from the port at which
    the other listens, so that each side hears from where it speaks to (RFC 4961)."""

    @classmethod
    def usual(
        cls,
        origin: Side,
        target: Endpoint,
        *,
        limit: int | None = 1,
        lifetime: float = 60.0,
        sources: tuple[Address, ...] = (),
        plugin: str | None = None,
        tls: Collection[Side] = (),
        shared: bool = False,
        name: str | None = None,
        transport: Transport = Transport.TCP,
        span: int = 1,
        pair: int | None = None,
    ) -> Expectation:
        """Accept on the origin's side, connect to the target on the other; `tls` names the legs that are TLS."""
        accept, connect = Accept(sources, origin in tls), Connect(target, origin.other in tls, name)
        client, server = (accept, connect) if origin is Side.CLIENT else (connect, accept)
        return cls(
            client,
            server,
            limit=limit,
            lifetime=lifetime,
            plugin=plugin,
            shared=shared,
            transport=transport,
            span=span,
            pair=pair,
        )

    def plan(self, side: Side) -> LegPlan:
        """What is done on that side."""
        return self.client if side is Side.CLIENT else self.server

    @property
    def accepted(self) -> tuple[Side, ...]:
        """The sides on which we accept."""
        return tuple(side for side in Side if isinstance(self.plan(side), Accept))

    @property
    def targets(self) -> tuple[Endpoint, ...]:
        """Where we connect, the client's side first."""
        return tuple(plan.target for plan in (self.client, self.server) if isinstance(plan, Connect))

    def describe(self, endpoints: Mapping[Side, Endpoint]) -> str:
        """Say what leads where, e.g. `client 10.77.1.1:20001 -> 10.77.2.2:4000`; `<->` where nobody leads."""
        words = {}
        for side in Side:
            plan = self.plan(side)
            endpoint = plan.target if isinstance(plan, Connect) else endpoints.get(side)
            words[side] = f"{endpoint} tls" if plan.tls else f"{endpoint}"
            if isinstance(plan, Connect) and plan.name is not None:
                words[side] += f" {plan.name}"
        if len(self.accepted) != 1:
            return f"client {words[Side.CLIENT]} <-> server {words[Side.SERVER]}"
        origin = self.accepted[0]
        further = " shared" if self.shared else ""
        if self.transport is Transport.UDP:
            further = f" udp, {self.span} ports" if self.span > 1 else " udp"
        return f"{origin.value} {words[origin]} -> {words[origin.other]}{further}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a related flow that had both its legs: plain bytes that each side sent, how long it took in seconds,
    what protected each leg, and why it ended, if that was no orderly end."""

    from_client: int
    from_server: int
    seconds: float
    client_tls: TlsInfo | None = None
    server_tls: TlsInfo | None = None
    error: AlgError | None = None

"""The rules: what a protocol's commands may do (`Rules`), and where anybody may be sent (`TargetRules`, `Gate`).

`Gate` is the one place that judges every listen and every dial, whatever the protocol. It knows the gateway's own
sockets; it keeps no sockets itself.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from alg.core.addresses import Address, Network, canonical, forms, is_this_host, is_unicast, names_this_host, within
from alg.core.errors import BindError, PolicyError
from alg.core.model import Endpoint, Leg


class Verdict(enum.Enum):
    """What becomes of a command or a reply."""

    ACCEPT = "accept"
    REJECT = "reject"
    """Answer in the protocol, and go on."""
    ABORT = "abort"
    """End the session."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A table of verdicts, the most specific entry first, `*` for all the rest.

    Keys are `"VERB"` for a command, `"VERB PATTERN"` for one with such an argument (as in file names: `*`, `?`, `[…]`;
    upper and lower case are the same), and `"VERB CODE"` for the reply to it, e.g. `{"SITE": REJECT, "SITE CHMOD *":
    ACCEPT, "STOR *.exe": REJECT, "RETR 550": ABORT, "*": ACCEPT}`. What no entry covers is accepted. Verbs are upper
    case. Three digits, and `*` alone, behind a verb are about replies.
    """

    table: Mapping[str, Verdict] = field(default_factory=dict)

    def command(self, verb: str, argument: str = "") -> Verdict:
        """The verdict on a command: the first `VERB PATTERN` that its argument fits, else `VERB`, else `*`."""
        if not self.table:
            return Verdict.ACCEPT
        for key, verdict in self.table.items():
            name, _, pattern = key.partition(" ")
            if name == verb and _is_of_argument(pattern) and fnmatchcase(argument.lower(), pattern.lower()):
                return verdict
        return self._first(verb, "*")

    def reply(self, verb: str, code: int) -> Verdict:
        """The verdict on a reply to a command: `VERB CODE`, else `VERB *`, else `* CODE`, else `* *`."""
        return self._first(f"{verb} {code}", f"{verb} *", f"* {code}", "* *") if self.table else Verdict.ACCEPT

    def over(self, base: Rules) -> Rules:
        """These rules on top of others: where both have an entry, ours holds."""
        return Rules({**base.table, **self.table})

    def _first(self, *keys: str) -> Verdict:
        return next((self.table[key] for key in keys if key in self.table), Verdict.ACCEPT)


def _is_of_argument(pattern: str) -> bool:
    """Whether what stands behind a verb in a rule is about its argument, and not about the reply to it."""
    return pattern not in ("", "*") and not (len(pattern) == 3 and pattern.isdigit())


@dataclass(frozen=True, slots=True)
class TargetRules:
    """Where one side may have us connect. By default: to itself, at a port that is nobody's service.

    `networks` may be named besides the announcer's own address; loopback only by a network that lies in it, since
    `0.0.0.0/0` says "anybody" and not "this host too". `min_port` is the lowest port that may be announced (RFC 2577
    section 3: those below 1024 are services). `loopback`: the operator put this side on loopback, so the announcer's
    own address may be a loopback address.
    """

    networks: tuple[Network, ...] = ()
    min_port: int = 1024
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """How many leases may be pending at once: per session, per client address, and in the whole gateway; how many listeners
    the sessions of one route may share; and how long one may last, in seconds, whatever its plugin asks for (None: as
    that says)."""

    per_session: int = 16
    per_client: int = 256
    in_all: int = 4096
    shared: int = 256
    lifetime: float | None = None


class Gate:
    """Judges every announced target and every dial, and counts the leases of all sessions.

    `is_own_address` tells whether an address is configured on this machine; it is asked only when a target's port is
    that of a socket of ours bound to all addresses.
    """

    def __init__(self, limits: LeaseLimits, *, is_own_address: Callable[[Address], bool] = is_this_host) -> None:
        self.limits = limits
        self._is_own_address = is_own_address
        self._own_sockets: dict[int, Counter[Address]] = {}
        """By port, the local addresses at which sockets of ours listen."""
        self._lent: dict[Endpoint, list[tuple[Address, object, tuple[Address, ...]]]] = {}
        """Listeners that clients asked for themselves, by what they were told of them: whose they are, and who may come. Where an
        operator says what is told, two at different addresses of ours may be told the same."""
        self._pending_by_client: Counter[Address] = Counter()
        self._pending = 0

    # Our own sockets: never a target, whatever an operator's rule says.

    def add_socket(self, endpoint: Endpoint) -> None:
        """Say that a socket of the gateway listens there."""
        self._count_socket(endpoint, +1)

    def remove_socket(self, endpoint: Endpoint) -> None:
        """Say that it no longer does."""
        self._count_socket(endpoint, -1)

    def _count_socket(self, endpoint: Endpoint, step: int) -> None:
        listening = self._own_sockets.setdefault(endpoint.port, Counter())
        listening[endpoint.address] += step
        if not listening[endpoint.address]:
            del listening[endpoint.address]
        if not listening:
            del self._own_sockets[endpoint.port]

    def is_own_socket(self, target: Endpoint) -> bool:
        """Whether a socket of the gateway listens at that endpoint, or at a form that hides in it."""
        listening = self._own_sockets.get(target.port)
        if listening is None:  # as nearly always, and it is asked for every dial
            return False
        if target.address.is_unspecified:  # to connect there is to connect to this host
            return True
        addresses = forms(target.address)
        if any(address in listening for address in addresses):
            return True
        on_all = any(address.is_unspecified for address in listening)
        return on_all and any(map(self._is_own_address, addresses))

    def lend(self, endpoint: Endpoint, client: Address, party: object, sources: tuple[Address, ...]) -> None:
        """Say that a client has asked for a listener of ours (SOCKS BIND), was told that endpoint, and waits for one of `sources`.
        `party` is who else it is, besides its address."""
        self._lent.setdefault(endpoint, []).append((canonical(client), party, sources))

    def take_back(self, endpoint: Endpoint, client: Address, party: object, sources: tuple[Address, ...]) -> None:
        """Say that it waits no more."""
        loans = self._lent[endpoint]
        loans.remove((canonical(client), party, sources))
        if not loans:
            del self._lent[endpoint]

    def is_lent(self, endpoint: Endpoint, client: Address, party: object, comes: Address) -> bool:
        """Whether that client waits at that endpoint for that one to come: then it may announce it as its own."""
        me, comes = (canonical(client), party), canonical(comes)
        return any((owner, other) == me and comes in sources for owner, other, sources in self._lent.get(endpoint, ()))

    # Targets.

    def judge_target(self, target: Endpoint, announcer: Leg, rules: TargetRules) -> None:
        """Judge an endpoint that a peer announced: may we connect there on its behalf?

        Raises:
            PolicyError: `self_target` (this host, or a socket of ours), `third_party_address` (neither the announcing
                leg's own peer nor allowed by a rule), `bad_address` (multicast, broadcast, reserved), `low_port`.
        """
        address = target.address
        allowed_by_name = within(address, rules.networks)
        its_own = address == canonical(announcer.peer.address)
        if self.is_own_socket(target):
            raise PolicyError(f"{target} is a socket of this gateway", reason="self_target")
        loopback_is_meant = (rules.loopback and its_own) or names_this_host(address, rules.networks)
        if is_this_host(address) and not loopback_is_meant:
            raise PolicyError(
                f"{target} means this host; `targets` can allow it, by a network within it", reason="self_target"
            )
        if not is_unicast(address):
            raise PolicyError(f"{target} is no address of a single host", reason="bad_address")
        if not its_own and not allowed_by_name:
            raise PolicyError(
                f"{target} is a third party's address, {announcer.peer.address} may only announce its own",
                reason="third_party_address",
            )
        if target.port < rules.min_port:
            raise PolicyError(f"port {target.port} is below {rules.min_port}", reason="low_port")

    def judge_dial(self, target: Endpoint) -> None:
        """Judge an endpoint at the moment of the dial: a socket of ours may have come to be there since.

        Raises:
            PolicyError: `self_target`.
        """
        if self.is_own_socket(target):
            raise PolicyError(f"{target} is a socket of this gateway", reason="self_target")

    # Leases.

    def count_lease(self, client: Address) -> None:
        """Take a place for one more pending lease of that client.

        Raises:
            BindError: too many are pending already (`too_many_leases`). Nobody else's lease is evicted.
        """
        if self._pending >= self.limits.in_all:
            raise BindError(f"{self._pending} leases are pending in all, the limit", reason="too_many_leases")
        if self._pending_by_client[client] >= self.limits.per_client:
            raise BindError(
                f"{client} has {self._pending_by_client[client]} leases pending, the limit", reason="too_many_leases"
            )
        self._pending += 1
        self._pending_by_client[client] += 1

    def uncount_lease(self, client: Address) -> None:
        """Give the place back."""
        self._pending -= 1
        self._pending_by_client[client] -= 1
        if not self._pending_by_client[client]:
            del self._pending_by_client[client]

    @property
    def pending_leases(self) -> int:
        """How many leases are pending in the whole gateway."""
        return self._pending

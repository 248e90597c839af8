"""The rules that make the kernel hand a gateway what transparent routes are for, as text for `nft -f -` and as `ip` commands.

Text only: who gives it to the kernel stands in `alg.interception`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from alg.core.errors import ConfigError
from alg.core.model import Endpoint, PortRange, Transport
from alg.settings import Route, Way

TABLE = "alg"
MARK = 0x414C47
ROUTE_TABLE = 4147
PRIORITY = 4147
"""Of the `ip rule`: behind the table `local`, before `main`."""

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")  # IFNAMSIZ; a subset that needs no quoting anywhere
_RESERVED_TABLES = (0, 253, 254, 255)
_COMMENT = re.compile(r'^\tcomment "alg nft: mark 0x([0-9a-f]+), route table ([0-9]+)"$', re.MULTILINE)
# SYN without ACK: the beginning of a connection. Nothing else is intercepted: not what was established before, and no answer.
_BEGINS = "tcp flags & (syn | ack) == syn"
_GOES_ON = "tcp flags & (syn | ack) != syn"
_NOT_FOR_US = "fib daddr type { local, broadcast, anycast, multicast } return"


class Intercept(enum.Enum):
    """How the kernel hands a connection over; the value is the word of the command line."""

    TPROXY = "tproxy"
    """As it is: the local end of the socket is where it was meant to go."""
    REDIRECT = "redirect"
    """With its destination translated; the connection tracking knows where it was meant to go. UDP is handed over as it is."""


@dataclass(frozen=True, slots=True)
class Interception:
    """What one route has intercepted over one transport: what is for these ports, for that listener; IPv4 or IPv6 as it is."""

    listen: Endpoint
    ports: tuple[PortRange, ...]
    transport: Transport = Transport.TCP

    @property
    def version(self) -> int:
        """The IP version."""
        return self.listen.address.version

    @property
    def chosen(self) -> str:
        """The words that match it."""
        return f"meta nfproto ipv{self.version} {self.transport.value} dport {{ {_ports(self.ports)} }}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """By what the kernel knows packets for our sockets: they are marked, and a mark leads to a routing table."""

    mark: int = MARK
    route_table: int = ROUTE_TABLE

    def __post_init__(self) -> None:
        if not 1 <= self.mark <= 0xFFFFFFFF:
            raise ConfigError(f"--mark {self.mark:#x} is outside 0x1 to 0xffffffff")
        if not 1 <= self.route_table <= 0xFFFFFFFF or self.route_table in _RESERVED_TABLES:
            raise ConfigError(
                f"--route-table {self.route_table} is one of the system's own, or none; take e.g. {ROUTE_TABLE}"
            )

    def __str__(self) -> str:
        return f"mark {self.mark:#010x}, route table {self.route_table}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be intercepted, and how.

    Raises:
        ConfigError: a name or number is none.
    """

    interceptions: tuple[Interception, ...]
    method: Intercept = Intercept.TPROXY
    interfaces: tuple[str, ...] = ()
    """What comes in by others is left alone; none: whatever comes in."""
    table: str = TABLE
    numbers: Numbers = Numbers()

    def __post_init__(self) -> None:
        check_table(self.table)
        for interface in self.interfaces:
            if not _INTERFACE.fullmatch(interface):
                raise ConfigError(f"--interface {interface!r} is no name of an interface, e.g. eth0")

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that are intercepted."""
        return tuple(sorted({each.version for each in self.interceptions}))

    @property
    def translated(self) -> tuple[Interception, ...]:
        """What gets another destination. Of a datagram nobody could say afterwards where it was meant to go."""
        redirects = self.method is Intercept.REDIRECT
        return tuple(each for each in self.interceptions if redirects and each.transport is Transport.TCP)

    @property
    def handed_over(self) -> tuple[Interception, ...]:
        """What is handed over as it is."""
        return tuple(each for each in self.interceptions if each not in self.translated)


def check_table(name: str) -> None:
    """Refuse what cannot be the name of a table.

    Raises:
        ConfigError: it cannot.
    """
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigError(f"--table {name!r} is no name of a table: letters, digits and _, 32 at most, e.g. {TABLE}")


def interceptions(routes: Iterable[Route]) -> tuple[Interception, ...]:
    """What the transparent routes among these want to have intercepted.

    Raises:
        ConfigError: none of them is transparent; one has no ports, or listens at a port that is not known yet; or two of
            one IP version want the same port.
    """
    found: list[Interception] = []
    for route in routes:
        if route.way is not Way.TRANSPARENT:
            continue
        if not route.rules:
            raise ConfigError(f"{route}: no port is to be intercepted; say which, by --plugin, e.g. 21=ftp")
        if not route.listen.port:
            raise ConfigError(f"{route}: the rules lead to its port; write one in place of 0")
        for transport in Transport:
            ports = tuple(rule.ports for rule in route.rules if rule.plugin.transport is transport)
            if ports:
                each = Interception(route.listen, ports, transport)
                for other in found:
                    _refuse_overlap(each, other)
                found.append(each)
    if not found:
        raise ConfigError("there is no transparent route, so nothing to intercept; write e.g. transparent@0.0.0.0:8080")
    return tuple(found)


def _refuse_overlap(one: Interception, other: Interception) -> None:
    same = (one.version, one.transport) == (other.version, other.transport)
    for ports in one.ports if same else ():
        if any(ports.low <= each.high and each.low <= ports.high for each in other.ports):
            raise ConfigError(
                f"port {_ports([ports])} is wanted by {one.listen} and by {other.listen}; it can lead to one of them"
            )


# The text.


def page(plan: Plan) -> str:
    """What `alg nft` prints: the rules, and the commands beside them as comments. The rules alone go to `nft -f -`."""
    commands = "\n".join(f"# {' '.join(command)}" for command in ip_commands(plan, "add"))
    return f"""\
# Interception for the transparent routes of alg, by {plan.method.value}.
#
# `alg nft --apply` with the same arguments does all of this, `alg nft --remove` undoes it. By hand, with this page in FILE:
#   nft -f FILE                        the rules, all or none; a second time they replace themselves
#   sed -n 's/^# ip /ip /p' FILE | sh  the routing beside them, once: packets with the mark are for this host
#
{commands}
#
# A firewall here must let in what carries the mark {plan.numbers.mark:#010x} (and, for redirect, what comes for the gateway's port).

{script(plan)}"""


def script(plan: Plan) -> str:
    """The rules: one table, in one transaction. What stood in the table before is replaced."""
    return f"""\
table inet {plan.table}
delete table inet {plan.table}
table inet {plan.table} {{
	comment "alg nft: {plan.numbers}"

{_divert(plan)}
{_prerouting(plan)}{_hand_over(plan)}{_translate(plan)}}}
"""


def read_numbers(listing: str) -> Numbers | None:
    """The numbers of a table that `nft list table` shows; None: it is not ours."""
    match = _COMMENT.search(listing)
    return Numbers(int(match[1], 16), int(match[2])) if match else None


def _divert(plan: Plan) -> str:
    """Packets for our sockets at other hosts' addresses: data listeners, what they accepted, what we dial from there.

    The kernel cannot tell of a handshake or of TIME_WAIT whether it is `wildcard`, and then a rule that asks does not match. So
    the listeners at all addresses are left out first, for whatever packet; a SYN that meets TIME_WAIT is a new connection,
    and not for that socket; and everything else of a transparent socket is taken. But what answers intercepted datagrams in a
    server's name takes whatever comes there, so only from where they are intercepted.
    """
    mark = f"meta mark set {plan.numbers.mark:#010x} accept"
    elsewhere = [
        f"{_from(plan.interfaces, other=True)}{each.chosen} return"
        for each in plan.interceptions
        if each.transport is Transport.UDP and plan.interfaces
    ]
    return f"""\
	# What belongs to a socket of the gateway at another host's address comes to it.
	chain divert {{
{_lines(elsewhere)}		socket wildcard 1 return
		{_GOES_ON} socket transparent 1 {mark}
		socket wildcard 0 socket transparent 1 {mark}
	}}
"""


def _from(interfaces: Sequence[str], *, other: bool = False) -> str:
    """By which interfaces it comes in, or with `other` by which not."""
    names = ", ".join(f'"{each}"' for each in interfaces)
    return f"iifname {'!= ' if other else ''}{{ {names} }} " if names else ""


def _prerouting(plan: Plan) -> str:
    begins = {Transport.TCP: _BEGINS, Transport.UDP: "meta l4proto udp"}
    transports = dict.fromkeys(each.transport for each in plan.handed_over)
    return f"""\
	chain prerouting {{
		type filter hook prerouting priority mangle; policy accept;
		meta l4proto {{ tcp, udp }} jump divert
{_lines(f"{_from(plan.interfaces)}{begins[each]} jump intercept" for each in transports)}	}}
"""


def _hand_over(plan: Plan) -> str:
    if not plan.handed_over:
        return ""
    return f"""
	chain intercept {{
		{_NOT_FOR_US}
{_lines(_hand_over_rules(plan))}	}}

	# While the gateway does not run, nobody passes by it.
	chain closed {{
		meta l4proto tcp reject with tcp reset
		reject
	}}
"""


def _hand_over_rules(plan: Plan) -> Iterator[str]:
    for each in plan.handed_over:
        family = "ip" if each.version == 4 else "ip6"
        mark = f"meta mark set {plan.numbers.mark:#010x} accept"
        yield f"{each.chosen} tproxy {family} to {_place(each.listen)} {mark}"
        yield f"{each.chosen} goto closed"


def _translate(plan: Plan) -> str:
    if not plan.translated:
        return ""
    return f"""
	chain translate {{
		type nat hook prerouting priority dstnat; policy accept;
		meta mark {plan.numbers.mark:#010x} return
		{_NOT_FOR_US}
{_lines(_translate_rules(plan))}	}}
"""


def _translate_rules(plan: Plan) -> Iterator[str]:
    for each in plan.translated:
        anywhere = each.listen.address.is_unspecified
        family = "ip" if each.version == 4 else "ip6"
        where = f"redirect to {_place(each.listen)}" if anywhere else f"dnat {family} to {_place(each.listen)}"
        yield f"{_from(plan.interfaces)}{each.chosen} {_BEGINS} {where}"


def _place(listen: Endpoint) -> str:
    return f":{listen.port}" if listen.address.is_unspecified else f"{listen}"


def _ports(ports: Iterable[PortRange]) -> str:
    return ", ".join(f"{each.low}" if each.low == each.high else f"{each.low}-{each.high}" for each in ports)


def _lines(rules: Iterable[str]) -> str:
    return "".join(f"\t\t{rule}\n" for rule in rules)


# The routing.


def ip_commands(plan: Plan, verb: str) -> list[list[str]]:
    """The `ip` commands beside the rules; `verb` is `add` or `del`."""
    return [command for version in plan.versions for command in routing(version, plan.numbers, verb)]


def routing(version: int, numbers: Numbers, verb: str) -> tuple[list[str], list[str]]:
    """The two commands of one IP version: what is marked asks our table, and that says: it is for this host."""
    ip, table = ["ip", f"-{version}"], str(numbers.route_table)
    rule = ["rule", verb, "priority", str(PRIORITY), "fwmark", f"{numbers.mark:#010x}", "lookup", table]
    route = ["route", verb, "local", "default", "dev", "lo", "table", table]
    return [*ip, *rule], [*ip, *route]

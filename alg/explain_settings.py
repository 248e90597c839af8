"""What a configuration would do, in words: the lines of `alg check`. Without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from alg import certificates
from alg.core.model import Side, TlsPolicy, Transport
from alg.core.policy import TargetRules
from alg.settings import ClientTls, Route, ServerTls, Settings, Way, idle_of


def settings(settings: Settings) -> Iterator[str]:
    """Yield the lines of `alg check`."""
    routes = settings.routes
    for route in routes:
        yield f"{route}"
        yield from (f"  {line}" for line in _route(route))
    times, limits = settings.times, settings.limits
    if any(_carries_datagrams(route) for route in routes):
        yield (
            f"at most {limits.datagram_flows} flows of datagrams, {limits.datagram_flows_per_client} of one client; "
            "the oldest makes place"
        )
    yield f"connect within {times.connect:g} s, idle for {times.idle:g} s at most, drain within {times.drain:g} s"
    yield (
        f"at most {limits.sessions} sessions, {limits.sessions_per_client} of one client; "
        f"{limits.leases.per_session} leases a session, {limits.leases.per_client} a client, {limits.leases.in_all} in all"
    )


def _carries_datagrams(route: Route) -> bool:
    return route.way is Way.SOCKS or any(plugin.transport is Transport.UDP for plugin in route.plugins)


def _route(route: Route) -> Iterator[str]:
    yield from _way(route)
    if route.way is Way.FIXED:
        yield from _treatment(route)
    for rule in route.rules:
        yield f"port {rule}:"
        yield from (f"  {line}" for line in _treatment(route.treated_by(rule)))
    if route.way is not Way.FIXED:
        yield f"other ports: {_reading(route)}"
    for side in Side:
        realm, rules = route.realms[side], route.targets[side]
        bind = realm.bind or f"the local address of the {side.value}'s leg"
        if side in route.foreign:
            bind = "the address of whom we stand for"
        yield f"{side.value}s: data channels listen at {bind}, ports {realm.ports}"
        if realm.advertise:
            yield f"{side.value}s: are told {realm.advertise}"
        yield f"{side.value}s: may announce {_targets(rules)}"
    yield from _upstreams(route)


_WAYS = {
    Way.FIXED: "",
    Way.TRANSPARENT: "know nothing of us: what they say is intercepted (alg nft)",
    Way.SOCKS: "ask for their connections by SOCKS4, 4a or 5, and for datagrams by SOCKS5",
    Way.CONNECT: "ask for their connections by HTTP CONNECT",
}


def _way(route: Route) -> Iterator[str]:
    if _WAYS[route.way]:
        yield f"clients: {_WAYS[route.way]}"
    if route.users:
        yield f"clients: need the password of one of {len(route.users)} users"
    elif route.way in (Way.SOCKS, Way.CONNECT):
        others = "".join(f", {each}" for each in route.clients)
        yield f"clients: need no password: those whose address is not of the public Internet{others}"
    if route.proxy_senders:
        yield f"clients: must say by the PROXY protocol for whom they come: {', '.join(map(str, route.proxy_senders))}"


def _reading(route: Route) -> str:
    sides = [f"{side.value}s" for side in Side if route.plugin.reads(side)]
    what = f"what {' and '.join(sides)} say" if sides else "nothing"
    return f"plugin {route.plugin.name} reads {what}"


def _treatment(route: Route) -> Iterator[str]:
    """By which plugin, and by what it was told."""
    yield _reading(route)
    if route.plugin.transport is Transport.UDP:
        yield f"datagrams: a flow ends after {idle_of(route):g} s of silence"
    else:
        yield from _client_tls(route.client_tls)
        yield from _server_tls(route)
    if route.config is not None:
        yield f"{route.config}"


def _upstreams(route: Route) -> Iterator[str]:
    if route.proxy_protocol is not None:
        yield f"servers: are told by PROXY protocol {route.proxy_protocol.value} who their client is"
    if route.keep_client_address:
        yield "servers: see the address of their client"
    if route.via is not None:
        yield f"servers: are reached through {route.via}"
    if route.allowed:
        yield f"servers: clients may choose {', '.join(map(str, route.allowed))}"
    elif route.upstream is None:
        yield "servers: clients may choose none; say which, by --allow-upstream"


_CLIENT_POLICIES = {
    TlsPolicy.NEVER: "no TLS",
    TlsPolicy.CLIENT: "TLS if they ask for it",
    TlsPolicy.REQUIRE: "TLS is required",
    TlsPolicy.PASS: "TLS passes untouched",
}
_SERVER_POLICIES = {**_CLIENT_POLICIES, TlsPolicy.CLIENT: "TLS if the client has it"}


def _policy(tls: ClientTls | ServerTls, policies: Mapping[TlsPolicy, str]) -> str:
    return "TLS from the first byte" if tls.implicit else policies[tls.policy]


def _client_tls(tls: ClientTls) -> Iterator[str]:
    yield f"clients: {_policy(tls, _CLIENT_POLICIES)}"
    names = ", ".join(tls.names)
    if tls.mint:
        yield f"clients: see certificates of the local CA for {names or 'the upstream and this host, by their names'}"
    elif tls.certificate is not None:
        facts = certificates.inspect(tls.certificate, tls.key)
        valid = certificates.show_time(facts.not_after)
        yield f"clients: see {tls.certificate} for {names or ', '.join(facts.names)}, valid until {valid}"
    if tls.resumption:
        yield "clients: must resume their TLS session on data channels"


def _server_tls(route: Route) -> Iterator[str]:
    tls = route.server_tls
    yield f"servers: {_policy(tls, _SERVER_POLICIES)}"
    if tls.policy is not TlsPolicy.NEVER:
        yield f"servers: {_verification(tls)}"
        if tls.certificate is not None:
            facts = certificates.inspect(tls.certificate, tls.key)
            valid = certificates.show_time(facts.not_after)
            yield f"servers: are shown {tls.certificate} for {', '.join(facts.names)}, valid until {valid}"


def _verification(tls: ServerTls) -> str:
    pins = f"one of {len(tls.pins)} pinned certificates" if tls.pins else ""
    if not tls.verify:
        return f"show {pins}" if pins else "certificates are NOT verified"
    if tls.pins and tls.ca is None:
        return f"show {pins}"
    name = tls.name or "their own name"
    chain = f"a certificate for {name} by {tls.ca or 'a CA of the system'}"
    return f"show {chain}, and {pins}" if pins else f"show {chain}"


def _targets(rules: TargetRules) -> str:
    others = "".join(f", {network}" for network in rules.networks)
    return f"their own address{others}, ports from {rules.min_port}"

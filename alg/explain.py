"""What a configuration would do, and what a plugin would make of a conversation, in words. Without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from alg import certificates
from alg.conversation import Conversation, Step
from alg.core.model import Side, TlsPolicy, Transport
from alg.core.policy import TargetRules
from alg.player import Player, differences
from alg.plugin_config import plugin_config
from alg.registry import Registry
from alg.settings import ClientTls, Route, ServerTls, Settings, idle_of
from alg.testing import Playbook


def settings(settings: Settings) -> Iterator[str]:
    """Yield the lines of `alg check`."""
    for route in settings.routes:
        yield f"{route}"
        sides = [side for side in Side if route.plugin.reads(side)]
        yield f"  plugin {route.plugin.name} reads what {' and '.join(f'{side.value}s' for side in sides) or 'nobody'} say"
        if route.plugin.transport is Transport.UDP:
            yield f"  datagrams: a flow ends after {idle_of(route):g} s of silence"
        for side in Side:
            realm, rules = route.realms[side], route.targets[side]
            bind = realm.bind or f"the local address of the {side.value}'s leg"
            yield f"  {side.value}s: data channels listen at {bind}, ports {realm.ports}"
            if realm.advertise:
                yield f"  {side.value}s: are told {realm.advertise}"
            yield f"  {side.value}s: may announce {_targets(rules)}"
        if route.plugin.transport is Transport.TCP:
            yield from _client_tls(route.client_tls)
            yield from _server_tls(route)
        if route.config is not None:
            yield f"  {route.config}"
    times, limits = settings.times, settings.limits
    if any(route.plugin.transport is Transport.UDP for route in settings.routes):
        yield (
            f"at most {limits.datagram_flows} flows of datagrams, {limits.datagram_flows_per_client} of one client; "
            "the oldest makes place"
        )
    yield f"connect within {times.connect:g} s, idle for {times.idle:g} s at most, drain within {times.drain:g} s"
    yield (
        f"at most {limits.sessions} sessions, {limits.sessions_per_client} of one client; "
        f"{limits.leases.per_session} leases a session, {limits.leases.per_client} a client, {limits.leases.in_all} in all"
    )


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
    yield f"  clients: {_policy(tls, _CLIENT_POLICIES)}"
    names = ", ".join(tls.names)
    if tls.mint:
        yield f"  clients: see certificates of the local CA for {names or 'the upstream and this host, by their names'}"
    elif tls.certificate is not None:
        facts = certificates.inspect(tls.certificate, tls.key)
        valid = certificates.show_time(facts.not_after)
        yield f"  clients: see {tls.certificate} for {names or ', '.join(facts.names)}, valid until {valid}"
    if tls.resumption:
        yield "  clients: must resume their TLS session on data channels"


def _server_tls(route: Route) -> Iterator[str]:
    tls = route.server_tls
    yield f"  servers: {_policy(tls, _SERVER_POLICIES)}"
    if tls.policy is not TlsPolicy.NEVER:
        yield f"  servers: {_verification(tls)}"
        if tls.certificate is not None:
            facts = certificates.inspect(tls.certificate, tls.key)
            valid = certificates.show_time(facts.not_after)
            yield f"  servers: are shown {tls.certificate} for {', '.join(facts.names)}, valid until {valid}"
    if route.proxy_protocol is not None:
        yield f"  servers: are told by PROXY protocol {route.proxy_protocol.value} who their client is"
    if route.allowed:
        yield f"  servers: clients may choose {', '.join(map(str, route.allowed))}"


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


def conversation(talk: Conversation, registry: Registry) -> Iterator[tuple[str, bool]]:
    """Yield the lines of `alg explain`: what is said, what goes on, what is opened and why.

    With each line comes whether it is what the file expects.
    """
    plugin = registry.find(talk.protocol)
    playbook = Playbook(plugin, plugin_config(plugin, talk.config), **talk.arguments())  # type: ignore[arg-type]
    player = Player(playbook)
    if talk.title:
        yield f"# {talk.title}", True
    records = 0
    for step in talk.steps:
        for line in _said(step):
            yield line, True
        outcome = player.play(step, step.pieces)
        for record in playbook.records[records:]:
            yield f"  {record.reason}: {record.message}", True
        records = len(playbook.records)
        for line in _outcome(outcome):
            yield line, True
        if playbook.closed:
            yield f"  the session ends: {playbook.error or 'all is said'}", True
        if talk.expects:
            for difference in differences(step, outcome):
                yield f"  {talk.path}:{step.number}: {difference}", False
        if playbook.closed:
            return


def _outcome(outcome: Step) -> Iterator[str]:
    for side in (outcome.side.other, outcome.side):
        for line in outcome.came.get(side, ()) or outcome.gets[side].splitlines(keepends=True):
            yield f"  {side.value} {'is answered' if side is outcome.side else 'receives'}: {_show(line)}"
    for stopped in outcome.stops:
        yield f"  stops to listen: {stopped}"


def _said(step: Step) -> Iterator[str]:
    for line in step.said or step.data.splitlines(keepends=True):
        yield f"{step.side.value}: {_show(line)}"
    if step.waits:
        yield f"{step.waits:g} s go by"
    if step.ends:
        yield f"{step.side.value} ends"


def _show(line: bytes) -> str:
    text = line.decode("latin-1")
    text = text.removesuffix("\r\n") if text.endswith("\r\n") else text
    return text.encode("unicode_escape").decode("ascii")

"""From the table of a route, with what the command line says on top of it, to routes."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

from alg import ways
from alg.core.errors import ConfigError
from alg.core.model import Realm, Side, TlsPolicy, Transport
from alg.core.plugin import Plugin
from alg.core.policy import TargetRules
from alg.core.proxy_protocol import ProxyVersion
from alg.overrides import Overrides
from alg.plugin_config import plugin_config
from alg.registry import Registry
from alg.routes import parse_allowed, parse_proxy, parse_routes
from alg.settings import AllowedUpstream, ClientTls, PortRule, Route, ServerTls, Way
from alg.tables import ClientTable, ClientTlsTable, FileTable, RouteTable, ServerTable, ServerTlsTable
from alg.tls_options import client_tls, server_tls


def routes_of(
    table: RouteTable, file: FileTable, overrides: Overrides, registry: Registry, folder: Path
) -> list[Route]:
    """Make the routes of a table; errors begin with the key within the table. Files are named as seen from `folder`."""
    try:
        bare = parse_routes(table.route, registry)
        allowed = tuple(map(parse_allowed, overrides.allow_upstream)) or table.upstreams
    except ConfigError as error:
        raise ConfigError(f"route: {error}") from None
    return [_route(each, allowed, table, file, overrides, registry, folder) for each in bare]


def _route(
    route: Route,
    allowed: tuple[AllowedUpstream, ...],
    table: RouteTable,
    file: FileTable,
    overrides: Overrides,
    registry: Registry,
    folder: Path,
) -> Route:
    """Fill in what stands beside a route's text."""
    if route.upstream is None and not allowed:
        raise ConfigError(
            "upstreams: the client chooses its server here, but none is allowed; list those that are, by --allow-upstream, "
            "e.g. 10.0.0.0/8, or * for the public Internet"
        )
    if route.upstream is not None and allowed:
        raise ConfigError(f"upstreams: {route.upstream} is the only one; write * in its place to let clients choose")
    check_transport(route, table, overrides)
    advertise = {
        Side.CLIENT: overrides.advertise_client or table.client.advertise or file.advertise_client,
        Side.SERVER: overrides.advertise_server or table.server.advertise or file.advertise_server,
    }
    tables: dict[Side, ClientTable | ServerTable] = {Side.CLIENT: table.client, Side.SERVER: table.server}
    ports = overrides.ports, file.ports, Realm().ports
    proxy_protocol = overrides.proxy_protocol or table.server.proxy_protocol
    route = replace(
        route,
        allowed=allowed,
        idle=table.idle,
        proxy_protocol=ProxyVersion(proxy_protocol) if proxy_protocol else None,
        users=ways.parse_users(overrides.proxy_auth) if overrides.proxy_auth else table.users,
        clients=overrides.allow_client or table.clients,
        proxy_senders=overrides.accept_proxy_protocol or table.client.proxy_protocol,
        keep_client_address=overrides.keep_client_address or table.keep_client_address,
        via=parse_proxy(overrides.via) if overrides.via else table.server.via,
        realms={
            side: Realm(each.bind, advertise[side], ports[0] or each.ports or ports[1] or ports[2])
            for side, each in tables.items()
        },
        targets={
            Side.CLIENT: TargetRules(table.client.targets, table.client.min_port),
            Side.SERVER: TargetRules(overrides.targets_server or table.server.targets, table.server.min_port),
        },
    )
    if route.way is Way.FIXED:
        route = _treated(route, table, overrides, folder, _options(route.plugin, table.options, overrides))
    else:
        route = replace(route, client_tls=ClientTls(), server_tls=ServerTls())
    plugins = list(map(ways.parse_plugin, overrides.plugins)) or ways.plugin_pairs(table.plugins)
    route = replace(route, rules=_rules(route, plugins, table, overrides, registry, folder))
    ways.check(route)
    return route


def _treated(
    route: Route, table: RouteTable, overrides: Overrides, folder: Path, options: dict[str, object], *, tls: bool = True
) -> Route:
    """The route with what is said for its plugin; without `tls`, TLS is said for other plugins of the same table."""
    server = table.server.tls if tls else ServerTlsTable()
    return replace(
        route,
        client_tls=client_tls(
            route, table.client.tls if tls else ClientTlsTable(), overrides.tls if tls else None, folder
        ),
        server_tls=server_tls(
            route,
            server,
            policy=overrides.upstream_tls if tls else None,
            ca=overrides.upstream_ca,
            insecure=overrides.upstream_insecure,
            folder=folder,
        )
        if route.plugin.transport is Transport.TCP
        else ServerTls(policy=TlsPolicy.NEVER),
        config=plugin_config(route.plugin, options),
    )


def _rules(
    route: Route,
    plugins: list[tuple[str, str]],
    table: RouteTable,
    overrides: Overrides,
    registry: Registry,
    folder: Path,
) -> tuple[PortRule, ...]:
    """What treats which port, where clients name their destination; `options` holds a table for each plugin there."""
    templates = ways.port_templates(plugins, registry, route)
    names = {template.plugin.name for _, template in templates}
    if route.way is not Way.FIXED and (unknown := sorted(set(table.options) - names)):
        raise ConfigError(f"options.{unknown[0]}: no port of this route has that plugin; `plugins` says which have one")
    rules = []
    for ports, template in templates:
        options = table.options.get(template.plugin.name, {})
        if not isinstance(options, dict):
            raise ConfigError(f"options.{template.plugin.name}: must be a table")
        said = _options(template.plugin, options, overrides)
        rules.append(
            ways.port_rule(ports, _treated(template, table, overrides, folder, said, tls=ways.takes_tls(template)))
        )
    return tuple(rules)


def check_transport(route: Route, table: RouteTable, overrides: Overrides) -> None:
    """Refuse what the route's transport does not have, rather than leave it without effect.

    Raises:
        ConfigError: the message begins with the key.
    """
    name = route.plugin.name
    if route.plugin.transport is Transport.TCP:
        if table.idle is not None:
            raise ConfigError(f"idle: is for routes of datagrams, and {name} is TCP; there it is times.idle")
        return
    said = (overrides.tls, overrides.upstream_tls, overrides.upstream_ca, overrides.upstream_insecure or None)
    if table.client.tls != ClientTlsTable() or table.server.tls != ServerTlsTable() or any(map(_is_said, said)):
        raise ConfigError(f"tls: {name} is UDP, where there is no TLS; take the TLS options out")
    if table.server.proxy_protocol or overrides.proxy_protocol:
        raise ConfigError(f"server.proxy_protocol: {name} is UDP, where servers are told of no client; take it out")


def _is_said(option: object) -> bool:
    return option is not None


def _options(plugin: type[Plugin[object]], table: dict[str, object], overrides: Overrides) -> dict[str, object]:
    """The plugin's table with what the command line says on top of it."""
    said = dict(map(_option, overrides.options))
    profiles = overrides.profiles
    if not profiles:
        return {**table, **said}
    if plugin.config_type is None or "profiles" not in (each.name for each in fields(plugin.config_type)):
        raise ConfigError(f"options: plugin {plugin.name} has no profiles, but {', '.join(profiles)} is asked for")
    return {**table, **said, "profiles": list(profiles)}


def _option(text: str) -> tuple[str, object]:
    """Parse `KEY=VALUE` of the command line."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"options: {text!r} is not KEY=VALUE, e.g. 'allowed_hosts=[\"gw.example\"]'")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()

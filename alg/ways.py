"""From what a person says about the ways in to the values of a route: which plugin treats which port, who may ask, what cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from alg.core.errors import ConfigError
from alg.core.model import PortRange, Side, Transport
from alg.registry import Registry
from alg.settings import ClientTls, PortRule, Route, ServerTls, Way

_PORT_RULE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_plugin(text: str) -> tuple[str, str]:
    """Split `PORT[-PORT]=SCHEME` of the command line.

    Raises:
        ConfigError: it is none.
    """
    ports, equals, scheme = text.partition("=")
    if not equals or not scheme:
        raise ConfigError(f"plugins: {text!r} is not PORT=SCHEME, e.g. 21=ftp or 8000-8010=http")
    return ports, scheme


def parse_users(text: str) -> dict[str, str]:
    """The users of `USER:PASSWORD`, or of a file of such lines, `@FILE`.

    Raises:
        ConfigError: it is neither, or the file cannot be read. No password is shown.
    """
    if not text.startswith("@"):
        return _users([text], "users: --proxy-auth")
    path = Path(text[1:])
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"users: {path}: cannot be read: {error}") from None
    users = _users([line for line in lines if line.strip() and not line.startswith("#")], f"users: {path}")
    if not users:  # without users nobody needs a password, which is hardly what an emptied file means
        raise ConfigError(
            f"users: {path}: there are none, so nobody could come; take the option out if nobody needs a password"
        )
    return users


def _users(lines: Iterable[str], where: str) -> dict[str, str]:
    users = {}
    for number, line in enumerate(lines, 1):
        user, colon, password = line.partition(":")
        # RFC 1929 section 2: one to 255 bytes each.
        if not colon or not (1 <= len(user.encode()) <= 255 and 1 <= len(password.encode()) <= 255):
            raise ConfigError(f"{where}: entry {number} is not USER:PASSWORD, of 1 to 255 bytes each")
        users[user] = password
    return users


def plugin_pairs(plugins: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    """Ports and a scheme, as `parse_plugin` returns them, of a table that may name several schemes for the same ports."""
    return [
        (ports, scheme)
        for ports, schemes in plugins.items()
        for scheme in (schemes if isinstance(schemes, list) else [schemes])
    ]


def port_templates(
    plugins: Iterable[tuple[str, str]], registry: Registry, base: Route
) -> list[tuple[PortRange, Route]]:
    """For each rule its ports and a route like `base` that its plugin treats, in the order in which they were written.

    Raises:
        ConfigError: a port or a scheme is none, or a port has two rules for the same transport.
    """
    found: list[tuple[PortRange, Route]] = []
    for text, scheme in plugins:
        match = _PORT_RULE.fullmatch(text)
        try:
            ports = PortRange(int(match[1]), int(match[2] or match[1])) if match else None
        except ValueError:
            ports = None
        if ports is None:
            raise ConfigError(f"plugins: {text!r} is no port and no range; write e.g. 21=ftp or 8000-8010=http")
        plugin = registry.find(scheme if ":" in scheme else scheme.lower())
        for others, other in found:
            same = plugin.transport is other.plugin.transport
            if same and ports.low <= others.high and others.low <= ports.high:
                raise ConfigError(
                    f"plugins: {text}={scheme} overlaps {others}={other.plugin.name}; "
                    f"each port has one plugin for {plugin.transport.value.upper()}"
                )
        implicit = plugin.tls_scheme is not None and scheme.lower() == plugin.tls_scheme[0]
        tls = ClientTls(implicit=implicit), ServerTls(implicit=implicit)
        found.append((ports, replace(base, plugin=plugin, client_tls=tls[0], server_tls=tls[1])))
    return found


def port_rule(ports: PortRange, route: Route) -> PortRule:
    """The rule that has the connections to some ports treated as that route says."""
    return PortRule(ports, route.plugin, route.config, route.client_tls, route.server_tls)


def takes_tls(route: Route) -> bool:
    """Whether what is said of TLS for the whole route is meant for this plugin: it starts TLS, or its scheme is TLS."""
    return route.plugin.starts_tls or Side.CLIENT in route.implicit_tls


def check(route: Route) -> None:
    """Refuse what does not go together.

    Raises:
        ConfigError: the message begins with the key, and says where it belongs.
    """
    asks = route.way in (Way.SOCKS, Way.CONNECT)
    if route.way is Way.FIXED and route.rules:
        raise ConfigError(
            f"plugins: {route} has the plugin {route.plugin.name}; ports choose one for transparent, socks, connect"
        )
    if route.users and not asks:
        raise ConfigError("users: only clients of socks and connect can say who they are")
    if route.clients and not asks:
        raise ConfigError("clients: only socks and connect routes ask who comes")
    if route.keep_client_address and route.way is not Way.TRANSPARENT:
        raise ConfigError("keep_client_address: only a transparent route can keep it: servers must answer through us")
    if route.via is not None and (route.keep_client_address or route.proxy_protocol is not None):
        raise ConfigError(
            f"server.via: behind {route.via} no server sees its client: take keep_client_address and proxy_protocol out"
        )
    datagrams = [plugin.name for plugin in route.plugins if plugin.transport is Transport.UDP]
    if route.via is not None and datagrams:
        raise ConfigError(
            f"server.via: {datagrams[0]} is UDP, and datagrams cannot go through {route.via}; take one of them out"
        )
    listened = route.rule_for(route.listen.port, Transport.UDP)
    if listened is not None and route.way is Way.TRANSPARENT:
        raise ConfigError(
            f"{route}: datagrams for port {route.listen.port} are intercepted ({listened}), and answered from that port of the "
            "server's address; listen at another port"
        )
    if route.proxy_senders and route.way is Way.TRANSPARENT:
        raise ConfigError(
            "client.proxy_protocol: who comes through a transparent route does not know of us; take it out"
        )

"""The grammar of a route in one string: `SCHEME://UPSTREAM_HOST[:PORT]@[LISTEN_HOST:]LISTEN_PORT`, or `WAY@[LISTEN_HOST:]LISTEN_PORT`.

SCHEME is the name of a plugin, the name that it has with TLS from the first byte (`ftps`), or `module:Class` for one
that is not packaged yet. With `*` as upstream the client chooses, out of those that are allowed; so it does where it comes in by
a WAY of its own: `transparent`, `socks` or `connect`. The same string stands on the command line and in the configuration
file. With LISTEN_PORT 0 the system chooses a free port; the line that says `ready:` names it.
"""

from __future__ import annotations

import contextlib
import re
from ipaddress import ip_network
from urllib.parse import unquote

from alg.core.addresses import parse_address
from alg.core.errors import ConfigError, ProtocolError
from alg.core.model import Endpoint, PortRange
from alg.core.plugin import Plugin
from alg.registry import Registry
from alg.route_ranges import expand
from alg.settings import PUBLIC, AllowedUpstream, ClientTls, Proxy, Route, ServerTls, Upstream, Way

GRAMMAR = "SCHEME://UPSTREAM_HOST[:PORT]@[LISTEN_HOST:]LISTEN_PORT"
WAYS = "transparent|socks|connect@[LISTEN_HOST:]LISTEN_PORT"
EXAMPLE = "ftp://203.0.113.2:21@10.77.1.1:2121"

_HOST = r"(?:\[(?P<{0}6>[^\]]*)\]|(?P<{0}>[^@:\[\]/]+))"
_ROUTE = re.compile(
    r"(?P<scheme>[a-zA-Z][\w.+-]*(?P<attribute>:[a-zA-Z_]\w*)?)://"
    + _HOST.format("upstream")
    + r"(?::(?P<port>[0-9]+))?@(?:"
    + _HOST.format("listen")
    + r":)?(?P<listen_port>[0-9]+)"
)
_WAY = re.compile(r"(?P<way>[a-zA-Z0-9]+)@(?:" + _HOST.format("listen") + r":)?(?P<listen_port>[0-9]+)")
_PROXY = re.compile(
    r"(?P<scheme>[a-z0-9]+)://(?:(?P<user>[^:@/]+):(?P<password>[^@/]*)@)?"
    + _HOST.format("host")
    + r":(?P<port>[0-9]+)/?"
)
_PROXY_SCHEMES = ("socks5", "socks4", "http")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")
_ALLOWED = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+|[0-9A-Fa-f:.]+/[0-9]+))(?::(?P<port>[0-9]+))?"
)
_ANY_IPV4 = "0.0.0.0"
_ANY_UPSTREAM = "*"


def parse_route(text: str, registry: Registry) -> Route:
    """Parse a route; its plugin gets its default configuration.

    Raises:
        ConfigError: the text is no route, or names a plugin, port or address that there is not.
    """
    if way := _WAY.fullmatch(text):
        return _parse_way(way, text, registry)
    match = _ROUTE.fullmatch(text)
    if not match:
        raise ConfigError(f"{text!r} is no route; a route is {GRAMMAR}, e.g. {EXAMPLE}, or {WAYS}")
    plugin = registry.find(match["scheme"] if match["attribute"] else match["scheme"].lower())
    implicit = plugin.tls_scheme is not None and match["scheme"].lower() == plugin.tls_scheme[0]
    return Route(
        plugin=plugin,
        config=plugin.config_type() if plugin.config_type else None,
        listen=_listen(match["listen6"] or match["listen"] or _ANY_IPV4, match["listen_port"], text),
        upstream=_upstream(match, plugin, text, implicit=implicit),
        client_tls=ClientTls(implicit=implicit),
        server_tls=ServerTls(implicit=implicit),
    )


def parse_routes(text: str, registry: Registry) -> list[Route]:
    """As `parse_route`, for a text that may hold lists and ranges (`alg.route_ranges`)."""
    return [parse_route(each, registry) for each in expand(text)]


def _parse_way(match: re.Match[str], text: str, registry: Registry) -> Route:
    """A route whose clients name their destination; what no rule covers is passed on unread."""
    ways = {way.value: way for way in Way if way is not Way.FIXED}
    way = ways.get(match["way"].lower())
    if way is None:
        raise ConfigError(f"{text!r}: there is no way in called {match['way']!r}; there are {', '.join(ways)}")
    listen = _listen(match["listen6"] or match["listen"] or _ANY_IPV4, match["listen_port"], text)
    return Route(registry.find("tcp"), None, listen, None, way=way)


def parse_proxy(text: str) -> Proxy:
    """Parse a proxy that stands before the upstreams: `SCHEME://[USER:PASSWORD@]HOST:PORT`, SCHEME socks5, socks4 or http.

    Raises:
        ConfigError: it is none. A password is not shown.
    """
    match = _PROXY.fullmatch(text)
    shown = re.sub(r"://.*@", "://…@", text)
    if not match or match["scheme"] not in _PROXY_SCHEMES:
        raise ConfigError(
            f"{shown!r} is no proxy; write SCHEME://[USER:PASSWORD@]HOST:PORT, e.g. socks5://10.0.0.1:1080"
        )
    host = _host(match["host6"] or match["host"], shown)
    user, password = (unquote(each) if each else None for each in (match["user"], match["password"]))
    return Proxy(match["scheme"], host, _port(match["port"], shown), user, password)


def _upstream(match: re.Match[str], plugin: type[Plugin[object]], text: str, *, implicit: bool) -> Upstream | None:
    host = match["upstream6"] or match["upstream"]
    if host == _ANY_UPSTREAM:
        if not plugin.chooses_upstream:
            raise ConfigError(f"{text!r}: clients cannot choose their server with {plugin.name}; name the upstream")
        if match["port"]:
            raise ConfigError(f"{text!r}: the client chooses the port too; leave it out behind *")
        return None
    port = _port(match["port"], text) if match["port"] else plugin.default_port
    if implicit and plugin.tls_scheme and not match["port"]:
        port = plugin.tls_scheme[1]
    if port is None:
        raise ConfigError(f"{text!r}: {plugin.name} has no well-known port; write one behind the upstream's host")
    return Upstream(_host(host, text), port)


def parse_allowed(text: str) -> AllowedUpstream:
    """Parse an upstream that clients may choose: `HOST[:PORT]`, `*.DOMAIN[:PORT]`, `ADDRESS[:PORT]` or `NETWORK/BITS`; `*[:PORT]`
    is every one at an address of the public Internet.

    Raises:
        ConfigError: it is none.
    """
    match = _ALLOWED.fullmatch(text)
    if match:
        port = _port(match["port"], text) if match["port"] else None
        host = match["six"] or match["host"]
        if host == PUBLIC:
            return AllowedUpstream(PUBLIC, port)
        with contextlib.suppress(ValueError):
            return AllowedUpstream(ip_network(host), port)
        name = host.removeprefix("*.")
        is_name = _NAME.fullmatch(name) and not re.fullmatch(r"[0-9.]+|0[xX].*", name)
        if is_name and (name == host or "." in name):  # a wildcard for a whole top-level domain covers nothing
            return AllowedUpstream(host.lower().rstrip("."), port)
    raise ConfigError(
        f"{text!r} is no upstream; write HOST[:PORT], *.DOMAIN[:PORT], NETWORK/BITS (e.g. 10.0.0.0/8) or *"
    )


def parse_pin(text: str) -> str:
    """Parse the SHA-256 fingerprint of a certificate, as `openssl x509 -fingerprint -sha256` prints it.

    Raises:
        ConfigError: it is none.
    """
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ConfigError(f"{text[:80]!r} is no SHA-256 fingerprint of 64 hexadecimal digits")
    return digits


def parse_ports(text: str) -> PortRange:
    """Parse `LOW-HIGH`.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if not match:
        raise ValueError(f"{text!r} is no port range; write LOW-HIGH, e.g. 20000-20999")
    return PortRange(int(match[1]), int(match[2]))


def _listen(host: str, port: str, text: str) -> Endpoint:
    try:
        address = parse_address(host)
    except ProtocolError:
        raise ConfigError(
            f"{text!r}: to listen at {host!r}, write it as an address, e.g. {_ANY_IPV4} or [::]"
        ) from None
    return Endpoint(address, _port(port, text, lowest=0))


def _host(host: str, text: str) -> str:
    try:
        return str(parse_address(host))
    except ProtocolError:
        # Digits and dots only: somebody meant an address, and the resolver would read another one out of it.
        if _NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]+|0[xX].*", host):
            return host
        raise ConfigError(f"{text!r}: {host!r} is neither an address nor a host name") from None


def _port(digits: str, text: str, *, lowest: int = 1) -> int:
    port = int(digits[:6])
    if not lowest <= port <= 65535:
        raise ConfigError(f"{text!r}: port {digits[:20]} is outside {lowest} to 65535")
    return port

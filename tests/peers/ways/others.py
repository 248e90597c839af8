"""The gateways that ALG stands beside: Dante, microsocks, tinyproxy and HAProxy, with the same rules where they know any.

They prove the lab: what none of them can do, and why, stands with the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.peers.extras.stage import Daemon
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, PRIVATE_ETC, SERVER, Lab
from tests.peers.processes import run
from tests.peers.servers import FTP_PORT

from .install import program
from .places import (
    ALLOWED,
    CONNECT,
    CONNECT_BARE,
    CONNECT_LOGIN,
    DEEP_ALLOWED,
    HEADER,
    HEADER_FTP,
    PASSWORD,
    SECOND_HTTP_PORT,
    SECOND_SOCKS_PORT,
    SOCKS,
    SOCKS_BARE,
    SOCKS_LOGIN,
    USER,
    VIA_HTTP,
    VIA_SOCKS,
    WEB_PORT,
    Way,
)

Start = Callable[[Lab, Path], Daemon]

DANTE = """\
logoutput: stderr
{internal}
{external}
clientmethod: none
socksmethod: {method}
user.privileged: root
user.unprivileged: nobody
client pass {{
  from: 0/0 to: 0/0
}}
{rules}
"""
# Without `protocol` and `command` a rule is for all of them; a client that binds or associates names no target yet.
DANTE_RULES = """\
socks pass {{
  from: 0/0 to: {target}
  command: connect bind udpassociate
}}
socks pass {{
  from: {target} to: 0/0
  command: bindreply udpreply
}}
"""
DANTE_ANY_ASSOCIATION = """\
socks pass {
  from: 0/0 to: 0.0.0.0/32
  command: udpassociate
}
socks pass {
  from: 0/0 to: 10.77.1.0/24
  command: udpassociate
}
socks pass {
  from: 0/0 to: fd77:1::/64
  command: udpassociate
}
"""
DANTE_VIA = """\
route {{
  from: 0/0 to: {target} via: {host} port = {port}
  proxyprotocol: {protocol}
  protocol: tcp
  command: connect
}}
"""


def _dante(way: Way, rules: str, method: str = "none") -> Start:
    def start(lab: Lab, scratch: Path) -> Daemon:
        text = DANTE.format(
            internal="\n".join(f"internal: {host} port = {port}" for host, port in way.listens),
            external="\n".join(f"external: {host}" for host in GATEWAY_OUTSIDE.values()) + "\nexternal.rotation: route",
            method=method,
            rules=rules,
        )
        file = scratch / f"danted-{way.port}.conf"
        file.write_text(text)
        if method == "username":
            _know_user(lab)
        command = [program("danted"), "-f", str(file), "-p", str(scratch / f"danted-{way.port}.pid")]
        return Daemon("danted", command, way.listens)

    return start


def _know_user(lab: Lab) -> None:
    """Dante's users are those of the system: make one in the gateway's private files."""
    digest = run("openssl", "passwd", "-6", "-salt", "peers", PASSWORD).strip()
    private = PRIVATE_ETC / lab.gateway.name
    (private / "passwd").write_text(f"{Path('/etc/passwd').read_text()}{USER}:x:10022:10022::/nonexistent:/bin/false\n")
    (private / "shadow").write_text(f"{USER}:{digest}:19000:0:99999:7:::\n")


def _microsocks(way: Way, *more: str) -> Start:
    """microsocks listens at one address; this one takes IPv4 as well."""

    def start(lab: Lab, scratch: Path) -> Daemon:
        return Daemon("microsocks", [program("microsocks"), "-i", "::", "-p", str(way.port), *more], way.listens)

    return start


TINYPROXY = """\
Port {port}
{listen}
Timeout 60
MaxClients 100
LogLevel Connect
{more}
"""
# Filtered by the host that the client names, by expressions: the only way that tinyproxy has.
TINYPROXY_ALLOWED = r"""^10\.77\.2\.[0-9]+$
^fd77:2::[0-9a-f]+$
^far[46]$
^nowhere\.example$
"""


def tinyproxy(way: Way, scratch: Path, *more: str, allowed: str | None = None) -> Daemon:
    """tinyproxy at a way's addresses; `allowed` are expressions for the hosts to which it opens tunnels."""
    if allowed is not None:
        rules = scratch / f"tinyproxy-{way.port}.filter"
        rules.write_text(allowed)
        more += (f'Filter "{rules}"', "FilterExtended On", "FilterDefaultDeny Yes")
    listen = "\n".join(f"Listen {host}" for host, _ in way.listens)
    file = scratch / f"tinyproxy-{way.port}.conf"
    file.write_text(TINYPROXY.format(port=way.port, listen=listen, more="\n".join(more)))
    return Daemon("tinyproxy", [program("tinyproxy"), "-d", "-c", str(file)], way.listens)


def _tinyproxy(way: Way, *more: str, allowed: str = TINYPROXY_ALLOWED) -> Start:
    return lambda lab, scratch: tinyproxy(way, scratch, *more, allowed=allowed)


HAPROXY = """\
global
  log stdout format raw local0
defaults
  mode tcp
  log global
  log-format "from %ci"
  option logasap
  timeout connect 5s
  timeout client 20s
  timeout server 20s
"""
HAPROXY_HEADER = """\
listen header
  bind {host}:{port}
  tcp-request connection expect-proxy layer4 if {{ src {trusted} }}
  tcp-request connection reject unless {{ src {trusted} }}
  server s {server}:{target}
"""


def _haproxy(way: Way, target: int) -> Start:
    """HAProxy takes the header of those whom it trusts, and turns the others away."""

    def start(lab: Lab, scratch: Path) -> Daemon:
        trusted = CLIENT[4]
        where = {"host": GATEWAY_INSIDE[4], "port": way.port, "server": SERVER[4], "target": target, "trusted": trusted}
        file = scratch / f"haproxy-{way.port}.conf"
        file.write_text(HAPROXY + HAPROXY_HEADER.format(**where))
        return Daemon("haproxy", [program("haproxy"), "-db", "-f", str(file)], way.listens)

    return start


RULES = "".join(DANTE_RULES.format(target=target) for target in (*ALLOWED.values(), ".far4", ".far6"))
RULES += DANTE_ANY_ASSOCIATION
LOGIN = ("-u", USER, "-P", PASSWORD)


def _via(protocol: str, port: int) -> str:
    where = {"target": "0/0", "host": SERVER[4], "port": port, "protocol": protocol}
    return DANTE_VIA.format(**where) + DANTE_RULES.format(target=DEEP_ALLOWED) + DANTE_RULES.format(target=".deep")


OTHERS: Mapping[str, Mapping[Way, Start]] = {
    "dante": {
        SOCKS: _dante(SOCKS, RULES),
        SOCKS_LOGIN: _dante(SOCKS_LOGIN, RULES, "username"),
        SOCKS_BARE: _dante(SOCKS_BARE, ""),
        VIA_SOCKS: _dante(VIA_SOCKS, _via("socks_v5", SECOND_SOCKS_PORT)),
        VIA_HTTP: _dante(VIA_HTTP, _via("http_v1.0", SECOND_HTTP_PORT)),
    },
    "microsocks": {
        SOCKS: _microsocks(SOCKS),
        SOCKS_LOGIN: _microsocks(SOCKS_LOGIN, *LOGIN),
        SOCKS_BARE: _microsocks(SOCKS_BARE),
    },
    "tinyproxy": {
        CONNECT: _tinyproxy(CONNECT),
        CONNECT_LOGIN: _tinyproxy(CONNECT_LOGIN, f"BasicAuth {USER} {PASSWORD}"),
        CONNECT_BARE: lambda lab, scratch: tinyproxy(CONNECT_BARE, scratch),
    },
    "haproxy": {HEADER: _haproxy(HEADER, WEB_PORT), HEADER_FTP: _haproxy(HEADER_FTP, FTP_PORT)},
}
NO_WAY = {
    "alg": "ALG does not start as an open relay: it wants to be told what is allowed",
    "dante": "Dante is no HTTP proxy and takes no header",
    "microsocks": "microsocks knows SOCKS5 CONNECT only, and no second proxy",
    "tinyproxy": "tinyproxy is an HTTP proxy only",
    "haproxy": "HAProxy is no proxy of these kinds",
    "direct": "without the gateway there is nothing to ask",
}
"""Why a gateway has nothing at all for a way in."""

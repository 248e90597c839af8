"""The gateway under test, started as a user would, and its legs: which of the two sides speaks TLS.

In direct mode there is no gateway, and clients reach the servers by ordinary routes. With `mitm` the plugin is in
mitmproxy, with `mitmdump` that has none. Everything about how the gateway is told what to do is in `orders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import Gateway, Orders, route
from tests.peers.mitmdump import AUTHORITY, CONFIGURATION, web_orders
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER, Lab
from tests.peers.tls.certificates import Certificates

MODES = ("alg", "frames", "direct", "tcp", "mitm", "mitmdump")
MITMPROXY = ("mitm", "mitmdump")
# What each server listens at: in the clear, with TLS.
PORTS = {"websockets": (9001, 9011), "ws": (9002, 9012)}
ROGUE_PORT = 9003
READY = r"\bready: (ws|wss|tcp|tls) "


@dataclass(frozen=True)
class Leg:
    """Which sides speak TLS: the client's, the server's."""

    name: str
    inside: bool
    outside: bool

    @property
    def scheme(self) -> str:
        """How the address begins that clients open."""
        return "wss" if self.inside else "ws"

    def port(self, server: str) -> int:
        """Where that server listens, and the gateway for it."""
        return PORTS[server][self.outside]


# `offload`: TLS ends at the gateway.
LEGS = (Leg("plain", False, False), Leg("secure", True, True), Leg("offload", True, False))


def legs(mode: str) -> tuple[Leg, ...]:
    """The legs that there are in a mode: without a gateway both sides are one."""
    return tuple(leg for leg in LEGS if mode != "direct" or leg.inside == leg.outside)


def orders(mode: str, leg: Leg, ports: Iterable[int], certificates: Certificates, scratch: Path) -> Orders:
    """What the gateway is told. This is the one place to adjust."""
    if mode in MITMPROXY:
        return _mitm_orders(mode, leg, ports, certificates, scratch)
    kind = {"tcp": ("tcp", "tls")}.get(mode, ("ws", "wss"))
    routes = [route(kind[leg.inside], GATEWAY_INSIDE[4], port, SERVER[4], port) for port in ports]
    if mode == "frames":
        arguments = ["--config", str(_configuration(routes, leg, certificates, scratch))]
    else:
        arguments = [*routes, *(("--tls", "mint") if leg.inside else ())]
        if leg.outside:
            arguments += ["--upstream-ca", str(certificates.authority)]
        elif leg.inside:
            arguments += ["--upstream-tls", "never"]
    return Orders(tuple(arguments), len(routes), home=certificates.home, ready=READY)


def _mitm_orders(mode: str, leg: Leg, ports: Iterable[int], certificates: Certificates, scratch: Path) -> Orders:
    """Reverse proxies of mitmproxy's; which of them take TLS from clients is not said, for all do."""
    told = [("https" if leg.outside else "http", port) for port in ports]
    options = [f"ssl_verify_upstream_trusted_ca={certificates.authority}"]
    if mode == "mitmdump":
        return web_orders(told, scratch, *options)
    options += [f"alg_plugins={port}=http" for _, port in told]
    return web_orders(told, scratch, *options, table="[http.options]\n")


def _configuration(routes: Sequence[str], leg: Leg, certificates: Certificates, scratch: Path) -> Path:
    lines: list[str] = []
    for number, text in enumerate(routes):
        lines += [f"[routes.lab{number}]", f'route = "{text}"']
        lines += [f"[routes.lab{number}.options]", 'frames = "read"']
        if leg.inside:
            lines += [f"[routes.lab{number}.client]", 'tls = "mint"']
        if leg.outside:
            lines += [f"[routes.lab{number}.server.tls]", f'ca = "{certificates.authority}"']
        elif leg.inside:
            lines += [f"[routes.lab{number}.server]", 'tls = "never"']
    file = scratch / f"{leg.name}.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def start(lab: Lab, mode: str, leg: Leg, ports: Iterable[int], certificates: Certificates, scratch: Path) -> Gateway:
    """The gateway for one leg; in direct mode nothing runs, and clients are told the server's address."""
    told = orders(mode, leg, ports, certificates, scratch)
    return Gateway(lab, "direct" if mode == "direct" else "alg", told)


def trusted(mode: str, certificates: Certificates, scratch: Path) -> Path:
    """The authority whose certificates clients are shown; mitmproxy makes its own when it starts."""
    if mode in MITMPROXY:
        return scratch / CONFIGURATION / AUTHORITY
    return certificates.authority if mode == "direct" else certificates.trusted

"""The gateway under test, started as a user would, and the two things that it is compared with.

`alg` is the http plugin with a profile, `mitm` the same plugin in mitmproxy; `tcp` relays the same ports and looks at
nothing, and so does `mitmdump`, which is mitmproxy alone; `direct` are ordinary routes. Here alone stands what the
command line of the plugin looks like.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import Orders, route
from tests.peers.install import CHECKOUT
from tests.peers.mitm.newest import newest as newest_program
from tests.peers.mitmdump import AUTHORITY, CONFIGURATION, web_orders
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER
from tests.peers.processes import run

MODES = ("alg", "tcp", "direct", "mitm", "mitmdump")
MITMPROXY = ("mitm", "mitmdump")
NAME = "service.example"
"""A name for where clients begin, which only clients know."""
TARGETS = "10.77.2.0/24"
TLS = ("--tls", "mint", "--upstream-tls", "never")


@dataclass(frozen=True)
class Discovery:
    """A service whose answers name endpoints: where clients begin, and where else the server listens."""

    profile: str
    port: int
    further: tuple[int, ...] = ()
    # Toward the client alone: the servers speak in the clear.
    tls: bool = False

    @property
    def scheme(self) -> str:
        """What the client's URL begins with."""
        return "https" if self.tls else "http"

    @property
    def ports(self) -> tuple[int, ...]:
        """All at which the server listens."""
        return (self.port, *self.further)


def orders(mode: str, discovery: Discovery, home: Path, *, newest: bool) -> Orders:
    """What the gateway is told; its own files go to `home`."""
    if mode in MITMPROXY:
        return mitm_orders(mode, discovery, home, newest=newest)
    return alg_orders(discovery, home) if mode == "alg" else tcp_orders(discovery, home)


def alg_orders(discovery: Discovery, home: Path) -> Orders:
    """One route, at which clients begin; all that they need besides, the plugin must find in the answers."""
    arguments = [route(discovery.scheme, GATEWAY_INSIDE[4], discovery.port, SERVER[4], discovery.port)]
    arguments += ["--profile", discovery.profile, "--targets-server", TARGETS]
    if discovery.profile == "cdp":  # a browser takes no names, and neither do we, unless they are listed
        arguments += ["--option", f'allowed_hosts=["{GATEWAY_INSIDE[4]}", "{NAME}"]']
    return Orders((*arguments, *(TLS if discovery.tls else ())), 1, home, ready=r"\bready: https? ")


def tcp_orders(discovery: Discovery, home: Path) -> Orders:
    """A relay for every port of the server's: even so, the addresses in the answers lead nowhere."""
    scheme = "tls" if discovery.tls else "tcp"
    routes = [route(scheme, GATEWAY_INSIDE[4], port, SERVER[4], port) for port in discovery.ports]
    options = TLS if discovery.tls else ()
    return Orders((*routes, *options), len(routes), home, ready=r"\bready: (tcp|tls) ")


def mitm_orders(mode: str, discovery: Discovery, home: Path, *, newest: bool) -> Orders:
    """With the addon one reverse proxy, at which clients begin; without it one for every port. Both take TLS."""
    addon = mode == "mitm"
    ports = (discovery.port,) if addon else discovery.ports
    run = newest_program(addon).command((), (home.parent,)) if newest else ()
    table = f'[http.options]\nprofiles = ["{discovery.profile}"]\n[http.server]\ntargets = ["{TARGETS}"]\n'
    plugins = (f"alg_plugins={discovery.port}=http",) if addon else ()
    return web_orders([("http", port) for port in ports], home, *plugins, table=table if addon else "", run=run)


def authority(mode: str, home: Path) -> Path:
    """The authority whose certificates clients are shown: the gateway's own, or mitmproxy's."""
    return home / CONFIGURATION / AUTHORITY if mode in MITMPROXY else home.parent / "authority.pem"


def export_authority(home: Path, file: Path) -> None:
    """Have the gateway make its authority, and write down what clients must trust."""
    run("env", f"ALG_HOME={home}", sys.executable, "-m", "alg", "ca", "export", "--out", str(file), cwd=CHECKOUT)

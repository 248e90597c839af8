"""What the gateway may be told to do between two legs, as shapes: rows of the second table.

Three groups: plain, explicit or implicit TLS, PROT C or P, on each leg; IPv4 or IPv6 on each leg; how the data connection
comes about at the server, whatever the client asks for. The legs speak different versions of TLS,
so neither can be taken for the other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import Orders, route
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER

from .certificates import Certificates
from .gateway import control_ports, tls_orders
from .services import Service

PLAIN = Service("plain")
CLIENT_LEGS, SERVER_LEGS = (
    (
        PLAIN,
        Service("explicit", "C", version),
        Service("explicit", "P", version),
        Service("implicit", "P", version),
    )
    for version in ("1.3", "1.2")
)
BOTH_PLAIN = (PLAIN, PLAIN)
BOTH_PRIVATE = (CLIENT_LEGS[2], SERVER_LEGS[2])

POLICIES = ("client", "active", "passive", "PASV", "EPSV", "PORT", "EPRT")
PASSIVE = ("PASV", "EPSV")
ACTIVE = ("PORT", "EPRT")


@dataclass(frozen=True)
class Shape:
    """What stands on both sides of the gateway, and what it is told to do at the server."""

    group: str
    legs: tuple[Service, Service]
    families: tuple[int, int] = (4, 4)
    policy: str = "client"
    client_mode: str = "passive"

    @property
    def label(self) -> str:
        """The row's name."""
        client, server = self.legs
        if self.group == "security":
            return f"client {client.label}, server {server.label}"
        security = "plain" if client == PLAIN else "TLS"
        if self.group == "family":
            return f"client IPv{self.families[0]} {self.client_mode}, server IPv{self.families[1]}, {security}"
        return f"client {self.client_mode}, server_data_mode {self.policy}, {security}"

    @property
    def server_modes(self) -> tuple[str, ...]:
        """The data commands of which the server may see one."""
        if self.policy in PASSIVE or self.policy in ACTIVE:
            return (self.policy,)
        wanted = self.client_mode if self.policy == "client" else self.policy
        return PASSIVE if wanted == "passive" else ACTIVE

    @property
    def server_mode(self) -> str:
        """Whether the server listens or connects."""
        return "passive" if self.server_modes[0] in PASSIVE else "active"

    def orders(self, scratch: Path, certificates: Certificates) -> Orders:
        """What the gateway is told: the legs' security on the command line, the rest in a file."""
        client, server = self.legs
        inside, outside = GATEWAY_INSIDE[self.families[0]], SERVER[self.families[1]]
        port = control_ports("alg")[client.security]
        options = {
            "client_data_tls": "client",
            "server_data_tls": "require" if server.private else "never",
            "server_data_mode": self.policy,
        }
        lines = ["[routes.lab]", f'route = "{route("ftp", inside, port, outside, server.port)}"']
        lines += ["[routes.lab.options]", *(f"{key} = {json.dumps(value)}" for key, value in options.items())]
        for side, service in (("client", client), ("server", server)):
            if service.security == "implicit":
                lines += [f"[routes.lab.{side}]", "tls = { implicit = true }"]
        file = scratch / "gateway.toml"
        file.write_text("\n".join(lines) + "\n")
        upstream = "never" if server == PLAIN else "require"
        return tls_orders(certificates, upstream, "--config", str(file), routes=1)


def shapes() -> Iterator[Shape]:
    """Every row, group by group."""
    for client, server in itertools.product(CLIENT_LEGS, SERVER_LEGS):
        yield Shape("security", (client, server))
    for legs in (BOTH_PLAIN, BOTH_PRIVATE):
        for families in ((4, 4), (4, 6), (6, 4), (6, 6)):
            for mode in ("passive", "active"):
                yield Shape("family", legs, families, client_mode=mode)
    for legs in (BOTH_PLAIN, BOTH_PRIVATE):
        for policy in POLICIES:
            for mode in ("passive", "active"):
                yield Shape("mode", legs, policy=policy, client_mode=mode)

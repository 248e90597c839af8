"""The gateway of the TLS lab: what it is told, and where clients find it or, in direct mode, the server."""

from __future__ import annotations

from pathlib import Path

from tests.peers.gateway import GATEWAY_PORT, Orders, route
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER
from tests.peers.servers import FTP_PORT

from .certificates import Certificates, make_certificates
from .services import IMPLICIT_PORT

CERTIFICATES = "certificates"


def control_ports(mode: str) -> dict[str, int]:
    """Where the client finds each kind of service."""
    plain = FTP_PORT if mode == "direct" else GATEWAY_PORT
    return {"plain": plain, "explicit": plain, "implicit": IMPLICIT_PORT}


def tls_orders(certificates: Certificates, upstream: str, *arguments: str, routes: int) -> Orders:
    """What the gateway is told: it shows its own certificate and verifies the server's."""
    options = (
        *("--tls", "mint" if certificates.minted else str(certificates.gateway)),
        *("--upstream-tls", upstream, "--upstream-ca", str(certificates.authority)),
    )
    return Orders((*arguments, *options), routes, home=certificates.home)


def both_routes(scratch: Path, mint: bool) -> Orders:
    """An explicit and an implicit route on IPv4; the server's side does what the client's does."""
    certificates = make_certificates(scratch / CERTIFICATES, mint)
    routes = (
        route("ftp", GATEWAY_INSIDE[4], GATEWAY_PORT, SERVER[4], FTP_PORT),
        route("ftps", GATEWAY_INSIDE[4], IMPLICIT_PORT, SERVER[4], IMPLICIT_PORT),
    )
    return tls_orders(certificates, "client", *routes, routes=len(routes))

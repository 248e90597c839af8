"""Where everything is in this lab: the ways in with their ports, and addresses and names beside those of the namespaces.

Names that only the gateway knows show that it looked them up; an address that only the server's namespace has shows
that a second proxy, which runs there, made the connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.peers.namespaces import GATEWAY_INSIDE, PRIVATE_ETC, SERVER, Lab, Namespace, bracketed

USER, PASSWORD = "alice", "secret"
"""Who may use the ways in that ask for a password."""

WEB_PORT, SSH_PORT, DNS_PORT, ECHO_PORT, GREETING_PORT, CLOSED_PORT = 80, 22, 53, 7777, 7007, 9
SECOND_SOCKS_PORT, SECOND_HTTP_PORT = 1080, 8888
"""Of the proxies in the server's namespace, behind the gateway."""

FAR = {4: "far4", 6: "far6"}
"""The server, by names that only the gateway knows."""
NOWHERE = "nowhere.example"
"""A name that nobody knows."""
DEEP, DEEP_NAME = "10.77.4.2", "deep"
"""The server, by an address to which only its own namespace has a way, and by the name of that."""
FORBIDDEN = "10.77.3.2"
"""The server, by an address that the gateway can reach and nobody may."""
STRANGER, BALANCER = "10.77.1.3", "10.77.1.4"
"""Further addresses of the client: of nobody in particular, and of a load balancer."""

ALLOWED = {4: "10.77.2.0/24", 6: "fd77:2::/64"}
DEEP_ALLOWED = "10.77.4.0/24"


@dataclass(frozen=True)
class Way:
    """A way in, by its name and the gateway's port; `both` address families or IPv4 alone."""

    name: str
    port: int
    both: bool = False

    def at(self, family: int = 4) -> str:
        """The way as `HOST:PORT`."""
        return f"{bracketed(GATEWAY_INSIDE[family])}:{self.port}"

    @property
    def listens(self) -> tuple[tuple[str, int], ...]:
        """Where the gateway must listen."""
        families = (4, 6) if self.both else (4,)
        return tuple((GATEWAY_INSIDE[family], self.port) for family in families)


SOCKS = Way("socks", 1080, both=True)
SOCKS_LOGIN = Way("socks login", 1082)
CONNECT = Way("connect", 8080, both=True)
CONNECT_LOGIN = Way("connect login", 8081)
HEADER = Way("header", 8088)
HEADER_FTP = Way("header ftp", 2121)
BALANCED_FTP = Way("header ftp, by a balancer", 2123)
SOCKS_BARE = Way("socks without rules", 1085)
CONNECT_BARE = Way("connect without rules", 8085)
VIA_SOCKS = Way("via socks", 1081)
VIA_HTTP = Way("via http", 1083)
WAYS = (
    *(
        SOCKS,
        SOCKS_LOGIN,
        CONNECT,
        CONNECT_LOGIN,
        HEADER,
        HEADER_FTP,
        BALANCED_FTP,
        SOCKS_BARE,
        CONNECT_BARE,
        VIA_SOCKS,
        VIA_HTTP,
    ),
)


def name(namespace: Namespace, *lines: str) -> None:
    """Add lines to the hosts file that a namespace has for itself."""
    hosts = PRIVATE_ETC / namespace.name / "hosts"
    hosts.write_text(hosts.read_text() + "".join(f"{line}\n" for line in lines))


def furnish(lab: Lab) -> None:
    """Give the namespaces the further addresses and names."""
    far = [f"{SERVER[family]} {FAR[family]}" for family in SERVER]
    name(lab.gateway, *far, f"{DEEP} {DEEP_NAME}")
    name(lab.server, f"{DEEP} {DEEP_NAME}")
    if lab.forwarding:
        name(lab.client, *far)
    for address in (STRANGER, BALANCER):
        lab.client.ip("address", "add", f"{address}/24", "dev", "eth0")
    lab.server.ip("address", "add", f"{FORBIDDEN}/24", "dev", "eth0")
    lab.server.ip("address", "add", f"{DEEP}/32", "dev", "lo")
    lab.gateway.ip("route", "add", "10.77.3.0/24", "dev", "outside")

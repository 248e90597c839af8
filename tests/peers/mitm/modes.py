"""mitmproxy's modes: what mitmdump is told, where it listens, and what must be true around it.

Each mode is a process of its own. Where clients aim at in a mode stands here; how a client is made to go through a
proxy stands in `reach.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab, Namespace, bracketed
from tests.peers.processes import run
from tests.peers.servers import FTP_PORT
from tests.peers.tls.services import IMPLICIT_PORT

from .upstream import UPSTREAM_PORT, upstream_proxy

TRANSPARENT_PORT = 8081
# Everything that comes from the client's side ends at mitmdump, whatever address and port it was for.
REDIRECT = f"""\
table inet peers {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    iifname inside meta l4proto tcp redirect to :{TRANSPARENT_PORT}
  }}
}}
"""


@dataclass(frozen=True)
class ProxyMode:
    """One mode: its `--mode` arguments, and for tunnels the proxy's port and the scheme that clients know it by."""

    name: str
    specifications: tuple[str, ...]
    proxy_port: int = 0
    scheme: str = ""

    @property
    def tunnels(self) -> bool:
        """Whether clients ask a proxy for each connection."""
        return bool(self.proxy_port)

    @property
    def hosts(self) -> dict[int, str]:
        """Where clients aim at."""
        return GATEWAY_INSIDE if self.name == "reverse" else SERVER

    def control_port(self, security: str) -> int:
        """The port that goes with it."""
        if security == "implicit":
            return IMPLICIT_PORT
        return GATEWAY_PORT if self.name == "reverse" else FTP_PORT

    @contextmanager
    def surroundings(self, lab: Lab) -> Iterator[None]:
        """What the mode needs beside mitmdump, for as long as it runs."""
        with ExitStack() as stack:
            if self.name == "transparent":
                stack.enter_context(redirected(lab))
            if self.name == "upstream":
                stack.enter_context(upstream_proxy(lab.gateway, GATEWAY_OUTSIDE[4]))
            yield


def reverse() -> tuple[str, ...]:
    """One listener per way to serve: explicit and implicit on IPv4, explicit on IPv6."""
    specifications = [
        # mitmproxy takes the address to listen at without brackets.
        f"reverse:tcp://{bracketed(SERVER[family])}:{FTP_PORT}@{GATEWAY_INSIDE[family]}:{GATEWAY_PORT}"
        for family in GATEWAY_INSIDE
    ]
    implicit = f"reverse:tls://{SERVER[4]}:{IMPLICIT_PORT}@{GATEWAY_INSIDE[4]}:{IMPLICIT_PORT}"
    return (*specifications, implicit)


def tunnelling(name: str, specification: str, port: int, scheme: str) -> ProxyMode:
    """A mode whose clients ask for each connection."""
    return ProxyMode(name, (f"{specification}@{GATEWAY_INSIDE[4]}:{port}",), port, scheme)


MODES = {
    mode.name: mode
    for mode in (
        ProxyMode("reverse", reverse()),
        tunnelling("socks5", "socks5", 1080, "socks5"),
        tunnelling("connect", "regular", 8080, "http"),
        ProxyMode("transparent", (f"transparent@{TRANSPARENT_PORT}",)),
        tunnelling("upstream", f"upstream:http://{GATEWAY_OUTSIDE[4]}:{UPSTREAM_PORT}", 8082, "http"),
    )
}


@contextmanager
def redirected(lab: Lab) -> Iterator[None]:
    """The client's way out is the gateway, which forwards nothing and hands everything to mitmdump."""
    for family, gateway in GATEWAY_INSIDE.items():
        lab.client.ip(f"-{family}", "route", "add", "default", "via", gateway)
    nft(lab.gateway, REDIRECT)
    try:
        yield
    finally:
        nft(lab.gateway, "delete table inet peers\n")
        for family in GATEWAY_INSIDE:
            lab.client.ip(f"-{family}", "route", "delete", "default")


def nft(namespace: Namespace, rules: str) -> None:
    """Give these rules to the kernel."""
    run(*namespace.command("nft", rules))

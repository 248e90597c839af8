"""What stands between the two sides: our gateway, by either way to intercept, or the kernel's NAT, with or without its helper.

Clients have a default route, and no setting at all; servers have no way back but to the gateway's own address.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.peers.gateway import Gateway, Orders
from tests.peers.install import CHECKOUT
from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab, Namespace
from tests.peers.processes import LabError, run
from tests.peers.servers import FTP_PORT

OURS = ("tproxy", "redirect")
KINDS = (*OURS, "kernel", "plain")
PORT = 8080
ROUTES = (f"transparent@0.0.0.0:{PORT}", f"transparent@[::]:{PORT}")
ALLOWED = ("--allow-upstream", "10.77.2.0/24", "--allow-upstream", "fd77:2::/64")
FTP = ("--plugin", f"{FTP_PORT}=ftp")
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}

# Generous to the kernel: what comes from the inside may leave, so that only the way back needs the helper.
NAT = """\
table inet peers {{{helper}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname inside accept
  }}
  chain leave {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname outside masquerade
  }}
}}
"""
HELPER = """
  ct helper ftp4 { type "ftp" protocol tcp; l3proto ip; }
  ct helper ftp6 { type "ftp" protocol tcp; l3proto ip6; }
  chain help {
    type filter hook prerouting priority filter; policy accept;
    meta nfproto ipv4 tcp dport 21 ct helper set "ftp4"
    meta nfproto ipv6 tcp dport 21 ct helper set "ftp6"
  }"""


def orders(home: Path, *more: str) -> Orders:
    """What the gateway of the table is told: one route per IP version, TLS ended by us."""
    tls = ("--tls", "mint", "--upstream-insecure")
    return Orders((*ROUTES, *FTP, *ALLOWED, *tls, *more), len(ROUTES), home=home, ready=r"\bready: transparent ")


class Middle(Gateway):
    """Our gateway, or nothing that runs; clients find the server at its own address."""

    def __init__(self, lab: Lab, kind: str, orders: Orders) -> None:
        super().__init__(lab, "alg" if kind in OURS else "direct", orders)
        self.kind = kind
        self.port = FTP_PORT
        self.hosts = SERVER


@contextmanager
def lab_for(kind: str, server_etc: dict[str, str]) -> Iterator[Lab]:
    """The namespaces. Only the kernel forwards, and then only what it is told."""
    with Lab(kind not in OURS, server_etc) as lab:
        if lab.forwarding:
            for family in FORWARDING:
                lab.server.ip(f"-{family}", "route", "delete", "default")
            settle(lab.gateway)
        else:
            default_route(lab)
        yield lab


def default_route(lab: Lab) -> None:
    """Have the client send by the gateway whatever is not for its own network."""
    for family in FORWARDING:
        lab.client.ip(f"-{family}", "route", "add", "default", "via", GATEWAY_INSIDE[family])
    settle(lab.gateway)


def settle(namespace: Namespace, timeout: float = 10.0) -> None:
    """Return when the kernel has made up its mind about link-local addresses: each adds a route."""
    deadline = time.monotonic() + timeout
    while run("ip", "-n", namespace.name, "-6", "address", "show", "tentative"):
        if time.monotonic() > deadline:
            raise LabError("IPv6 addresses stay tentative")
        time.sleep(0.05)


@contextmanager
def rules(lab: Lab, kind: str, *arguments: str) -> Iterator[None]:
    """What the kernel of the gateway is told; ours by `alg nft`, which must leave no trace."""
    if kind not in OURS:
        nft(lab.gateway, NAT.format(helper=HELPER if kind == "kernel" else ""))
        yield
        nft(lab.gateway, "delete table inet peers\n")
        return
    before = kernel_state(lab.gateway)
    alg_nft(lab, *(arguments or (*ROUTES, *FTP, *ALLOWED, "--interface", "inside")), "--intercept", kind, "--apply")
    try:
        yield
    except BaseException:
        with suppress(LabError):  # what was first counts
            alg_nft(lab, "--remove")
        raise
    alg_nft(lab, "--remove")
    if (after := kernel_state(lab.gateway)) != before:
        raise LabError(f"alg nft --remove left a trace: {after!r} instead of {before!r}")


def alg_nft(lab: Lab, *arguments: str) -> None:
    """Run `alg nft` on the gateway's host."""
    run(*lab.gateway.command(sys.executable, "-m", "alg", "nft", *arguments), cwd=CHECKOUT)


def kernel_state(namespace: Namespace) -> str:
    """All rules and routes of a namespace, as the tools show them."""
    shown = [run(*namespace.command("nft", "list", "ruleset"))]
    for family in ("-4", "-6"):
        shown.append(run(*namespace.command("ip", family, "rule")))
        shown.append(run(*namespace.command("ip", family, "route", "show", "table", "all")))
    return "\n".join(shown)


def nft(namespace: Namespace, text: str) -> None:
    """Give these rules to the kernel."""
    run(*namespace.command("nft", text))


@contextmanager
def way_back(lab: Lab) -> Iterator[None]:
    """Have the servers reach clients by the gateway, as they must where it keeps the clients' addresses."""
    for family, gateway in GATEWAY_OUTSIDE.items():
        lab.server.ip(f"-{family}", "route", "add", "default", "via", gateway)
    try:
        yield
    finally:
        for family in GATEWAY_OUTSIDE:
            lab.server.ip(f"-{family}", "route", "delete", "default")

"""What stands between client and server: ALG as a user would start it, and what it is compared with.

`tproxy` is ALG too, which the client does not know of: it has a default route, and speaks to the server's own address.
`kernel` is masquerade with the connection tracking helper for TFTP, `plain` the same without it, `direct` are ordinary
routes. Here alone stands what the command line of the plugin looks like.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.gateway import Gateway, Orders, route
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER, Lab
from tests.peers.processes import LabError
from tests.peers.transparent.middle import ALLOWED, ROUTES, default_route, rules

from .servers import PORT

ALG, TPROXY, DIRECT, KERNEL, PLAIN = MODES = ("alg", "tproxy", "direct", "kernel", "plain")
TRANSPARENT = (*ROUTES, "--plugin", f"{PORT}=tftp", *ALLOWED)


@dataclass(frozen=True)
class Joint:
    """What joins the two sides, and where the client finds the server. `process` runs in modes `alg` and `tproxy` alone."""

    mode: str
    hosts: dict[int, str]
    process: Gateway | None = None


def orders(home: Path, *more: str) -> Orders:
    """One route for each IP version; the server's port is the scheme's own. `more` goes to the command line."""
    routes = [
        route("tftp", GATEWAY_INSIDE[family], PORT, SERVER[family], PORT).replace(f":{PORT}@", "@")
        for family in GATEWAY_INSIDE
    ]
    return Orders((*routes, *more), len(routes), home, ready=r"\bready: tftp ")


@contextmanager
def joined(lab: Lab, mode: str, home: Path, complaints: list[str]) -> Iterator[Joint]:
    """Join the two sides; what was wrong with the gateway itself goes to `complaints`."""
    if mode == ALG:
        with Gateway(lab, "alg", orders(home)) as process:
            yield Joint(mode, GATEWAY_INSIDE, process)
            complaints.extend(process.finish())
        return
    if mode == TPROXY:
        default_route(lab)
        told = Orders(TRANSPARENT, len(ROUTES), home, ready=r"\bready: transparent ")
        with rules(lab, TPROXY, *TRANSPARENT, "--interface", "inside"), Gateway(lab, "alg", told) as process:
            yield Joint(mode, SERVER, process)
            complaints.extend(process.finish())
        return
    if mode in (KERNEL, PLAIN):
        translate(lab, helper=mode == KERNEL)
    yield Joint(mode, SERVER if mode == DIRECT else GATEWAY_INSIDE)


def translate(lab: Lab, *, helper: bool) -> None:
    """The kernel's NAT: what arrives for port 69 goes to the server, behind the gateway's own address.

    Only what is known to belong together is forwarded. A helper must be assigned before NAT sees the packet.
    """
    lab.gateway.set_kernel("net.ipv4.ip_forward", "1")
    lab.gateway.set_kernel("net.ipv6.conf.all.forwarding", "1")
    objects = assign = ""
    if helper:
        objects = "".join(f'ct helper tftp{v} {{ type "tftp" protocol udp; l3proto {p}; }}\n' for v, p in _FAMILIES)
        assign = "".join(f'meta nfproto {n} udp dport {PORT} ct helper set "tftp{v}"\n' for v, n in _PROTOCOLS)
    rules = f"""\
table inet tftp {{
    {objects}
    chain assign {{
        type filter hook prerouting priority -150;
        {assign}
    }}
    chain inward {{
        type nat hook prerouting priority -100;
        ip daddr {GATEWAY_INSIDE[4]} udp dport {PORT} dnat ip to {SERVER[4]}
        ip6 daddr {GATEWAY_INSIDE[6]} udp dport {PORT} dnat ip6 to {SERVER[6]}
    }}
    chain outward {{
        type nat hook postrouting priority 100;
        oifname "outside" masquerade
    }}
    chain passing {{
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        ct status dnat accept
    }}
}}
"""
    done = subprocess.run(
        lab.gateway.command("nft", "-f", "-"), input=rules, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"nft refused the rules: {done.stderr.strip()}")


_FAMILIES = ((4, "ip"), (6, "ip6"))
_PROTOCOLS = ((4, "ipv4"), (6, "ipv6"))

"""Names and addresses of the extras: two servers with names, seen from the gateway and, as the gateway, from clients."""

from __future__ import annotations

from tests.peers.namespaces import GATEWAY_INSIDE, PREFIX, PRIVATE_ETC, SERVER
from tests.peers.tls.certificates import leaf

from .stage import Bench

FIRST = "first.example"
SECOND = "second.example"
SECOND_ADDRESS = {4: "10.77.2.3", 6: "fd77:2::3"}


def name_everybody(bench: Bench) -> None:
    """Give the server namespace its second address, both servers a name and a certificate for it."""
    lab, folder = bench.lab, bench.certificates.folder
    for family, address in SECOND_ADDRESS.items():
        flags = ["nodad"] if family == 6 else []
        lab.server.ip("address", "add", f"{address}/{PREFIX[family]}", "dev", "eth0", *flags)
    authority, key = bench.certificates.authority, folder / "authority.key"
    leaf(folder / "first.pem", authority, key, FIRST, SERVER.values())
    leaf(folder / "second.pem", authority, key, SECOND, SECOND_ADDRESS.values())
    outside = f"{SERVER[4]} {FIRST}\n{SECOND_ADDRESS[4]} {SECOND}\n"
    inside = f"{GATEWAY_INSIDE[4]} {FIRST} {SECOND} gateway\n"
    for namespace, lines in ((lab.gateway, outside), (lab.client, inside)):
        file = PRIVATE_ETC / namespace.name / "hosts"
        file.write_text(file.read_text() + lines)

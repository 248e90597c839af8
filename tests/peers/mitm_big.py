"""One gibibyte each way through mitmproxy with the gateway's addon: `python -m tests.peers.mitm_big`.

Down and up, passive and active, plain and with PROT P. The hashes must be equal, and mitmdump may not grow with the
file, since only a preview of a data channel is kept. That the measure can see it grow is shown by a smaller file with
`alg_keep_data`, which keeps all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .big import MEMORY_FOLDER, MODES_USED, Client, MemoryWatch, transfer
from .clients import CLIENTS, DIRECTIONS, Invocation, Transfer
from .gateway import Orders
from .mitmdump import AUTHORITY, CONFIGURATION, mitm_orders
from .processes import LabError
from .rig import Rig, built_rig, guarded, summary
from .servers import BLOCK, FTP_PORT, SAMPLE, Server, Site, make_sample, start_vsftpd
from .tls.certificates import Certificates, make_certificates
from .tls.clients import TlsTransfer, lftp
from .tls.services import VSFTPD

GROWTH_LIMIT_MIB = 64.0
KEPT_MIB = 256
VERSION = "1.3"
PLANS = [(mode, direction) for mode in MODES_USED for direction in DIRECTIONS]


def both_ways(certificates: Certificates) -> Server:
    """vsftpd that takes plain sessions and such with TLS; data channels must resume their control channel's session."""
    tls = VSFTPD.format(private="NO", implicit="NO", certificate=certificates.server, port=FTP_PORT)
    tls = tls.replace("force_local_logins_ssl=YES", "force_local_logins_ssl=NO")

    def command(site: Site, scratch: Path) -> list[str]:
        return start_vsftpd(site, scratch, tls)

    return Server("vsftpd", command)


@contextmanager
def mitm_rig(*options: str) -> Iterator[tuple[Rig, dict[str, Client]]]:
    """mitmdump before vsftpd, warmed up, and the two clients: curl plainly, and lftp with PROT P."""

    def orders(scratch: Path) -> Orders:
        certificates = make_certificates(scratch / "certificates")
        return mitm_orders(scratch, f"ssl_verify_upstream_trusted_ca={certificates.authority}", *options)

    with built_rig("alg", BLOCK, MEMORY_FOLDER, orders) as rig:
        authority = rig.scratch / CONFIGURATION / AUTHORITY

        def private(plan: Transfer) -> Invocation:
            # curl 7.88 with an active data channel over TLS hangs without any gateway, too.
            shared = vars(plan)
            return lftp(
                TlsTransfer(**shared, security="explicit", protection="P", version=VERSION, authority=authority)
            )

        clients = {"plain": CLIENTS["curl"], "PROT P": private}
        with both_ways(Certificates(rig.scratch / "certificates")).start(rig.lab, rig.site, rig.scratch):
            rig.lab.check_isolation(FTP_PORT)
            for client in clients.values():
                for plan in PLANS:
                    if problem := transfer(rig, *plan, rig.site.sample_digest, client):
                        raise LabError(f"the small transfer before the big ones failed: {problem}")
            yield rig, clients


def watched(rig: Rig, name: str, client: Client, digest: str) -> tuple[list[str], float]:
    """Every transfer with one client: what went wrong, and by how many MiB mitmdump grew meanwhile."""
    print(f"{name}:")
    assert rig.gateway.pid is not None
    watch = MemoryWatch(rig.gateway.pid)
    watch.start()
    wrong = [problem for plan in PLANS if (problem := transfer(rig, *plan, digest, client))]
    growth = watch.finish()
    print(f"mitmdump's memory: {watch.start_mib:.1f} MiB, grew by {growth:.1f} MiB", flush=True)
    return wrong, growth


def run_big(size: int) -> int:
    """The big file with a preview, then the smaller one with all of it kept."""
    wrong: list[str] = []
    count = 0
    with mitm_rig() as (rig, clients):
        digest = make_sample(rig.site.root / SAMPLE, size)
        for name, client in clients.items():
            failed, growth = watched(rig, name, client, digest)
            wrong += failed
            count += len(PLANS)
            if growth >= GROWTH_LIMIT_MIB:
                rig.complaints.append(f"{name}: mitmdump grew by {growth:.1f} MiB, allowed are {GROWTH_LIMIT_MIB:.0f}")
    complaints = rig.complaints
    with mitm_rig("alg_keep_data=true") as (rig, clients):
        digest = make_sample(rig.site.root / SAMPLE, KEPT_MIB * BLOCK)
        failed, growth = watched(rig, f"plain, {KEPT_MIB} MiB, all of it kept", clients["plain"], digest)
        wrong += failed
        count += len(PLANS)
        if growth < KEPT_MIB:
            rig.complaints.append(f"with all data kept mitmdump grew by {growth:.1f} MiB only: the measure is blind")
    return summary(count - len(wrong), len(wrong), complaints + rig.complaints)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.mitm_big", description=__doc__)
    parser.add_argument("--size", type=int, default=1024 * BLOCK, metavar="BYTES")
    options = parser.parse_args()
    return guarded(lambda: run_big(options.size))


if __name__ == "__main__":
    sys.exit(main())

"""Many TLS handshakes against one relay: `python -m tests.relay.handshakes [COUNT]` prints what they leave behind.

Every session has TLS on both legs, every fourth breaks its handshake off. After the first thousand, memory may grow by
8 MiB at most, and descriptors not at all; else the exit status is 1.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import ssl
import sys

from tests import pki
from tests.conftest import open_descriptors
from tests.relay.rig import Rig
from tests.relay.tls_peer import TlsPeer
from tests.relay.tls_rig import covering

WARM_UP, GROWTH = 1000, 8 << 20


def resident() -> int:
    """Bytes of memory that this process has in use; what libc merely keeps for later does not count."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


async def shake(rig: Rig, number: int, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """One session: two handshakes and a few bytes, or half a handshake."""
    near, far = await rig.pair()
    with far, near:
        if number % 4 == 3:
            await near.send(b"\x16\x03\x01\x02\x00\x01")
            near.reset() if number % 8 == 3 else near.close()
            await far.until_cut()
            return
        outer, inner = await asyncio.gather(TlsPeer.serve(far, server), TlsPeer.cover(near, client))
        with outer, inner:
            await inner.send(b"there")
            assert await outer.exactly(5) == b"there"
            await outer.send(b"back")
            outer.fin()
            assert await inner.rest() == b"back"


async def repeat(count: int, *, told: int = 0) -> list[tuple[int, int]]:
    """So many of them, a relay at rest at the end; memory and descriptors after the warm-up and each thousand."""
    figures = []
    contexts = [(pki.server(version=each), pki.client(version=each)) for each in (pki.V12, pki.V13)]
    async with covering(True, True) as rig:
        rig.notes.keep = 0
        if told:
            print(f"{0:6}  {resident() / 2**20:7.1f} MiB  {len(open_descriptors()):4} descriptors")
        for number in range(1, count + 1):
            await shake(rig, number, *contexts[number // 8 % 2])
            if number % WARM_UP == 0 or number == count:
                async with asyncio.timeout(8):
                    await rig.relay.wait_idle()
                figures.append((resident(), len(open_descriptors())))
                if told:
                    print(f"{number:6}  {figures[-1][0] / 2**20:7.1f} MiB  {figures[-1][1]:4} descriptors", flush=True)
        await rig.at_rest()
    return figures


def main(count: int) -> int:
    """Run them; 1 if there is growth."""
    figures = asyncio.run(repeat(count, told=1))
    (memory, descriptors), (last, left) = figures[0], figures[-1]
    print(
        f"growth after the first {min(count, WARM_UP)}: {(last - memory) / 2**20:+.1f} MiB, {left - descriptors:+} descriptors"
    )
    return 1 if last - memory > GROWTH or left > descriptors else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

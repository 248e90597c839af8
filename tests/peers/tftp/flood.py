"""A flood of datagrams, each from an address and port of its own, through the gateway's UDP route; beside it honest TFTP.

The senders' network is routed to the client's namespace, which has none of their addresses: answers lead nowhere. Printed
are the gateway's resident memory, its descriptors and its log, before, at the worst and after. It fails when an honest
transfer does, when no more than a few datagrams came through, or when memory grew by more than is allowed.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.peers.gateway import Gateway, route
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, SERVER, Lab
from tests.peers.rig import guarded, summary

from .clients import CLIENTS, GET
from .gateway import orders
from .mover import Mover
from .servers import SERVERS, file_name
from .table import built

UDP_PORT = 5000
NETWORK = "10.99.0.0"
ADDRESSES = 65_534
SOURCES, RATE = 100_000, 10_000
SIZE = 3 * 1024 * 1024
SECONDS = 60.0
MOST_MEGABYTES = 200.0
LEAST_SHARE = 0.01
"""Of the flood must have reached the server, or it was none."""


@dataclass(frozen=True)
class State:
    """The gateway's process at one moment: resident megabytes, open descriptors, lines logged."""

    memory: float
    descriptors: int
    lines: int

    def text(self) -> str:
        """The state as the report has it."""
        return f"{self.memory:.1f} MB resident, {self.descriptors} descriptors, {self.lines} lines of log"


def state(gateway: Gateway) -> State:
    """Look at the gateway now."""
    status = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return State(resident / 1024, len(os.listdir(f"/proc/{gateway.pid}/fd")), gateway.log_length())


def datagram(number: int) -> bytes:
    """An IPv4 packet to the UDP route; no two numbers below 2^32 have the same source.

    The kernel fills in the header's checksum, and without one of its own a UDP datagram is valid in IPv4 (RFC 768).
    """
    host = struct.unpack("!I", socket.inet_aton(NETWORK))[0] + 1 + number % ADDRESSES
    port = 1024 + number // ADDRESSES * 7919 % 64_000
    payload = number.to_bytes(8, "big")
    udp = struct.pack("!HHHH", port, UDP_PORT, 8 + len(payload), 0) + payload
    addresses = struct.pack("!I", host) + socket.inet_aton(GATEWAY_INSIDE[4])
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses + udp


def flood(lab: Lab, sources: int, rate: int) -> None:
    """Send one datagram from each source, at this rate."""
    with lab.client.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with sender:
        begin = time.monotonic()
        for number in range(sources):
            sender.sendto(datagram(number), (GATEWAY_INSIDE[4], 0))
            if number % 100 == 0:
                time.sleep(max(begin + number / rate - time.monotonic(), 0.0))


class Echo:
    """The server behind the UDP route: it answers, and knows how many different datagrams came."""

    def __init__(self, lab: Lab) -> None:
        with lab.server.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((SERVER[4], UDP_PORT))
        self._socket.settimeout(0.2)
        self._ended = False
        self.seen: set[bytes] = set()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        while not self._ended:
            try:
                payload, sender = self._socket.recvfrom(2048)
                self.seen.add(payload)
                self._socket.sendto(payload, sender)
            except OSError:  # a time-out, or a port that the gateway has closed meanwhile
                continue


@contextmanager
def watched(gateway: Gateway, worst: list[State]) -> Iterator[None]:
    """Meanwhile, look at the gateway several times a second; the worst of each figure is left in `worst`."""
    ended = threading.Event()

    def watch() -> None:
        seen = [state(gateway)]
        while not ended.wait(0.1) and Path(f"/proc/{gateway.pid}").exists():
            seen.append(state(gateway))
        descriptors, lines = max(each.descriptors for each in seen), max(each.lines for each in seen)
        worst.append(State(max(each.memory for each in seen), descriptors, lines))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run_flood(sources: int, rate: int, most: float) -> int:
    """Flood, print what became of gateway and honest transfers, return the exit status."""
    wrong: list[str] = []
    problems: list[str] = []
    moved = 0
    with built(False, (SIZE,)) as (lab, site, home):
        lab.gateway.ip("route", "add", f"{NETWORK}/16", "via", CLIENT[4])
        told = orders(home, route("udp", GATEWAY_INSIDE[4], UDP_PORT, SERVER[4], UDP_PORT))
        told = replace(told, routes=told.routes + 1, ready=r"\bready: (tftp|udp) ")
        server, client = SERVERS[0], CLIENTS[0]
        with Echo(lab) as echo, server.running(lab, site), Gateway(lab, "alg", told) as gateway:
            mover = Mover(lab, site, home, GATEWAY_INSIDE)
            before, worst = state(gateway), list[State]()
            sender = threading.Thread(target=flood, args=(lab, sources, rate))
            with watched(gateway, worst):
                sender.start()
                while sender.is_alive():
                    outcome = mover.move(client, {}, GET, 4, file_name(SIZE), SECONDS)
                    moved += not outcome.problem
                    problems += [f"{outcome.problem}: {outcome.said}"] if outcome.problem else []
                sender.join()
            print(f"before: {before.text()}\nworst:  {worst[0].text()}\nafter:  {state(gateway).text()}")
            wrong += gateway.finish()
        share = len(echo.seen) / sources
        print(f"of {sources} datagrams, each from a source of its own, {len(echo.seen)} reached the server")
        print(f"{moved} honest transfers of {SIZE} bytes were right, {len(problems)} were not")
        wrong += problems[:3]
        if (grown := worst[0].memory - before.memory) > most:
            wrong.append(f"memory grew by {grown:.0f} MB, and may by {most:.0f}")
        if share < LEAST_SHARE:
            wrong.append("hardly anything came through: this was no flood")
    return summary(moved, 0, wrong)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.tftp.flood", description=__doc__)
    parser.add_argument("--sources", type=int, default=SOURCES, metavar="N", help=f"default: {SOURCES}")
    parser.add_argument("--rate", type=int, default=RATE, metavar="N", help=f"datagrams a second, default: {RATE}")
    most = f"megabytes by which memory may grow, default: {MOST_MEGABYTES:.0f}"
    parser.add_argument("--most", type=float, default=MOST_MEGABYTES, metavar="MB", help=most)
    options = parser.parse_args()
    return guarded(lambda: run_flood(options.sources, options.rate, options.most))


if __name__ == "__main__":
    sys.exit(main())

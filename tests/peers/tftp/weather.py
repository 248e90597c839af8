"""A link that loses, reorders or doubles packets, by a seed: `weather.py LEFT RIGHT CHANCES SEED`, a program of its own.

It stands in a namespace between two devices and hands every frame on, or not. netem would do the same where the kernel
has it, but not twice the same. CHANCES is JSON: the share of frames for each kind of weather.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
# Frames are handed over with their offload header, so that a checksum the sender left open stays open.
LARGEST = 1 << 17
HELD_SECONDS = 0.02
"""How long a reordered frame waits for others to overtake it; below every peer's time-out."""


@dataclass(frozen=True)
class Chances:
    """The share of frames that are lost, held back, sent twice; from 0 to 1."""

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0


class Way:
    """One direction, with a random generator of its own: what passes one way does not change the other."""

    def __init__(self, source: socket.socket, target: socket.socket, chances: Chances, seed: str) -> None:
        self.source = source
        self._target = target
        self._chances = chances
        self._random = random.Random(seed)
        self._held: deque[tuple[float, bytes]] = deque()

    def pass_on(self) -> None:
        """Take what has come, frame by frame."""
        while True:
            try:
                frame = self.source.recv(LARGEST)
            except BlockingIOError:
                return
            # One draw for each kind and frame, whatever the chances are: so seeds can be compared.
            lost, held, doubled = (self._random.random() for _ in range(3))
            if lost < self._chances.loss:
                continue
            if held < self._chances.reorder:
                self._held.append((time.monotonic() + HELD_SECONDS, frame))
                continue
            self._send(frame)
            if doubled < self._chances.duplicate:
                self._send(frame)

    def release(self) -> float | None:
        """Send what was held long enough; the seconds until the next, None if there is none."""
        while self._held and self._held[0][0] <= time.monotonic():
            self._send(self._held.popleft()[1])
        return max(self._held[0][0] - time.monotonic(), 0.0) if self._held else None

    def _send(self, frame: bytes) -> None:
        try:
            self._target.send(frame)
        except OSError as error:
            print(f"a frame of {len(frame)} bytes was lost unasked: {error}", flush=True)


def device(name: str) -> socket.socket:
    """A socket at a device that sees what comes in, and sends out."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    sock.bind((name, ETH_P_ALL))
    sock.setblocking(False)
    return sock


def main() -> None:
    """Hand frames on until a signal ends the program."""
    left, right = device(sys.argv[1]), device(sys.argv[2])
    chances, seed = Chances(**json.loads(sys.argv[3])), sys.argv[4]
    ways = (Way(left, right, chances, f"{seed} there"), Way(right, left, chances, f"{seed} back"))
    with selectors.DefaultSelector() as selector:
        for way in ways:
            selector.register(way.source, selectors.EVENT_READ, way)
        print("weather: ready", flush=True)
        while True:
            due = [wait for way in ways if (wait := way.release()) is not None]
            for key, _ in selector.select(min(due, default=None)):
                assert isinstance(key.data, Way)
                key.data.pass_on()


if __name__ == "__main__":
    main()

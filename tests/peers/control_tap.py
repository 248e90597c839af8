"""What was really said on the control channel, read from the wire in a namespace.

Clients differ in what they print and may fall back from one data mode to another by themselves.
A packet socket sees the same for all of them, and needs no tool beside the interpreter.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .namespaces import Namespace

ETH_P_ALL = 0x0003
# Room for every packet of one transfer, data connection included, until `lines` is asked.
QUEUE_BYTES = 64 * 1024 * 1024
SO_RCVBUFFORCE = 33
TCP = 6
SYN = 0x02
SYN_ACK = 0x12

DATA_VERBS = frozenset(("PASV", "EPSV", "PORT", "EPRT", "LPSV", "LPRT"))
TRANSFER_VERBS = frozenset(("RETR", "STOR", "STOU", "APPE"))


class Tap:
    """Collects the lines to and from one TCP port, seen on the devices of one namespace."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        self._port = port
        self._socket = tap_socket(namespace)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def lines(self) -> list[str]:
        """Everything since the last call: `> command` and `< reply`, in the order of the wire."""
        found: list[str] = []
        seen: set[tuple[int, str, int]] = set()
        partial: dict[tuple[int, str], bytes] = {}
        for segment in segments(self._socket):
            if not segment.payload or self._port not in (segment.source, segment.target):
                continue
            arrow, client_port = (">", segment.source) if segment.target == self._port else ("<", segment.target)
            if (client_port, arrow, segment.sequence) in seen:
                continue
            seen.add((client_port, arrow, segment.sequence))
            *whole, rest = (partial.get((client_port, arrow), b"") + segment.payload).split(b"\n")
            partial[client_port, arrow] = rest
            found += [f"{arrow} {line.decode('latin-1').rstrip()}" for line in whole]
        return found


class Segment(NamedTuple):
    """A TCP packet, as far as the lab looks at it."""

    source: int
    target: int
    sequence: int
    opening: bool
    outgoing: bool
    payload: bytes


def tap_socket(namespace: Namespace) -> socket.socket:
    """A socket that sees every packet on the devices of a namespace."""
    with namespace.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES)
    tap.setblocking(False)
    return tap


def segments(tap: socket.socket) -> Iterator[Segment]:
    """The TCP packets that have come since the last time.

    `opening` is the first of a connection, `outgoing` was sent from this namespace.
    """
    while True:
        try:
            packet, origin = tap.recvfrom(1 << 18)
        except BlockingIOError:
            return
        if packet and packet[0] >> 4 == 4 and packet[9] == TCP:
            tcp = packet[(packet[0] & 15) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        elif packet and packet[0] >> 4 == 6 and packet[6] == TCP:
            tcp = packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
        else:
            continue
        source, target, sequence = struct.unpack_from("!HHI", tcp)
        opening, outgoing = tcp[13] & SYN_ACK == SYN, origin[2] == socket.PACKET_OUTGOING
        yield Segment(source, target, sequence, opening, outgoing, tcp[(tcp[12] >> 4) * 4 :])


def modes_used(lines: list[str]) -> list[str]:
    """For each transfer command, the data command that was in force."""
    used: list[str] = []
    current = "none"
    for line in lines:
        arrow, _, text = line.partition(" ")
        verb = text.split(" ")[0].upper()
        if arrow == ">" and verb in DATA_VERBS:
            current = verb
        elif arrow == ">" and verb in TRANSFER_VERBS:
            used.append(current)
    return used

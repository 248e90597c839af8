"""What was really said on the control channel, read from the wire in a namespace.

Clients differ in what they print and may fall back from one data mode to another by themselves.
A packet socket sees the same for all of them, and needs no tool beside the interpreter.
"""

from __future__ import annotations

import socket
import struct
from typing import Literal

from .namespaces import Namespace

ETH_P_ALL = 0x0003
# Room for every packet of one transfer, data connection included, until `lines` is asked.
QUEUE_BYTES = 64 * 1024 * 1024
SO_RCVBUFFORCE = 33
TCP = 6

DATA_VERBS = frozenset(("PASV", "EPSV", "PORT", "EPRT", "LPSV", "LPRT"))
TRANSFER_VERBS = frozenset(("RETR", "STOR", "STOU", "APPE"))


class Tap:
    """Collects the lines to and from one TCP port, seen on the devices of one namespace."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        self._port = port
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def lines(self) -> list[str]:
        """Everything since the last call: `> command` and `< reply`, in the order of the wire."""
        found: list[str] = []
        seen: set[tuple[int, str, int]] = set()
        partial: dict[tuple[int, str], bytes] = {}
        while True:
            try:
                packet = self._socket.recv(1 << 18)
            except BlockingIOError:
                break
            segment = parse_segment(packet, self._port)
            if segment is None or (segment[0], segment[1], segment[2]) in seen:
                continue
            client_port, arrow, sequence, payload = segment
            seen.add((client_port, arrow, sequence))
            *whole, rest = (partial.get((client_port, arrow), b"") + payload).split(b"\n")
            partial[client_port, arrow] = rest
            found += [f"{arrow} {line.decode('latin-1').rstrip()}" for line in whole]
        return found


def parse_segment(packet: bytes, port: int) -> tuple[int, Literal[">", "<"], int, bytes] | None:
    """(client's port, direction, sequence number, payload) of a TCP packet of `port`, or None."""
    if not packet:
        return None
    if packet[0] >> 4 == 4 and packet[9] == TCP:
        end = struct.unpack_from("!H", packet, 2)[0]
        tcp = packet[(packet[0] & 15) * 4 : end]
    elif packet[0] >> 4 == 6 and packet[6] == TCP:
        tcp = packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
    else:
        return None
    source, target, sequence = struct.unpack_from("!HHI", tcp)
    payload = tcp[(tcp[12] >> 4) * 4 :]
    if not payload or port not in (source, target):
        return None
    if target == port:
        return source, ">", sequence, payload
    return target, "<", sequence, payload


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

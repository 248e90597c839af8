"""TFTP as seen on the wire in a namespace: what was asked, agreed and refused, and how many packets passed.

Blocks and their acknowledgements are counted by the device and otherwise left alone.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from tests.peers.control_tap import tap_socket
from tests.peers.namespaces import Namespace
from tests.peers.processes import run

UDP = 17
ERROR, OACK = 5, 6
OPCODES = {1: "RRQ", 2: "WRQ", ERROR: "ERROR", OACK: "OACK"}


@dataclass(frozen=True)
class Message:
    """A request, an option acknowledgement or an error; `words` are its strings, for an error after the code."""

    kind: str
    words: tuple[str, ...]
    code: int = 0

    def line(self) -> str:
        """The message for a failure's report."""
        return f"{self.kind} {self.code or ''} {' '.join(self.words)}"


class Tap:
    """Collects the messages that are seen on the devices of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._socket = tap_socket(namespace)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def messages(self) -> list[Message]:
        """Everything since the last call, in the order of the wire."""
        found: list[Message] = []
        while True:
            try:
                packet = self._socket.recv(2048)
            except BlockingIOError:
                return found
            message = parse(datagram(packet))
            if message is not None:
                found.append(message)


def datagram(packet: bytes) -> bytes:
    """The payload of a UDP packet, as far as it is in its first fragment; nothing of any other packet."""
    if len(packet) >= 28 and packet[0] >> 4 == 4 and packet[9] == UDP:
        first = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF == 0
        return packet[(packet[0] & 15) * 4 + 8 :] if first else b""
    if len(packet) >= 48 and packet[0] >> 4 == 6 and packet[6] == UDP:
        return packet[48:]
    return b""


def parse(payload: bytes) -> Message | None:
    """The message in a payload; None for blocks, acknowledgements and what is no TFTP."""
    if len(payload) < 4:
        return None
    kind = OPCODES.get(struct.unpack_from("!H", payload)[0])
    if kind is None:
        return None
    code = struct.unpack_from("!H", payload, 2)[0] if kind == "ERROR" else 0
    words = payload[4 if kind == "ERROR" else 2 :].rstrip(b"\0").split(b"\0")
    return Message(kind, tuple(word.decode("latin-1") for word in words), code)


def packets(namespace: Namespace, device: str = "eth0") -> int:
    """How many packets a device has sent and received so far; each fragment is one."""
    (found,) = json.loads(run("ip", "-n", namespace.name, "-s", "-j", "link", "show", device))
    return int(found["stats64"]["rx"]["packets"]) + int(found["stats64"]["tx"]["packets"])

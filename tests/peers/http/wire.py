"""What the client's side saw of HTTP: request lines, statuses, and every line that holds an address.

TLS shows nothing here. Lines are cut, for a person reads them.
"""

from __future__ import annotations

import re
import socket

from tests.peers.control_tap import segments, tap_socket
from tests.peers.namespaces import Namespace

WIDTH = 400
REQUEST = re.compile(r"^(GET|HEAD|POST|PUT|DELETE|OPTIONS) \S+ (HTTP|RTSP)/")
TELLING = re.compile(
    r"^(HTTP|RTSP)/1\.\d \d|^(host|location|expect|upgrade): |10\.77\.|://|/localhost|es-node-", re.IGNORECASE
)
BINARY = re.compile(r"[^\x20-\x7e\t]")


class HttpTap:
    """Collects the payload of all TCP connections, seen on the devices of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._socket: socket.socket = tap_socket(namespace)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def lines(self) -> list[str]:
        """Everything telling since the last call, by connections in the order in which they began to speak."""
        said: dict[tuple[int, int], list[tuple[bool, bytes]]] = {}
        seen: set[tuple[int, int, int]] = set()
        for segment in segments(self._socket):
            if not segment.payload or (segment.source, segment.target, segment.sequence) in seen:
                continue
            seen.add((segment.source, segment.target, segment.sequence))
            ports = (segment.source, segment.target) if segment.outgoing else (segment.target, segment.source)
            turns = said.setdefault(ports, [])
            if turns and turns[-1][0] == segment.outgoing:
                turns[-1] = (segment.outgoing, turns[-1][1] + segment.payload)
            else:
                turns.append((segment.outgoing, segment.payload))
        return [line for ports, turns in said.items() for line in told(ports[1], turns)]


def told(port: int, turns: list[tuple[bool, bytes]]) -> list[str]:
    """The telling lines of one connection."""
    found: list[str] = []
    for outgoing, payload in turns:
        for line in payload.decode("latin-1").splitlines():
            wanted = REQUEST if outgoing else TELLING
            if (wanted.search(line) or TELLING.search(line)) and not BINARY.search(line[:WIDTH]):
                found.append(f"{port} {'>' if outgoing else '<'} {line.strip()[:WIDTH]}")
    return found

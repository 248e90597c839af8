"""What the wire shows of TLS: which connections used it, in which version, and who opened them.

The control channel cannot be read any more, but the handshake's ServerHello is in the clear, and the
first packet of a connection tells who listens: the server in passive mode, the client in active mode.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.peers.control_tap import segments, tap_socket
from tests.peers.namespaces import Namespace

# More than a greeting, the features and a ServerHello take.
HEAD_BYTES = 8192
HANDSHAKE_RECORD = 0x16
SERVER_HELLO = 2
SUPPORTED_VERSIONS = 43
VERSIONS = {0x0303: "1.2", 0x0304: "1.3"}
ACCEPTED = re.compile(rb"^234[ -][^\n]*\n", re.MULTILINE)

Ends = frozenset[int]
# What a tunnel through a proxy began with, from the heads of client and proxy: where it leads, and how much to cut off.
Unwrap = Callable[[bytes, bytes], tuple[int, int, int] | None]


@dataclass
class Connection:
    """One TCP connection: whether it was opened from this side, and how it began in each direction."""

    opened_here: bool
    heads: dict[int, bytearray] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, source: int, sequence: int, payload: bytes) -> None:
        """Keep the beginning of what one side sends; a packet that came again counts once."""
        head = self.heads.setdefault(source, bytearray())
        if len(head) < HEAD_BYTES and (source, sequence) not in self.seen:
            self.seen.add((source, sequence))
            head += payload[:HEAD_BYTES]

    @property
    def security(self) -> str:
        """The TLS version, "plain", or "nothing" if no byte flowed."""
        for head in self.heads.values():
            accepted = ACCEPTED.search(head)
            if version := hello_version(bytes(head[accepted.end() :] if accepted else head)):
                return version
        return "plain" if any(self.heads.values()) else "nothing"

    def leave_tunnel(self, client_port: int, proxy_port: int, unwrap: Unwrap) -> int:
        """Forget what client and proxy said to each other first; return the port that the tunnel leads to."""
        client, server = (self.heads.get(port, bytearray()) for port in (client_port, proxy_port))
        if not (tunnel := unwrap(bytes(client), bytes(server))):
            return proxy_port
        target, client_bytes, server_bytes = tunnel
        del client[:client_bytes], server[:server_bytes]
        return target


@dataclass(frozen=True)
class View:
    """What one side of the lab saw: the security of the control channel and of each data channel.

    Security is "plain" or the TLS version; a data channel also has its opener, "client" or "server".
    """

    control: list[str]
    data: list[tuple[str, str]]

    def __str__(self) -> str:
        data = ", ".join(f"{security} opened by the {opener}" for security, opener in self.data)
        return f"control {', '.join(self.control) or 'none'}; data {data or 'none'}"


class TlsTap:
    """Watches every connection in the namespace of the client or of the server; looks into tunnels if it is told how."""

    def __init__(
        self,
        namespace: Namespace,
        control_ports: frozenset[int],
        server_side: bool,
        proxy_port: int = 0,
        unwrap: Unwrap | None = None,
    ) -> None:
        self._control_ports = control_ports
        self._server_side = server_side
        self._proxy_port = proxy_port
        self._unwrap = unwrap
        self._socket = tap_socket(namespace)

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()

    def view(self) -> View:
        """Everything since the last call."""
        connections: dict[Ends, Connection] = {}
        for segment in segments(self._socket):
            ends = frozenset((segment.source, segment.target))
            if segment.opening:
                connections[ends] = Connection(segment.outgoing)
            elif segment.payload and ends in connections:
                connections[ends].add(segment.source, segment.sequence, segment.payload)
        control: list[str] = []
        data: list[tuple[str, str]] = []
        for ends, each in connections.items():
            if self._ports(ends, each) & self._control_ports:
                control.append(each.security)
            else:
                data.append((each.security, "client" if each.opened_here != self._server_side else "server"))
        return View(control, data)

    def _ports(self, ends: Ends, connection: Connection) -> Ends:
        if self._unwrap is None or self._proxy_port not in ends:
            return ends
        (client_port,) = ends - {self._proxy_port}
        return frozenset((connection.leave_tunnel(client_port, self._proxy_port, self._unwrap),))


def hello_version(head: bytes) -> str | None:
    """The version that a ServerHello at the beginning of these bytes settles on; None without one."""
    if len(head) < 48 or head[0] != HANDSHAKE_RECORD or head[5] != SERVER_HELLO:
        return None
    version = struct.unpack_from("!H", head, 9)[0]
    place = 44 + head[43] + 3
    end = min(len(head), 9 + int.from_bytes(head[6:9], "big"))
    place += 2
    while place + 4 <= end:
        kind, length = struct.unpack_from("!HH", head, place)
        if kind == SUPPORTED_VERSIONS:
            version = struct.unpack_from("!H", head, place + 4)[0]
        place += 4 + length
    return VERSIONS.get(version, f"{version:#06x}")

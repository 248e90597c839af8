"""`LeasePort`: one port of a lease over UDP, and `RelatedDatagrams`: what one sender says through it, and what is said back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alg.core.errors import AlgError
from alg.core.model import Endpoint, Side
from alg.dynamic_ports import DynamicPort
from alg.relay import datagram_sockets as datagrams
from alg.relay.server_socket import ServerSocket
from alg.relay.sockets import endpoint_of

if TYPE_CHECKING:
    from alg.relay.datagram_lease import DatagramLease


class LeasePort:
    """One port of a lease: who comes there, and where that leads."""

    __slots__ = ("_lease", "_offset", "came", "flows", "port")

    def __init__(self, lease: DatagramLease, port: DynamicPort, offset: int) -> None:
        self._lease = lease
        self._offset = offset
        self.port = port
        self.flows: dict[datagrams.SocketAddress, RelatedDatagrams] = {}
        self.came = 0
        lease.services.watcher.add_reader(port.sock.fileno(), self._readable)

    def _readable(self) -> None:
        for data, sender, _ in datagrams.received(self.port.sock):
            flow = self.flows.get(sender) or self._begin(sender)
            if flow is not None:
                flow.from_origin(data)

    def _begin(self, sender: datagrams.SocketAddress) -> RelatedDatagrams | None:
        lease, peer = self._lease, endpoint_of(sender)
        if not lease.admit(peer, self):
            return None
        target = Endpoint(lease.target.address, lease.target.port + self._offset)
        try:
            lease.services.gate.judge_dial(target)
            flow = RelatedDatagrams(lease, self, sender, target, lease.way_out(self._offset))
        except (AlgError, OSError) as error:
            lease.not_begun()
            lease.record("connect_failed", f"{peer} -> {target}: {error}")
            return None
        self.came += 1
        self.flows[sender] = flow
        lease.record("flow_open", flow.name)
        return flow

    def send(self, data: bytes | memoryview, to: datagrams.SocketAddress) -> None:
        """Say this from here; it may get lost."""
        try:
            self.port.sock.sendto(data, to)
        except OSError:
            return

    def close(self) -> None:
        """End all of it; the port goes back to its pool."""
        services = self._lease.services
        for flow in self.flows.values():
            flow.close()
        services.watcher.forget(self.port.sock.fileno())
        self.port.sock.close()
        self.port.give_back()
        services.budget.give_descriptor()


class RelatedDatagrams:
    """What one sender says through a port, and what is said back."""

    __slots__ = ("_lease", "_out", "_port", "_sender", "_target", "began", "dialled", "name", "said")

    def __init__(
        self,
        lease: DatagramLease,
        port: LeasePort,
        sender: datagrams.SocketAddress,
        target: Endpoint,
        out: LeasePort | None,
    ) -> None:
        """`out` is where it leaves, where a pair says so; else it takes a socket of its own.

        Raises:
            BindError: no descriptor is left.
            OSError: there is no way to the target.
        """
        self._lease = lease
        self._port = port
        self._sender = sender
        self._target = str(target.address), target.port
        self._out = out
        self.began = lease.services.loop.time()
        self.said = dict.fromkeys(Side, 0)
        self.name = f"{endpoint_of(sender)} -> {port.port.local} -> {target}"
        self.dialled: ServerSocket | None = None
        if out is None:
            lease.services.budget.take_descriptor()
            try:
                self.dialled = lease.speak_to(target, self)
            except OSError:
                lease.services.budget.give_descriptor()
                raise

    def from_origin(self, data: memoryview) -> None:
        """Who came said this."""
        self._count(self._lease.origin, data)
        if self._out is not None:
            self._out.send(data, self._target)
        elif self.dialled is not None:
            self.dialled.send(data)

    def from_server(self, data: memoryview) -> None:
        """The target said this, to the port from which it was spoken to."""
        self._count(self._lease.origin.other, data)
        self._port.send(data, self._sender)

    def _count(self, side: Side, data: memoryview) -> None:
        self.said[side] += len(data)
        self._lease.traffic += 1 + len(data)

    def from_stranger(self, data: bytes, peer: Endpoint) -> bytes:
        """The kernel keeps them out."""
        raise AssertionError(f"{len(data)} bytes of {peer} came through a connected socket")

    def server_unreachable(self, error: str) -> None:
        """Nobody listens there, yet or any more: over UDP that means little."""

    def lost(self) -> None:
        """It may get lost."""

    def close(self) -> None:
        """It is over."""
        if self.dialled is not None:
            self.dialled.close()
            self._lease.services.budget.give_descriptor()
        self._lease.flow_ended(self)

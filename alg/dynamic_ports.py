"""`DynamicPorts`: how both hosts come by a port for a dynamic listener, and by what is told of it. What its socket is like,
and who comes to it, is the host's business.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable, Sequence

from alg.core.addresses import Address
from alg.core.errors import BindError
from alg.core.model import Endpoint, PortRange, Realm
from alg.core.policy import Gate
from alg.core.ports import PortPool

_ATTEMPTS = 16  # ports that others hold are skipped so often

Listen = Callable[[Endpoint], socket.socket]
"""Listens at an endpoint, exclusively; raises OSError."""


class DynamicPort:
    """A port with the socket that listens there, until it is given back. To the gate it is ours, where its address is."""

    __slots__ = ("_gate", "_pool", "advertised", "local", "sock")

    def __init__(
        self, pool: PortPool | None, gate: Gate | None, sock: socket.socket, local: Endpoint, told: Address
    ) -> None:
        """`pool` is where its port came from, if it was not named; without `gate` its address is another host's."""
        self._pool = pool
        self._gate = gate
        self.sock = sock
        self.local = local
        self.advertised = Endpoint(told, local.port)
        if gate is not None:
            gate.add_socket(local)

    def give_back(self) -> None:
        """Nothing listens there any more."""
        if self._gate is not None:
            self._gate.remove_socket(self.local)
        if self._pool is not None:
            self._pool.give_back(self.local.port)


class DynamicPorts:
    """The pools of one host: one for each range at each local address."""

    __slots__ = ("_gate", "_pools")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._pools: dict[tuple[Address | None, PortRange], PortPool] = {}

    def pool(self, address: Address | None, ports: PortRange) -> PortPool:
        """The pool of a range at one local address; None: at those of other hosts, all together."""
        key = (address, ports)
        if key not in self._pools:
            self._pools[key] = PortPool(ports, secrets.randbelow)
        return self._pools[key]

    def open(self, realm: Realm, local: Address, listen: Listen) -> DynamicPort:
        """Listen in a realm; `local` is our address on the leg that faces it.

        Raises:
            BindError: no port is free.
        """
        address = _of_family(local, realm.bind)
        pool = self.pool(address, realm.ports)
        sock, endpoint = _bind(pool, address, listen)
        return DynamicPort(pool, self._gate, sock, endpoint, _told(realm, address, local))

    def open_foreign(self, realm: Realm, at: Endpoint | Address, listen: Listen) -> DynamicPort:
        """Listen at another host's address: at that very endpoint, or at a port of the realm's.

        What an operator has us bind or advertise is meant for our own addresses, and does not count here.

        Raises:
            BindError: it is taken, or we may not.
        """
        if isinstance(at, Endpoint):
            try:
                return DynamicPort(None, None, listen(at), at, at.address)
            except OSError as error:
                raise BindError(f"cannot listen at {at}: {error.strerror}", reason="no_port") from None
        pool = self.pool(None, realm.ports)
        sock, endpoint = _bind(pool, at, listen)
        return DynamicPort(pool, None, sock, endpoint, at)

    def open_foreign_span(self, first: Endpoint, listen: Listen, span: int) -> list[DynamicPort]:
        """Listen at another host's endpoint, and at those behind it with consecutive ports.

        Raises:
            BindError: one is taken, or we may not.
        """
        endpoints = [Endpoint(first.address, first.port + offset) for offset in range(span)]
        socks = _listen_all(endpoints, listen)
        if socks is None:
            raise BindError(f"cannot listen at {first} and the {span - 1} ports behind it", reason="no_port")
        return [DynamicPort(None, None, *each, first.address) for each in zip(socks, endpoints, strict=True)]

    def open_span(self, realm: Realm, local: Address, listen: Listen, span: int) -> list[DynamicPort]:
        """The same with consecutive ports, of which the first is even.

        Raises:
            BindError: there are none.
        """
        if span == 1:
            return [self.open(realm, local, listen)]
        address = _of_family(local, realm.bind)
        told = _told(realm, address, local)
        pool = self.pool(address, realm.ports)
        for _ in range(_ATTEMPTS):
            first = pool.take_span(span)
            if first is None:
                break
            endpoints = [Endpoint(address, first + offset) for offset in range(span)]
            if (socks := _listen_all(endpoints, listen)) is not None:
                return [DynamicPort(pool, self._gate, *each, told) for each in zip(socks, endpoints, strict=True)]
            for endpoint in endpoints:
                pool.give_back(endpoint.port)
        raise BindError(f"no {span} consecutive ports out of {pool.ports} are free", reason="no_port")

    @property
    def taken(self) -> int:
        """How many ports of all pools are taken."""
        return sum(pool.taken for pool in self._pools.values())


def _told(realm: Realm, address: Address, local: Address) -> Address:
    """What is told of a listener at that address, where our end of the leg is `local`."""
    return _of_family(local if address.is_unspecified else address, realm.advertise)


def _of_family(address: Address, configured: Address | None) -> Address:
    """The configured address where it is of the family that is needed; a route may serve both."""
    return configured if configured is not None and configured.version == address.version else address


def _listen_all(endpoints: Sequence[Endpoint], listen: Listen) -> list[socket.socket] | None:
    """Listen at all of them, or at none."""
    socks: list[socket.socket] = []
    try:
        for endpoint in endpoints:
            socks.append(listen(endpoint))  # noqa: PERF401 - what was opened before one fails has to be closed
    except OSError:
        for sock in socks:
            sock.close()
        return None
    return socks


def _bind(pool: PortPool, address: Address, listen: Listen) -> tuple[socket.socket, Endpoint]:
    for _ in range(_ATTEMPTS):
        port = pool.take()
        if port is None:
            raise BindError(f"all ports {pool.ports} are in use", reason="no_port")
        endpoint = Endpoint(address, port)
        try:
            return listen(endpoint), endpoint
        except OSError as error:
            pool.give_back(port)
            if error.errno != errno.EADDRINUSE:
                raise BindError(f"cannot listen at {endpoint}: {error.strerror}", reason="no_port") from None
    raise BindError(f"{_ATTEMPTS} ports out of {pool.ports} were taken by others", reason="no_port")

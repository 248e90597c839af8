"""`DynamicPorts`: how both hosts come by a port for a dynamic listener, and by what is told of it. What its socket is like,
and who comes to it, is the host's business.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable

from alg.core.addresses import Address
from alg.core.errors import BindError
from alg.core.model import Endpoint, PortRange, Realm
from alg.core.policy import Gate
from alg.core.ports import PortPool

_ATTEMPTS = 16  # ports that others hold are skipped so often

Listen = Callable[[Endpoint], socket.socket]
"""Listens at an endpoint, exclusively; raises OSError."""


class DynamicPort:
    """A port out of a realm's pool with the socket that listens there, until it is given back. To the gate it is ours."""

    __slots__ = ("_gate", "_pool", "advertised", "local", "sock")

    def __init__(self, pool: PortPool, gate: Gate, sock: socket.socket, local: Endpoint, told: Address) -> None:
        self._pool = pool
        self._gate = gate
        self.sock = sock
        self.local = local
        self.advertised = Endpoint(told, local.port)
        gate.add_socket(local)

    def give_back(self) -> None:
        """Nothing listens there any more."""
        self._gate.remove_socket(self.local)
        self._pool.give_back(self.local.port)


class DynamicPorts:
    """The pools of one host: one for each range at each local address."""

    __slots__ = ("_gate", "_pools")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._pools: dict[tuple[Address, PortRange], PortPool] = {}

    def pool(self, address: Address, ports: PortRange) -> PortPool:
        """The pool of a range at one local address."""
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
        reached = local if address.is_unspecified else address
        return DynamicPort(pool, self._gate, sock, endpoint, _of_family(reached, realm.advertise))

    @property
    def taken(self) -> int:
        """How many ports of all pools are taken."""
        return sum(pool.taken for pool in self._pools.values())


def _of_family(address: Address, configured: Address | None) -> Address:
    """The configured address where it is of the family that is needed; a route may serve both."""
    return configured if configured is not None and configured.version == address.version else address


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

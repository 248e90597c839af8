"""Sockets as the relay wants them: made, bound, dialled, reset. The only place that knows socket options."""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address

from alg.core.addresses import Address, canonical
from alg.core.model import Endpoint

# <linux/in.h>: choose the port at connect, where the whole 4-tuple counts, and not at bind. Absent from `socket`.
_IP_BIND_ADDRESS_NO_PORT = 24
# <linux/in.h>, <linux/in6.h>: bind to, and accept for, addresses that are not ours. Absent from `socket`.
_TRANSPARENT = {4: (socket.IPPROTO_IP, 19), 6: (socket.IPPROTO_IPV6, 75)}
# <linux/netfilter_ipv4.h>, <linux/netfilter_ipv6/ip6_tables.h>: where a connection was meant to go before REDIRECT.
_ORIGINAL_DESTINATION = {4: (socket.IPPROTO_IP, 80, 16), 6: (socket.IPPROTO_IPV6, 80, 28)}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
BACKLOG = 1024


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _stream_socket(address: Address) -> socket.socket:
    """A non-blocking socket with the options of every leg; the kernel hands those of a listener down to its children."""
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = socket.socket(_family(address), kind)
    # A relay must not hold back small messages; the urgent byte of telnet's data mark belongs to the stream.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    return sock


def listen(endpoint: Endpoint, *, backlog: int = BACKLOG, transparent: bool = False) -> socket.socket:
    """Listen at that endpoint, exclusively: SO_REUSEADDR gets over TIME_WAIT, SO_REUSEPORT stays off.

    With `transparent` the address may be another host's: what the kernel has come through us for it is accepted.

    Raises:
        OSError: the port is taken, the address is not ours, or permission is missing (CAP_NET_ADMIN for `transparent`).
    """
    sock = _stream_socket(endpoint.address)
    try:
        if transparent:
            make_transparent(sock, endpoint.address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if endpoint.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(endpoint.address), endpoint.port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def make_transparent(sock: socket.socket, address: Address) -> None:
    """Have it bound to that address though it may be another host's.

    Raises:
        OSError: permission is missing (CAP_NET_ADMIN).
    """
    level, option = _TRANSPARENT[address.version]
    sock.setsockopt(level, option, 1)


def original_destination(sock: socket.socket) -> Endpoint:
    """Where the peer of an intercepted connection wanted to go.

    After REDIRECT the connection tracking knows it; with TPROXY it is the local end of the socket itself.
    """
    local = endpoint_of(sock.getsockname())
    level, option, size = _ORIGINAL_DESTINATION[local.address.version]
    try:
        found = sock.getsockopt(level, option, size)
    except OSError:
        return local
    return parse_sockaddr(found, local.address.version)


def parse_sockaddr(data: bytes, version: int) -> Endpoint:
    """What a `struct sockaddr_in` says (version 4), or a `sockaddr_in6`."""
    return Endpoint(ip_address(data[4:8] if version == 4 else data[8:24]), int.from_bytes(data[2:4]))


def source_toward(target: Address) -> Address | None:
    """The address of ours from which the kernel would speak to that one; None if it knows no way."""
    with contextlib.suppress(OSError), socket.socket(_family(target), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        probe.connect((str(target), 9))  # no datagram leaves
        return endpoint_of(probe.getsockname()).address
    return None


def dial(target: Endpoint, source: Address | None, *, transparent: bool = False) -> socket.socket:
    """Begin to connect, from a given local address if one is named; the socket is writable once that is decided.

    With `transparent` the source may be another host's address.

    Raises:
        OSError: it failed at once (no route, no descriptor, the source is not ours).
    """
    sock = _stream_socket(target.address)
    try:
        if transparent and source is not None:
            make_transparent(sock, source)
            # Its host may announce this very port next, and we must listen there, even while this one is in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source is not None:
            with contextlib.suppress(OSError):  # elsewhere than on Linux the port is chosen at bind
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((str(source), 0))
        failure = sock.connect_ex((str(target.address), target.port))
        if failure not in (0, errno.EINPROGRESS):
            raise OSError(failure, errno.errorcode.get(failure, str(failure)))
    except OSError:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close with a reset, so that the peer cannot take this for an orderly end."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])


def addresses_of(found: Sequence[tuple[object, object, object, str, tuple[object, ...]]]) -> list[Address]:
    """The addresses in an answer of `getaddrinfo`: the resolver's numeric answer, not text from a payload."""
    return [canonical(_address(str(item[4][0]))) for item in found]


def endpoint_of(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """Turn what the kernel says about a socket into an endpoint."""
    return Endpoint(_address(sockaddr[0]), sockaddr[1])

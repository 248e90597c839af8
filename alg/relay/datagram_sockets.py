"""Sockets for datagrams: made, bound, read, and what has to be said with each datagram on one that is bound to all addresses.

The only place that knows the options of UDP; those of TCP are in `alg.relay.sockets`.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TypeAlias

from alg.core.addresses import Address
from alg.core.model import Endpoint
from alg.relay.sockets import make_transparent, parse_sockaddr

SIZE = 65536
"""Bytes of a receive buffer: one more than any datagram has, so one that fills it was cut off."""
BATCH = 64
"""Datagrams that are taken from one socket in one go, before the loop turns to the others."""
_BUFFER = memoryview(bytearray(SIZE))
"""One for the whole loop: nobody reads from one socket while he treats what came from another."""
_ROOM = 1 << 20
"""Bytes asked of the kernel for what waits in a socket; it gives what its own limits allow."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Ancillary: TypeAlias = list[tuple[int, int, bytes]]

# <linux/in.h>, <linux/in6.h>; not all of them are in `socket`.
_IP_PKTINFO, _IP_RECVERR, _IPV6_RECVERR = 8, 11, 25
_IP_ORIGINAL_DESTINATION, _IPV6_ORIGINAL_DESTINATION = 20, 74
_SOCKADDR6 = 28
_PKTINFO4, _PKTINFO6 = struct.Struct("=I4s4s"), struct.Struct("=16sI")
ANCILLARY_SIZE = max(map(socket.CMSG_SPACE, (_PKTINFO6.size, _SOCKADDR6)))
_ERROR_SIZE = socket.CMSG_SPACE(64)

FULL = frozenset((errno.EAGAIN, errno.ENOBUFS))
"""What the kernel says where it has no room: the datagram is lost, as it may be on any way."""
UNREACHABLE = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))
"""What comes of ICMP errors."""


def _datagram_socket(address: Address) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
    return sock


def listen(endpoint: Endpoint, *, transparent: bool = False, intercepts: bool = False) -> socket.socket:
    """Take datagrams at that endpoint, exclusively: over UDP, SO_REUSEADDR would let others share it.

    Bound to all addresses, the socket tells with each datagram to which of them it was sent. With `transparent` the address
    may be another host's; with `intercepts`, datagrams for others arrive, and each tells whom it was meant for.

    Raises:
        OSError: the port is taken, the address is not ours, or permission is missing (CAP_NET_ADMIN for both of these).
    """
    sock = _datagram_socket(endpoint.address)
    try:
        if endpoint.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transparent or intercepts:
            make_transparent(sock, endpoint.address)
        if intercepts and endpoint.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_ORIGINAL_DESTINATION, 1)
        elif intercepts:
            sock.setsockopt(socket.IPPROTO_IP, _IP_ORIGINAL_DESTINATION, 1)
        elif endpoint.address.is_unspecified and endpoint.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif endpoint.address.is_unspecified:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((str(endpoint.address), endpoint.port))
    except OSError:
        sock.close()
        raise
    return sock


def dial(target: Endpoint, source: Address | None, *, loose: bool, transparent: bool = False) -> socket.socket:
    """A socket for what is said to that target, from a given local address if one is named, with `transparent` also one of
    another host.

    With `loose`, answers from any port, and from anybody, arrive at it; else the kernel lets through only the target's.

    Raises:
        OSError: there is no route, no descriptor, or the source is not ours.
    """
    sock = _datagram_socket(target.address)
    try:
        if source is None and loose:
            source = _source_for(target)  # bound to all addresses, it would not know its own
        if source is not None and transparent:
            make_transparent(sock, source)
        if source is not None:
            sock.bind((str(source), 0))
        if not loose:
            sock.connect((str(target.address), target.port))
        elif target.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _source_for(target: Endpoint) -> Address:
    """The local address from which the kernel would reach that target."""
    with _datagram_socket(target.address) as probe:
        probe.connect((str(target.address), target.port))
        return ip_address(probe.getsockname()[0].partition("%")[0])


def received(sock: socket.socket, *, told: bool = False) -> Iterator[tuple[memoryview, SocketAddress, Ancillary]]:
    """What waits in a socket, a batch of it: each datagram, who sent it, and with `told` what the kernel says with it.

    The memory is used again for the next one, of whatever socket. Whoever takes one may close the socket. What was cut off, and
    ICMP errors about what we said there (somebody is gone, whose flow will be), are passed over.
    """
    ancillary: Ancillary = []
    for _ in range(BATCH):
        if sock.fileno() < 0:
            return
        try:
            if told:
                count, ancillary, _, sender = sock.recvmsg_into([_BUFFER], ANCILLARY_SIZE)
            else:
                count, sender = sock.recvfrom_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            continue
        if count < SIZE:
            yield _BUFFER[:count], sender, ancillary


def take_error(sock: socket.socket) -> tuple[int, SocketAddress] | None:
    """The next ICMP error that a loose socket has: its number, and whom the datagram was for; None if there is no more."""
    with contextlib.suppress(BlockingIOError):
        _, ancillary, _, sent_to = sock.recvmsg(1, _ERROR_SIZE, socket.MSG_ERRQUEUE)
        for _, _, data in ancillary:
            return int.from_bytes(data[:4], "little" if struct.pack("=H", 1)[0] else "big"), sent_to
    return None


def local_address(ancillary: Iterable[tuple[int, int, bytes]]) -> Address | None:
    """To which of our addresses a datagram was sent; None if to none of them alone: broadcast, or multicast."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, ours, named = _PKTINFO4.unpack(data[: _PKTINFO4.size])
            return ip_address(named) if named == ours else None
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address = ip_address(_PKTINFO6.unpack(data[: _PKTINFO6.size])[0])
            return None if address.is_multicast else address
    return None


def original_destination(ancillary: Iterable[tuple[int, int, bytes]]) -> Endpoint | None:
    """Whom an intercepted datagram was meant for."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_ORIGINAL_DESTINATION:
            return parse_sockaddr(data, 4)
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_ORIGINAL_DESTINATION:
            return parse_sockaddr(data, 6)
    return None


def from_address(local: Address) -> Ancillary:
    """What to say with an answer that is to leave from that address of ours."""
    if local.version == 4:
        return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(0, local.packed, bytes(4)))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(local.packed, 0))]

"""Sockets at other hosts' addresses: what the kernel lets us do there."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from alg.core.addresses import parse_address
from alg.core.model import Endpoint
from alg.relay import sockets

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="IP_TRANSPARENT needs root (CAP_NET_ADMIN)")


def close_all(*socks: socket.socket) -> None:
    """All of them."""
    for sock in socks:
        sock.close()


@pytest.mark.parametrize(("here", "there"), [("127.0.0.1", "192.0.2.7"), ("::1", "2001:db8::7")])
def test_listen_at_another_hosts_address(here: str, there: str) -> None:
    """It can be listened at, and only so."""
    if here == "::1":
        with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
            try:
                probe.bind((here, 0))
            except OSError:
                pytest.skip("there is no IPv6 here")
    with sockets.listen(Endpoint(parse_address(there), 20021), transparent=True) as sock:
        assert sock.getsockname()[:2] == (there, 20021)
    with pytest.raises(OSError, match="assign"):
        sockets.listen(Endpoint(parse_address(there), 20021))


@pytest.mark.parametrize("over", [False, True], ids=["while it carries", "in TIME_WAIT"])
def test_a_port_that_was_dialled_from_can_be_listened_at(over: bool) -> None:
    """A server announces as its data port one that we dialled from in its name just before."""
    address = parse_address("127.0.0.1")
    server = parse_address("127.0.0.9")
    with sockets.listen(Endpoint(address, 0)) as listener:
        listener.setblocking(True)
        dialled = sockets.dial(sockets.endpoint_of(listener.getsockname()), server, transparent=True)
        accepted, _ = listener.accept()
        used = sockets.endpoint_of(dialled.getsockname())
        assert used.address == server
        if over:  # who closes first keeps the port
            dialled.close()
            accepted.setblocking(True)
            assert accepted.recv(1) == b""
            accepted.close()
        try:
            sockets.listen(used, transparent=True).close()
        finally:
            close_all(dialled, accepted)

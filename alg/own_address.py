"""Which addresses are this machine's own: what the gate of every host asks the kernel."""

from __future__ import annotations

import errno
import socket

from alg.core.addresses import Address


def is_own_address(address: Address) -> bool:
    """Whether an address is configured on this machine: whether one may bind it. Without a descriptor to ask by, it might be."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        probe = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    with probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True

"""What is refused of what the kernel has come to us though it was meant for others: what was meant for us, and our own."""

from __future__ import annotations

from collections.abc import Callable

from alg.core.addresses import is_this_host
from alg.core.errors import PolicyError
from alg.core.model import Endpoint
from alg.core.policy import Gate
from alg.own_address import is_own_address


def refuse_loop(gate: Gate, peer: Endpoint, target: Endpoint, is_ours: Callable[[Endpoint], bool]) -> None:
    """`is_ours` knows from where we have dialled.

    Raises:
        PolicyError: it was meant for us, or we sent it ourselves, and it came back to us.
    """
    if gate.is_own_socket(target):
        raise PolicyError(
            f"{target} is this listener itself: it takes what is intercepted (alg nft), and no one else",
            reason="self_target",
        )
    if (is_this_host(peer.address) or is_own_address(peer.address)) and is_ours(peer):
        raise PolicyError(
            f"{peer} -> {target} is sent by this gateway: intercept what comes in, not what we send out", reason="loop"
        )

"""What is refused of what the kernel has come to us though it was meant for others: what was meant for us, and our own."""

from __future__ import annotations

from alg.core.errors import PolicyError
from alg.core.model import Endpoint
from alg.core.policy import Gate


def judge_intercepted(gate: Gate, peer: Endpoint, target: Endpoint, *, ours: bool) -> None:
    """`ours`: we have dialled that target from where the peer is.

    Raises:
        PolicyError: `bad_address` (an IPv4 address in the form of an IPv6 one: there is no such address at which to answer),
            `self_target` (it was meant for us), `loop` (we sent it ourselves, and it came back to us).
    """
    if target.address.version != peer.address.version:
        raise PolicyError(f"{peer} -> {target}: an IPv6 client cannot speak to an IPv4 address", reason="bad_address")
    if gate.is_own_socket(target):
        raise PolicyError(
            f"{target} is this listener itself: it takes what is intercepted (alg nft), and no one else",
            reason="self_target",
        )
    if ours:
        raise PolicyError(
            f"{peer} -> {target} is sent by this gateway: intercept what comes in, not what we send out", reason="loop"
        )

"""Plain UDP: a relay that looks at nothing. A client's datagrams go to the server, and the server's answers come back."""

from __future__ import annotations

from alg.plugin import DatagramPlugin

__all__ = ["UdpPlugin"]


class UdpPlugin(DatagramPlugin[None]):
    """Treats nothing: neither coroutine is overridden."""

    name = "udp"

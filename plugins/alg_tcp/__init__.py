"""Plain TCP: a relay that looks at nothing. Both directions are opaque and leave Python where the kernel can carry them."""

from __future__ import annotations

from alg.plugin import StreamPlugin

__all__ = ["TcpPlugin"]


class TcpPlugin(StreamPlugin[None]):
    """Treats nothing: neither coroutine is overridden."""

    name = "tcp"
    tls_scheme = ("tls", None)

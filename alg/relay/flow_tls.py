"""`FlowTls`: TLS on the legs of one flow: the handshakes that are under way, and what came of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from alg.core.errors import AlgError
from alg.core.model import Side, TlsInfo
from alg.relay.leg import LegSocket
from alg.relay.timeouts import Timeouts
from alg.relay.tls import TlsEngine
from alg.relay.tls_layer import TlsLayer


class FlowTls:
    """Made when the first leg is to be TLS. While a leg is in `shaking` it belongs to its TLS, and nobody else reads it."""

    __slots__ = ("_layers", "_timeouts", "shaking")

    def __init__(self, timeouts: Timeouts) -> None:
        """`timeouts` are for handshakes."""
        self._timeouts = timeouts
        self._layers: dict[Side, TlsLayer] = {}
        self.shaking: frozenset[Side] = frozenset()

    def start(
        self,
        side: Side,
        leg: LegSocket,
        engine: TlsEngine,
        on_done: Callable[[TlsInfo], None],
        on_failed: Callable[[AlgError], None],
    ) -> None:
        """Put TLS on a leg; one of the two is called, perhaps before this returns."""
        layer = self._layers[side] = TlsLayer(leg, engine)
        leg.cover(layer)
        self.shaking |= {side}
        done, failed = self._decided(side, lambda: on_done(layer.info), on_failed)
        layer.start(self._timeouts, done, failed)

    def stop(self, side: Side, on_done: Callable[[], None], on_failed: Callable[[AlgError], None]) -> None:
        """Take TLS off a leg; as `start`."""
        layer = self._layers.pop(side)
        self.shaking |= {side}
        done, failed = self._decided(side, on_done, on_failed)
        layer.stop(self._timeouts, done, failed)

    def _decided(
        self, side: Side, on_done: Callable[[], None], on_failed: Callable[[AlgError], None]
    ) -> tuple[Callable[[], None], Callable[[AlgError], None]]:
        """The two callbacks, after which the leg is the flow's again."""

        def done() -> None:
            self.shaking -= {side}
            on_done()

        def failed(error: AlgError) -> None:
            self.shaking -= {side}
            on_failed(error)

        return done, failed

    def info(self, side: Side) -> TlsInfo | None:
        """What protects that leg, or did when the flow ended; None where no handshake was completed."""
        layer = self._layers.get(side)
        return layer.info if layer is not None and layer.complete else None

    def session(self, side: Side) -> ssl.SSLSession | None:
        """What can be resumed of the TLS session on that leg."""
        layer = self._layers.get(side)
        return layer.engine.session if layer else None

"""`Connection`: what the parts of the plugin share about one connection of a client, and the way to listeners of ours."""

from __future__ import annotations

from alg.plugin import Connect, Endpoint, Flow, PolicyError, RateLimit, Side, Stream
from alg_http.config import HttpConfig
from alg_http.exchange import Exchange
from alg_http.mapping import Mapper

_TOLD = 1024
"""Targets that are remembered, see `Connection.expect`."""


class Connection:
    """One connection. It is the `Ways` of its mapper."""

    def __init__(self, name: str, config: HttpConfig, flow: Flow, client: Stream) -> None:
        """`name` is that of the plugin, which treats what comes to the listeners too."""
        self._name = name
        self.config = config
        self.flow = flow
        self.client = client
        """What the client says."""
        self.mapper = Mapper(config, self)
        self.rate = RateLimit(config.request_rate, burst=2 * config.request_rate)
        self.exchange: Exchange | None = None
        """The request that is under way; None between two."""
        self.asked = False
        """Whether there was a request yet."""
        self._told: dict[tuple[Connect, bool], tuple[Endpoint | PolicyError, float]] = {}
        """The listeners that were announced on this connection, or why not, and until when there is no need to ask again."""

    def finish(self, exchange: Exchange, *, lasts: bool) -> bool:
        """The answer is complete; return whether the connection lives on, as the client was told."""
        self.exchange = None
        if lasts:
            exchange.over.keep(None)
            return True
        self.flow.close()
        return False

    async def expect(self, target: Connect, *, opaque: bool, lifetime: float, announced_by: str) -> Endpoint:
        """A listener that all sessions of the route share; see `Ways`."""
        key = target, opaque
        told, until = self._told.get(key, (None, 0.0))
        if told is None or self.flow.now >= until:
            told = await self._ask(target, announced_by, opaque=opaque, lifetime=lifetime)
            if len(self._told) >= _TOLD:
                self._told.clear()
            self._told[key] = told, self.flow.now + lifetime / 2
        if isinstance(told, PolicyError):
            raise PolicyError(str(told), reason=told.reason)
        return told

    async def _ask(
        self, target: Connect, announced_by: str, *, opaque: bool, lifetime: float
    ) -> Endpoint | PolicyError:
        """A listener, or why it may not be; each refusal is a record."""
        try:
            binding = await self.flow.expect(
                Side.CLIENT,
                target.target,
                announced_by=announced_by,
                lifetime=lifetime,
                plugin=None if opaque else self._name,
                tls=[side for side, on in ((Side.CLIENT, self.flow.client.secure), (Side.SERVER, target.tls)) if on],
                shared=True,
                name=target.name,
            )
        except PolicyError as error:
            return error
        return binding.endpoint

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener leads; see `Ways`."""
        return self.flow.shared_target(endpoint)

"""`Connection`: what the parts of the plugin share about one connection of a client, and the way to listeners of ours."""

from __future__ import annotations

from alg.plugin import Connect, Endpoint, Flow, RateLimit, Side, Stream
from alg_http.config import HttpConfig
from alg_http.exchange import Exchange
from alg_http.mapping import Mapper


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
        self._told: dict[tuple[Connect, bool], tuple[Endpoint, float]] = {}
        """The listeners that were announced on this connection, and until when there is no need to ask again."""

    def finish(self, exchange: Exchange, *, lasts: bool) -> bool:
        """The answer is complete; return whether the connection lives on. It does not while a request is on its way."""
        self.exchange = None
        if lasts and exchange.uploaded:
            exchange.over.keep(None)
            return True
        self.flow.close()
        return False

    async def expect(
        self, target: Endpoint, *, tls: bool, name: str | None, opaque: bool, announced_by: str
    ) -> Endpoint:
        """A listener that all sessions of the route share; see `Ways`."""
        key = Connect(target, tls, name), opaque
        endpoint, until = self._told.get(key, (None, 0.0))
        if endpoint is not None and self.flow.now < until:
            return endpoint
        lifetime = self.config.shared_lifetime
        binding = await self.flow.expect(
            Side.CLIENT,
            target,
            announced_by=announced_by,
            lifetime=lifetime,
            plugin=None if opaque else self._name,
            tls=[side for side, on in ((Side.CLIENT, self.flow.client.secure), (Side.SERVER, tls)) if on],
            shared=True,
            name=name,
        )
        self._told[key] = binding.endpoint, self.flow.now + lifetime / 2
        return binding.endpoint

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener leads; see `Ways`."""
        return self.flow.shared_target(endpoint)

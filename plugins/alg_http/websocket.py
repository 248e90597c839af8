"""`WebSocket`: from a server's 101 to frames: what was agreed on each leg, and the relaying of both directions where frames
are read. Where they are not, all that follows is opaque.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alg.plugin import AlgError, Flow, Promise, ProtocolError, Side, Stream
from alg_http import handshake
from alg_http.config import Frames, HttpConfig
from alg_http.frames import FrameLimits, FrameRelay, MapText
from alg_http.handshake import OFFERED_DEFLATE, Offer
from alg_http.heads import Header, Request, Response, lowered, without
from alg_http.payloads import Deflate, FrameError, close_frame
from alg_http.rules import Part

if TYPE_CHECKING:
    from alg_http.connection import Connection
    from alg_http.exchange import Exchange

EXTENSIONS = b"sec-websocket-extensions"
_CODES = {"stopped": 1001, "idle": 1001, "too_slow": 1001, "plugin_failed": 1011}  # RFC 6455 section 7.4.1
CLOSING = 10.0
"""Seconds for the second close frame after the first."""


def reads_frames(config: HttpConfig, request: Request) -> bool:
    """Whether the frames of a WebSocket are to be read: as the operator says, or for a rule about its messages."""
    return config.frames is Frames.READ or config.rule(Part.MESSAGE, request.path) is not None


def own_offer(fields: list[Header], offer: Offer) -> tuple[list[Header], Offer]:
    """A handshake whose extensions are between the server and us: compression, if the client offers any.

    What we read we must understand, so nothing else is offered.
    """
    fields = list(without(fields, (EXTENSIONS,)))
    if not offer.extensions:
        return fields, offer
    fields.append((b"Sec-WebSocket-Extensions", handshake.offer_deflate()))
    return fields, replace(offer, extensions=(OFFERED_DEFLATE,))


class WebSocket:
    """One WebSocket whose frames are read."""

    def __init__(
        self, connection: Connection, exchange: Exchange, inside: Deflate | None, outside: Deflate | None
    ) -> None:
        config = connection.config
        self._flow: Flow = connection.flow
        self._mapper = connection.mapper
        self._ends = exchange.ends
        self._rule = config.rule(Part.MESSAGE, exchange.request.path)
        self._limits = FrameLimits(
            max_message=config.max_message, max_mapped=config.max_body, max_frames=config.max_frames
        )
        self._deflates = {Side.CLIENT: outside, Side.SERVER: inside}
        self._relays: dict[Side, FrameRelay] = {}
        self._over: Promise[None] = Promise()
        """Kept when both have said a close frame, or one is gone without."""

    async def relay(self, stream: Stream) -> None:
        """Relay what that side says, to its end; the flow is over once both have said a close frame, or one is gone."""
        side = stream.side
        relay = self._relays[side] = FrameRelay(
            stream, limits=self._limits, inbound=self._deflates[side], outbound=self._deflates[side.other]
        )
        try:
            await relay.run(self._mapping(side))
        except FrameError as error:
            told = self._relays.get(Side.CLIENT)
            if told is None or not told.closed:  # else the server has had its close frame
                frame = close_frame(error.code, error.reason, masked=True)
                (stream.send if side is Side.CLIENT else stream.reply)(frame)
            raise
        other = self._relays.get(side.other)
        if relay.closed and (other is None or not other.closed):
            self._flow.deadline(CLOSING, "the other close frame")
            await relay.discard()
            await self._over  # its end may come before the other's last word
        self._over.keep(None)
        self._flow.close()

    def _mapping(self, side: Side) -> MapText | None:
        rule = self._rule
        return None if rule is None else lambda text: self._mapper.message(rule, side, text, self._ends)

    def last_words(self, error: AlgError) -> bytes:
        """The close frame for the client, if it has not got one; nothing where the other side is gone without."""
        said = self._relays.get(Side.SERVER)
        code = error.code if isinstance(error, FrameError) else _CODES.get(error.reason)
        if code is None or (said is not None and said.closed):
            return b""
        return close_frame(code, error.reason, masked=False)


def upgrade(connection: Connection, exchange: Exchange, response: Response) -> tuple[list[Header], WebSocket | None]:
    """Judge a 101: what the client is to be told of it besides the fields that are end to end, and what comes then (None:
    frames that nobody reads).

    Raises:
        ProtocolError: it is not the true answer to a WebSocket handshake of this client (`fake_upgrade`).
    """
    assert exchange.offer is not None, "`read_response` takes no 101 where nobody has asked for it"
    if response.version != b"1.1":
        raise ProtocolError(
            "the server switches protocols in HTTP/1.0, which knows no such thing", reason="fake_upgrade"
        )
    agreement = handshake.check_response(exchange.offer, lowered(response.headers))
    if connection.client.buffered:
        raise ProtocolError("the client says more before the server has agreed", reason="bytes_before_upgrade")
    fields: list[Header] = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    if not reads_frames(connection.config, exchange.request):
        fields += [(b"Sec-WebSocket-Extensions", value) for value in response.values(EXTENSIONS)]
        return fields, None
    inside = handshake.accept_server(agreement)
    request = exchange.request
    theirs = handshake.check_request(request.method, request.version, lowered(request.headers))
    outside, extensions = handshake.accept_client(theirs)
    if extensions is not None:
        fields.append((b"Sec-WebSocket-Extensions", extensions))
    return fields, WebSocket(connection, exchange, inside, outside)

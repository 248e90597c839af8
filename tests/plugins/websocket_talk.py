"""A plugin that relays frames and nothing else, the peers of its tests, and frames as they are on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import websockets.protocol
from alg_http.frames import Deflate, FrameError, FrameLimits, FrameRelay, MapText, close_frame
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from alg.plugin import Endpoint, Side, Stream, StreamPlugin
from alg.testing import Playbook

CONT, TEXT, BINARY, CLOSE, PING, PONG = (Opcode(number) for number in (0, 1, 2, 8, 9, 10))
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 section 5.7


# The plugin, and the peers.


@dataclass(frozen=True)
class Settings:
    """What the plugin of these tests does."""

    limits: FrameLimits = field(default_factory=FrameLimits)
    deflated: tuple[Side, ...] = ()
    takeover: bool = True
    map_text: Callable[[bytes], bytes] | None = None
    expects: bool = False


class FramesPlugin(StreamPlugin[Settings]):
    """Two relays, as in the plugin for HTTP once a connection is upgraded."""

    name = "frames"
    config_type = Settings

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.deflates = {side: Deflate(side.value, deflate(config.takeover)) for side in config.deflated}
        self.relays: dict[Side, FrameRelay] = {}

    async def from_client(self, stream: Stream) -> None:
        await self.relay(stream)

    async def from_server(self, stream: Stream) -> None:
        await self.relay(stream)

    async def relay(self, stream: Stream) -> None:
        side = stream.side
        inbound, outbound = self.deflates.get(side), self.deflates.get(side.other)
        relay = FrameRelay(stream, limits=self.config.limits, inbound=inbound, outbound=outbound)
        self.relays[side] = relay
        map_text: MapText | None = self.map_text if self.config.map_text or self.config.expects else None
        try:
            await relay.run(map_text)
        except FrameError as error:
            stream.send(close_frame(error.code, "", masked=side is Side.CLIENT))
            stream.reply(close_frame(error.code, "", masked=side is Side.SERVER))
            raise
        if all(self.relays[each].closed for each in Side):
            self.flow.close()
        await relay.discard()

    async def map_text(self, text: bytes) -> bytes:
        if self.config.map_text:
            return self.config.map_text(text)
        binding = await self.flow.expect(Side.CLIENT, Endpoint.parse("10.77.2.2", 9222))
        return text % binding.endpoint.to_bytes(b":")


def deflate(takeover: bool = True, bits: int = 15) -> PerMessageDeflate:
    """One end of a leg with deflate, the same for both ends."""
    return PerMessageDeflate(not takeover, not takeover, bits, 12)


class Peer(websockets.protocol.Protocol):
    """The client, or the server: the library's own, with its handshake done."""

    def __init__(self, side: Side, extensions: list[PerMessageDeflate]) -> None:
        role = websockets.protocol.CLIENT if side is Side.CLIENT else websockets.protocol.SERVER
        super().__init__(role, state=websockets.protocol.OPEN, max_size=None)
        self.extensions = list(extensions)

    def recv_frame(self, frame: Frame) -> None:
        """Take a close frame inside a message, too (RFC 6455 section 5.4), where the library does not; and go on."""
        if frame.opcode is CLOSE:
            self.events.append(frame)
        else:
            super().recv_frame(frame)

    def hears(self, data: bytes) -> list[Frame]:
        """The frames in what it receives; it raises where they are not in order."""
        self.receive_data(data)
        if self.parser_exc is not None:
            raise self.parser_exc
        return [frame for frame in self.events_received() if isinstance(frame, Frame)]


def peers(config: Settings) -> dict[Side, Peer]:
    """The client and the server that go with some settings."""
    return {side: Peer(side, [deflate(config.takeover)] if side in config.deflated else []) for side in Side}


def frame(
    first: int, payload: bytes = b"", *, masked: bool = True, mark: int | None = None, length: int | None = None
) -> bytes:
    """A frame by hand: `first` is its first byte; `mark` and `length` are what its length fields say instead."""
    size = len(payload) if length is None else length
    if mark is None:
        mark = size if size < 126 else 126 if size < 65536 else 127
    extended = size.to_bytes({126: 2, 127: 8}.get(mark, 0), "big") if mark > 125 else b""
    if not masked:
        return bytes((first, mark)) + extended + payload
    body = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))
    return bytes((first, 0x80 | mark)) + extended + KEY + body


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The ways to deliver some bytes: whole, byte by byte (or many), and if there are few, split at each point."""
    yield [data]
    step = 1 if len(data) < 5000 else 499
    yield [data[at : at + step] for at in range(0, len(data), step)]
    if len(data) < 100:
        yield from ([data[:at], data[at:]] for at in range(1, len(data)))


Seen = list[tuple[Opcode, bytes, bool]]


def what(frames: list[Frame]) -> Seen:
    """Frames as values that compare."""
    return [(each.opcode, bytes(each.data), each.fin) for each in frames]


def relayed(said: bytes, config: Settings | None = None, side: Side = Side.CLIENT) -> tuple[Seen, Playbook]:
    """What the other side hears of some bytes, however they are cut; and the last of the playbooks."""
    config = config or Settings()
    results = []
    for pieces in cuts(said):
        talk = Playbook(FramesPlugin, config)
        for piece in pieces:
            talk.say(side, piece)
        heard = what(peers(config)[side.other].hears(talk.received(side.other)))
        results.append((heard, talk.reasons, talk.closed, bool(talk.received(side))))
    assert all(result == results[0] for result in results)
    return results[0][0], talk


def refused(said: bytes, config: Settings | None = None, side: Side = Side.CLIENT) -> tuple[str, int, Seen]:
    """Why some bytes are refused, the close code that both sides are told, and what was heard before."""
    heard, talk = relayed(said, config, side)
    assert isinstance(talk.error, FrameError)
    assert str(talk.error).startswith(f"the {side.value} ")
    *before, last = heard
    code = talk.error.code.to_bytes(2, "big")
    assert last == (CLOSE, code, True)
    (reply,) = what(peers(config or Settings())[side].hears(talk.received(side)))
    assert reply == (CLOSE, code, True)
    return talk.error.reason, talk.error.code, before


HELLO = frame(0x81, b"Hello")

GOOD_TEXT = "κόσμε \u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0003ffff\U0010ffff €ä".encode()


def replace_map(config: Settings) -> Settings:
    """The same settings, with texts collected."""
    return Settings(config.limits, config.deflated, config.takeover, map_text=bytes)

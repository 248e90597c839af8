"""WebSocket frames as they pass: what RFC 6455 allows arrives equal, of the rest nothing arrives (T25, T87).

Bad frames are made by hand, good ones also by the library's own client and server, which judge what arrives.
"""

from __future__ import annotations

import functools
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import websockets.protocol
from alg_http.frames import Deflate, FrameError, FrameLimits, FrameRelay, MapText, close_frame
from hypothesis import given, settings
from hypothesis import strategies as st
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


# What passes.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_each_form_of_the_length(size: int, opcode: Opcode) -> None:
    """RFC 6455 section 5.2: 7 bits, 16, 64."""
    payload = b"x" * size
    assert relayed(frame(0x80 | opcode, payload))[0] == [(opcode, payload, True)]
    assert relayed(frame(0x80 | opcode, payload, masked=False), side=Side.SERVER)[0] == [(opcode, payload, True)]


def test_the_frames_of_the_rfc() -> None:
    """RFC 6455 section 5.7, byte for byte."""
    assert relayed(bytes.fromhex("818537fa213d7f9f4d5158"))[0] == [(TEXT, b"Hello", True)]
    server = bytes.fromhex("810548656c6c6f 010348656c 80026c6f 890548656c6c6f 827e0100") + bytes(256)
    heard, talk = relayed(server, side=Side.SERVER)
    assert talk.to_client == server
    assert heard == [
        *((TEXT, b"Hello", True), (TEXT, b"Hel", False), (CONT, b"lo", True), (PING, b"Hello", True)),
        (BINARY, bytes(256), True),
    ]


def test_the_masking_key_is_new_for_each_frame() -> None:
    """RFC 6455 section 5.3: the server must not be told bytes that the client chose."""
    _, talk = relayed(frame(0x82, bytes(64)) * 8)
    keys = [talk.to_server[at + 2 : at + 6] for at in range(0, len(talk.to_server), 70)]
    assert KEY not in keys
    assert len(set(keys)) == 8


@pytest.mark.parametrize("side", Side)
def test_fragments_pass_one_by_one_and_controls_between_them_at_once(side: Side) -> None:
    """RFC 6455 section 5.4: the size and number of fragments stay, also of empty ones."""
    make = functools.partial(frame, masked=side is Side.CLIENT)
    said = make(0x02, b"a") + make(0x89, b"?") + make(0x00) + make(0x8A) + make(0x80, b"b") + make(0x01) + make(0x80)
    assert relayed(said, side=side)[0] == [
        *((BINARY, b"a", False), (PING, b"?", True), (CONT, b"", False), (PONG, b"", True), (CONT, b"b", True)),
        *((TEXT, b"", False), (CONT, b"", True)),
    ]


def test_text_is_mapped_whole_and_controls_do_not_wait() -> None:
    """However it was fragmented it is one frame; binary messages are not asked about."""
    config = Settings(map_text=lambda text: text.replace(b"10.0.0.7", b"192.0.2.10"))
    said = (
        frame(0x01, b"ws://10.") + frame(0x89, b"?") + frame(0x00) + frame(0x80, b"0.0.7/") + frame(0x82, b"10.0.0.7")
    )
    assert relayed(said, config)[0] == [
        *((PING, b"?", True), (TEXT, b"ws://192.0.2.10/", True), (BINARY, b"10.0.0.7", True)),
    ]
    assert relayed(HELLO, Settings(map_text=lambda _: b""))[0] == [(TEXT, b"", True)]


def test_a_text_may_wait_for_a_listener() -> None:
    """The port exists before the bytes; what comes behind keeps its order, and the other side goes on meanwhile."""
    talk = Playbook(FramesPlugin, Settings(expects=True), hold=True, listeners=["203.0.113.7:50001"])
    talk.server(frame(0x81, b"ws://%s/", masked=False) + frame(0x89, b"later", masked=False))
    talk.client(frame(0x82, b"meanwhile"))
    assert talk.to_client == b""
    assert len(talk.to_server) == 15
    talk.answer()
    assert talk.to_client == frame(0x81, b"ws://203.0.113.7:50001/", masked=False) + frame(0x89, b"later", masked=False)


# Text (RFC 6455 section 8.1).

GOOD_TEXT = "κόσμε \u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0003ffff\U0010ffff €ä".encode()
BAD_TEXT = [
    *(
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
    ),
    *(
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
    ),
    *(
        b"\xc2",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xf0\x9f",
        b"\xf4",
        b"\xc2x",
        b"\xe2\x82x",
        b"\xe2x\x82",
        b"\xf0\x9f\x98x",
    ),
    *(b"\xc2\xc2\x80", b"\xe2\x82\xe2\x82\xac", b"caf\xe9", b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"),
]


@pytest.mark.parametrize("mapped", [False, True])
def test_characters_may_be_split_at_every_byte(mapped: bool) -> None:
    """RFC 6455 section 5.6: a fragment need not be UTF-8 by itself."""
    config = Settings(map_text=bytes if mapped else None)
    for at in range(len(GOOD_TEXT) + 1):
        talk = Playbook(FramesPlugin, config)
        talk.client(frame(0x01, GOOD_TEXT[:at]) + frame(0x80, GOOD_TEXT[at:]))
        heard = what(peers(config)[Side.SERVER].hears(talk.to_server))
        assert b"".join(payload for _, payload, _ in heard) == GOOD_TEXT
    single = b"".join(frame(0x00, GOOD_TEXT[at : at + 1]) for at in range(len(GOOD_TEXT)))
    heard, _ = relayed(frame(0x01) + single + frame(0x80), config)
    assert b"".join(payload for _, payload, _ in heard) == GOOD_TEXT


@pytest.mark.parametrize("text", BAD_TEXT)
def test_what_is_not_utf_8_is_refused(text: bytes) -> None:
    """1007, wherever it is cut; a binary message may be anything."""
    for config in (Settings(), Settings(map_text=bytes)):
        assert refused(frame(0x81, b"a" + text), config) == ("bad_text", 1007, [])
        for at in range(len(text)):
            talk = Playbook(FramesPlugin, config)
            talk.client(frame(0x01, text[:at]) + frame(0x00) + frame(0x80, text[at:]))
            assert talk.reasons == ["bad_text"]
    assert relayed(frame(0x82, text))[0] == [(BINARY, text, True)]


def test_text_is_refused_with_the_frame_that_spoils_it() -> None:
    """And not at the end of the message, which may never come; the next message begins anew."""
    assert refused(frame(0x01, b"\xce") + frame(0x00, b"\xba\xff")) == ("bad_text", 1007, [(TEXT, b"\xce", False)])
    for spoilt in (b"\xf4\x90", b"\xed\xa0", b"\xe0\x9f", b"\xf0\x8f"):
        assert refused(frame(0x01, b"a") + frame(0x00, spoilt)) == ("bad_text", 1007, [(TEXT, b"a", False)])
    assert refused(frame(0x01, b"\xc2") + frame(0x00, b"x")) == ("bad_text", 1007, [(TEXT, b"\xc2", False)])
    assert relayed(frame(0x81, b"\xc3\xa9") + HELLO)[0][1] == (TEXT, b"Hello", True)


@pytest.mark.parametrize("text", ["é" * 100_000, "a" + "€" * 80_000, "ab" + "😀" * 60_000])
def test_a_long_text_is_checked_in_pieces(text: str) -> None:
    """A character at the edge of a piece is not torn, and a wrong one at the very end is found."""
    data = text.encode()
    talk = Playbook(FramesPlugin)
    talk.server(frame(0x81, data, masked=False))
    assert talk.to_client == frame(0x81, data, masked=False)
    talk.server(frame(0x81, data[:-1], masked=False))
    assert talk.reasons == ["bad_text"]


# What breaks the protocol.


@pytest.mark.parametrize(
    "said",
    [
        *(frame(0x80 | opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *(frame(0x80 | bit | opcode, b"x") for bit in (0x10, 0x20, 0x40, 0x70) for opcode in (1, 2, 8, 9, 10)),
        *(frame(opcode, b"x") for opcode in (8, 9, 10)),  # control frames in fragments
        *(frame(0x80 | opcode, b"x" * 126) for opcode in (8, 9, 10)),
        *(frame(0x80 | opcode, b"x" * 5, mark=126) for opcode in (1, 2, 9)),
        *(frame(0x82, b"x" * size, mark=mark) for size, mark in ((0, 126), (125, 126), (5, 127), (126, 127))),
        frame(0x82, b"x" * 65535, mark=127),
        *(frame(0x82, b"x", mark=127, length=length) for length in (1 << 63, (1 << 64) - 1)),
        *(frame(0x81, b"Hello", masked=False), frame(0x89, b"", masked=False), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        *(frame(0x80, b"x"), frame(0x00, b"x"), frame(0x88, b"\x03")),
    ],
)
def test_a_frame_that_is_none_closes_with_1002(said: bytes) -> None:
    """T25: opcodes, reserved bits, lengths, masks, continuations of nothing; nothing of it reaches the server."""
    assert refused(HELLO + said) == ("bad_frame", 1002, [(TEXT, b"Hello", True)])


@pytest.mark.parametrize("said", [HELLO, frame(0x89), frame(0x82, bytes(300)), frame(0x81, b"")])
def test_a_server_must_not_mask(said: bytes) -> None:
    """RFC 6455 section 5.1."""
    assert refused(said, side=Side.SERVER) == ("bad_frame", 1002, [])


@pytest.mark.parametrize("said", [HELLO, frame(0x82, b""), frame(0x01, b"x")])
def test_a_message_inside_another(said: bytes) -> None:
    """RFC 6455 section 5.4: fragments of messages are not interleaved."""
    assert refused(frame(0x01, b"a") + said) == ("bad_frame", 1002, [(TEXT, b"a", False)])


def test_a_stream_that_ends_inside_a_frame() -> None:
    """Is truncated, with each of its bytes but none and all; between frames it is the end of that direction."""
    said = frame(0x82, bytes(126))
    for at in range(1, len(said)):
        talk = Playbook(FramesPlugin)
        talk.client(said[:at])
        talk.end(Side.CLIENT)
        assert talk.reasons == ["truncated"]
        assert talk.to_server == b""
    for whole in (b"", said, frame(0x01, b"a")):
        talk = Playbook(FramesPlugin)
        talk.client(whole)
        talk.end(Side.CLIENT)
        assert talk.ended == {Side.SERVER}
        assert not talk.closed


# Closing (RFC 6455 sections 5.5.1 and 7.4).


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8" + "é".encode() * 61, b"\x03\xe8" + b"x" * 123),
        *(code.to_bytes(2, "big") for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)),
    ],
)
def test_a_close_frame_passes_as_it_is(payload: bytes) -> None:
    """And ends its direction: what its sender says after it goes nowhere (section 1.4), the other side may go on."""
    code = int.from_bytes(payload[:2], "big") or 1005
    heard, talk = relayed(frame(0x01, b"a") + frame(0x88, payload) + HELLO + b"\0\xff")
    assert heard == [(TEXT, b"a", False), (CLOSE, payload, True)]
    assert len(talk.to_server) == 7 + 6 + len(payload)
    plugin = talk.plugin
    assert isinstance(plugin, FramesPlugin)
    assert (plugin.relays[Side.CLIENT].close_code, plugin.relays[Side.SERVER].close_code) == (code, None)
    talk.server(frame(0x82, b"still here", masked=False))
    assert not talk.closed
    talk.server(frame(0x88, payload, masked=False))
    assert talk.to_client == frame(0x82, b"still here", masked=False) + frame(0x88, payload, masked=False)
    assert talk.closed
    assert talk.error is None


def test_after_a_close_only_the_end_is_read() -> None:
    """It is passed on as a half-close."""
    talk = Playbook(FramesPlugin)
    talk.client(frame(0x88))
    talk.client(b"whatever" * 100)
    talk.end(Side.CLIENT)
    assert len(talk.to_server) == 6
    assert talk.ended == {Side.SERVER}


@pytest.mark.parametrize(
    ("payload", "reason", "code"),
    [
        *((code.to_bytes(2, "big"), "bad_frame", 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000)),
        *((code.to_bytes(2, "big"), "bad_frame", 1002) for code in (2999, 5000, 65535)),
        *((b"\x03", "bad_frame", 1002), (b"\x03\xe8\xff", "bad_text", 1007), (b"\x03\xe8\xe2\x82", "bad_text", 1007)),
    ],
)
def test_a_wrong_close_frame_does_not_pass(payload: bytes, reason: str, code: int) -> None:
    """Codes that must not be on the wire, half a code, a reason that is not UTF-8."""
    assert refused(frame(0x88, payload)) == (reason, code, [])


@pytest.mark.parametrize("masked", [False, True])
def test_a_close_frame_of_our_own(masked: bool) -> None:
    """Its reason is cut between characters where it does not fit."""
    peer = Peer(Side.SERVER if masked else Side.CLIENT, [])
    assert what(peer.hears(close_frame(1009, "é" * 99, masked=masked))) == [
        (CLOSE, b"\x03\xf1" + "é".encode() * 61, True)
    ]


# Limits.


def test_the_longest_message() -> None:
    """Of one frame or several; one byte more is told by the header alone, before its bytes are waited for."""
    config = Settings(FrameLimits(max_message=1000))
    whole, half = frame(0x82, bytes(1000)), frame(0x02, bytes(500))
    assert len(relayed(whole + half + frame(0x80, bytes(500)) + whole, config)[0]) == 4
    long = ("message_too_long", 1009)
    assert refused(frame(0x82, mark=126, length=1001)[:8], config) == (*long, [])
    assert refused(frame(0x82, mark=127, length=(1 << 63) - 1)[:14], config) == (*long, [])
    assert refused(half + frame(0x00, mark=126, length=501)[:8], config) == (*long, [(BINARY, bytes(500), False)])
    assert refused(frame(0x01, bytes(1000)) + frame(0x00, b"x"), replace_map(config)) == (*long, [])


@pytest.mark.parametrize("deflated", [(), (Side.CLIENT,)])
def test_the_longest_text_that_is_mapped(deflated: tuple[Side, ...]) -> None:
    """It has a limit of its own, which holds for what else passes neither with mapping nor without."""
    config = Settings(FrameLimits(max_message=2000, max_mapped=1000), deflated)
    compressed = 0x40 if deflated else 0
    first = 0x81 | compressed, 0x82 | compressed
    within, over = (squeeze(b"a" * size) if deflated else b"a" * size for size in (1000, 1001))
    assert relayed(frame(first[0], within) + frame(first[1], over), replace_map(config))[0] == [
        *((TEXT, b"a" * 1000, True), (BINARY, b"a" * 1001, True))
    ]
    assert relayed(frame(first[0], over), config)[0] == [(TEXT, b"a" * 1001, True)]
    assert refused(frame(first[0], over), replace_map(config)) == ("message_too_long", 1009, [])


def replace_map(config: Settings) -> Settings:
    """The same settings, with texts collected."""
    return Settings(config.limits, config.deflated, config.takeover, map_text=bytes)


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_the_most_frames_of_a_message(payload: bytes) -> None:
    """1008 for what is only there to be counted; the count begins anew with each message."""
    config = Settings(FrameLimits(max_frames=5))
    message = frame(0x01, payload) + frame(0x00, payload) * 3 + frame(0x80, payload)
    assert len(relayed(message * 3, config)[0]) == 15
    assert relayed(message * 2, replace_map(config))[0] == [(TEXT, payload * 5, True)] * 2
    for each in (config, replace_map(config)):
        reason, code, _ = refused(message + frame(0x02, payload) + frame(0x00, payload) * 5, each)
        assert (reason, code) == ("too_many_frames", 1008)


def test_the_most_control_frames_inside_a_message() -> None:
    """Counted between two of its frames; outside of messages they cost nobody but their sender."""
    config = Settings(FrameLimits(max_controls=3))
    pings = frame(0x89) * 2 + frame(0x8A)
    assert len(relayed(frame(0x02) + pings + frame(0x00) + pings + frame(0x80) + pings * 5, config)[0]) == 24
    reason, code, heard = refused(frame(0x02) + pings + frame(0x89), config)
    assert (reason, code, len(heard)) == ("too_many_frames", 1008, 4)
    assert relayed(frame(0x02) + pings + frame(0x88), config)[0][-1] == (CLOSE, b"", True)


# Compression (RFC 7692).

LEGS = [(), (Side.CLIENT,), (Side.SERVER,), (Side.CLIENT, Side.SERVER)]


def squeeze(data: bytes, *, final_block: bool = False) -> bytes:
    """Data deflated as the payload of one frame, by zlib itself."""
    compressor = zlib.compressobj(wbits=-15)
    if final_block:
        return compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b"\0"
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("deflated", LEGS)
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("side", Side)
def test_each_leg_has_its_own_compression(deflated: tuple[Side, ...], takeover: bool, side: Side) -> None:
    """With or without history, on both legs, one, or none; also empty messages and fragments, twice."""
    config = Settings(deflated=deflated, takeover=takeover)
    sender, receiver = peers(config)[side], peers(config)[side.other]
    for _ in range(2):
        sender.send_text(GOOD_TEXT)
        sender.send_text(b"")
        sender.send_binary(b"abc" * 1000, fin=False)
        sender.send_ping(b"?")
        sender.send_continuation(b"", fin=False)
        sender.send_continuation(b"", fin=False)
        sender.send_continuation(bytes(range(256)), fin=True)
    said = b"".join(sender.data_to_send())
    talk = Playbook(FramesPlugin, config)
    for at in range(0, len(said), 7):
        talk.say(side, said[at : at + 7])
    assert talk.reasons == []
    assert (
        what(receiver.hears(talk.received(side.other)))
        == [
            *((TEXT, GOOD_TEXT, True), (TEXT, b"", True), (BINARY, b"abc" * 1000, False), (PING, b"?", True)),
            *((CONT, b"", False), (CONT, b"", False), (CONT, bytes(range(256)), True)),
        ]
        * 2
    )


DEFLATED = Settings(deflated=(Side.CLIENT,))


def test_the_messages_of_rfc_7692() -> None:
    """Section 7.2.3: compressed, with history, stored, with a final block, in two blocks; and one uncompressed."""
    messages = [
        "f248cdc9c90700",
        "f200110000",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f248050000 00ffff cac9c90700",
    ]
    said = b"".join(frame(0xC1, bytes.fromhex(message)) for message in messages) + HELLO
    assert relayed(said, DEFLATED)[0] == [(TEXT, b"Hello", True)] * 6
    in_fragments = frame(0x41, bytes.fromhex("f248cd")) + frame(0x80, bytes.fromhex("c9c90700"))
    assert relayed(in_fragments, replace_map(DEFLATED))[0] == [(TEXT, b"Hello", True)]


def test_nothing_is_lost_behind_a_final_block() -> None:
    """A decoder that has seen its end says nothing any more; each message must arrive nevertheless."""
    said = b"".join(frame(0xC2, squeeze(b"%d" % number, final_block=True)) for number in range(20))
    assert relayed(said + frame(0xC2, squeeze(b"x")), DEFLATED)[0] == [
        *((BINARY, b"%d" % number, True) for number in range(20)),
        (BINARY, b"x", True),
    ]


@pytest.mark.parametrize(
    "said",
    [
        *(frame(0xC2, b"\xff\xff\xff"), frame(0xC1, b"\x06"), frame(0x42, squeeze(b"a")) + frame(0x80, b"\xfe")),
        frame(0xC2, b"\x4a\x04" + b"\xff" * 20),
        frame(0xC2, b"\x03\x00" * 2 + b"\x00"),  # final blocks in a row: each would cost a decoder
    ],
)
def test_what_cannot_be_inflated(said: bytes) -> None:
    """1007."""
    reason, code, _ = refused(said, DEFLATED)
    assert (reason, code) == ("bad_deflate", 1007)


@pytest.mark.parametrize(
    "said", [frame(0x02) + frame(0xC0, b"x"), frame(0x42) + frame(0xC0, b"x"), frame(0xC9), frame(0xC8)]
)
def test_only_the_first_frame_of_a_message_is_marked(said: bytes) -> None:
    """RFC 7692 section 6."""
    assert refused(said, DEFLATED)[:2] == ("bad_frame", 1002)


def test_text_is_checked_when_inflated() -> None:
    """And a message that is not compressed may follow one that is."""
    assert refused(frame(0xC1, squeeze(b"\xff")), DEFLATED) == ("bad_text", 1007, [])
    assert relayed(frame(0xC1, squeeze(b"a")) + HELLO, DEFLATED)[0][1] == (TEXT, b"Hello", True)


@pytest.mark.parametrize("size", [99_999, 100_000, 100_001, 131_071, 131_072, 200_000])
@pytest.mark.parametrize("fragments", [1, 2, 5])
def test_the_limit_is_one_of_inflated_bytes(size: int, fragments: int) -> None:
    """Exactly, over all the frames of a message, also where the end is still inside of zlib."""
    data = squeeze(bytes(size))
    step = -(-len(data) // fragments)
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    said = b"".join(
        frame((0 if at else 0x42) | (0x80 if at == len(parts) - 1 else 0), part) for at, part in enumerate(parts)
    )
    talk = Playbook(FramesPlugin, Settings(FrameLimits(max_message=100_000), (Side.CLIENT,)))
    talk.client(said)
    assert talk.reasons == (["message_too_long"] if size > 100_000 else [])
    assert len(talk.to_server) <= 100_100
    if size <= 100_000:
        heard = what(Peer(Side.SERVER, []).hears(talk.to_server))
        assert b"".join(payload for _, payload, _ in heard) == bytes(size)


@pytest.mark.parametrize("payload", [bytes(1_000_000), b"".join(b"%d," % number**3 for number in range(60_000))])
def test_a_long_compressed_message_arrives_equal(payload: bytes) -> None:
    """Inflated and compressed anew in pieces."""
    config = Settings(deflated=(Side.CLIENT, Side.SERVER))
    talk = Playbook(FramesPlugin, config)
    talk.client(frame(0xC2, squeeze(payload)))
    assert what(peers(config)[Side.SERVER].hears(talk.to_server)) == [(BINARY, payload, True)]


def test_incompressible_data_of_the_longest_message() -> None:
    """Is longer in its frame than the limit; what no compressor makes of it is refused by the header."""
    limits = FrameLimits(max_message=1000)
    stored = b"\x00\x20\x00\xdf\xff" + b"x" * 32
    data = stored * 31 + b"\x00\x08\x00\xf7\xff" + b"y" * 8 + b"\x00"
    assert len(data) > 1000
    talk = Playbook(FramesPlugin, Settings(limits, (Side.CLIENT,)))
    talk.client(frame(0xC2, data))
    assert len(talk.to_server) == 1008
    talk.client(frame(0xC2, mark=126, length=limits.max_compressed + 1)[:8])
    assert talk.reasons == ["message_too_long"]


# Memory (T87).

MEGABYTE = 1024 * 1024


def peak(run: Callable[[], object]) -> int:
    """How many bytes more were allocated at one time."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("fragments", [1, 50])
def test_a_bomb_does_not_go_off(text: bool, fragments: int) -> None:
    """65 KB that inflate to 64 MiB cost no more than the limit of 1 MiB, and what zlib is working on."""
    data = squeeze(bytes(64 * MEGABYTE))
    step = -(-len(data) // fragments)
    opcode = 0x41 if text else 0x42
    said = [frame(opcode if not at else 0, data[at : at + step]) for at in range(0, len(data), step)]
    talk = Playbook(FramesPlugin, Settings(FrameLimits(max_message=MEGABYTE), (Side.CLIENT,), map_text=bytes))

    def talking() -> None:
        for each in said:
            talk.client(each)

    assert peak(talking) < MEGABYTE * 3 // 2
    assert talk.reasons == ["message_too_long"]
    assert b"\0" * 100 not in talk.to_server[2 * MEGABYTE :]


def test_a_length_is_not_believed() -> None:
    """Nothing is allocated for bytes that a header only promises."""
    talk = Playbook(FramesPlugin)
    assert peak(lambda: talk.client(frame(0x82, b"x" * 100, mark=127, length=16 * MEGABYTE))) < MEGABYTE // 4
    assert not talk.closed


def test_tiny_fragments_do_not_pile_up() -> None:
    """A text that is collected holds its bytes, and what the limit of frames allows besides."""
    talk = Playbook(FramesPlugin, Settings(map_text=bytes))
    talk.client(frame(0x01))
    said = frame(0x00, b"\xc3") + frame(0x00, b"\xa9")

    def talking() -> None:
        for _ in range(3000):
            talk.client(said)

    assert peak(talking) < MEGABYTE
    assert talk.reasons == ["too_many_frames"]


def test_a_rare_character_does_not_make_a_text_four_times_as_big() -> None:
    """What is checked is decoded in pieces."""
    talk = Playbook(FramesPlugin)
    said = frame(0x81, b"a" * (4 * MEGABYTE) + "😀".encode(), masked=False)
    assert peak(lambda: talk.server(said)) < 6 * 4 * MEGABYTE
    assert talk.reasons == []


# What holds for all messages.

Message = tuple[Opcode, bytes, list[int], bool]
messages = st.tuples(
    st.sampled_from([TEXT, BINARY]),
    st.text(max_size=60).map(str.encode) | st.binary(max_size=3).map(lambda unit: unit.hex().encode() * 50),
    st.lists(st.integers(0, 300), max_size=4),
    st.booleans(),
)


def tell(peer: Peer, message: Message) -> None:
    """Have a peer send a message in fragments, with a ping behind the first."""
    opcode, payload, places, with_ping = message
    edges = [0, *sorted(min(place, len(payload)) for place in places), len(payload)]
    parts = [payload[start:end] for start, end in itertools.pairwise(edges)]
    send = peer.send_text if opcode is TEXT else peer.send_binary
    send(parts[0], fin=len(parts) == 1)
    if with_ping:
        peer.send_ping(b"between")
    for at, part in enumerate(parts[1:], 2):
        peer.send_continuation(part, fin=at == len(parts))


def whole(frames: list[Frame]) -> list[tuple[Opcode, bytes]]:
    """The messages in frames; each ends with its last frame, controls are left out."""
    result: list[tuple[Opcode, bytes]] = []
    for each in frames:
        if each.opcode is CONT:
            result[-1] = (result[-1][0], result[-1][1] + bytes(each.data))
        elif each.opcode in (TEXT, BINARY):
            result.append((each.opcode, bytes(each.data)))
    return result


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(Side),
    st.lists(messages, max_size=6),
    st.sampled_from(LEGS),
    st.booleans(),
    st.booleans(),
    st.integers(1, 200),
)
def test_whatever_is_said_arrives_equal(
    side: Side, said: list[Message], deflated: tuple[Side, ...], takeover: bool, mapped: bool, step: int
) -> None:
    """T64: any messages, fragmented anyhow, deflated on either leg or none, cut anywhere."""
    config = Settings(deflated=deflated, takeover=takeover, map_text=bytes if mapped else None)
    ends = peers(config)
    for message in said:
        tell(ends[side], message)
    data = b"".join(ends[side].data_to_send())
    talk = Playbook(FramesPlugin, config)
    for at in range(0, len(data), step):
        talk.say(side, data[at : at + step])
    heard = ends[side.other].hears(talk.received(side.other))
    assert talk.reasons == []
    assert whole(heard) == [(opcode, payload) for opcode, payload, _, _ in said]
    assert [each.opcode for each in heard].count(PING) == sum(with_ping for *_, with_ping in said)
    if mapped:
        assert all(each.fin for each in heard if each.opcode is TEXT)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(Side), st.lists(st.binary(max_size=12), max_size=8), st.sampled_from(LEGS))
def test_whatever_bytes_come_nothing_else_is_raised(side: Side, said: list[bytes], deflated: tuple[Side, ...]) -> None:
    """Semantic 8: a peer can only cause a `FrameError`; and what the other side hears is in order."""
    config = Settings(FrameLimits(max_message=1000), deflated)
    talk = Playbook(FramesPlugin, config)
    for each in said:
        talk.say(side, each)
    assert talk.error is None or isinstance(talk.error, FrameError)
    peers(config)[side.other].hears(talk.received(side.other))

"""Frames that are compressed (RFC 7692), what they cost, and what holds for all of them."""

from __future__ import annotations

import itertools
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from alg_http.frames import FrameError, FrameLimits
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from alg.plugin import Side
from alg.testing import Playbook
from tests.plugins.websocket_talk import (
    BINARY,
    CONT,
    GOOD_TEXT,
    HELLO,
    PING,
    TEXT,
    FramesPlugin,
    Peer,
    Settings,
    frame,
    peers,
    refused,
    relayed,
    replace_map,
    what,
)

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

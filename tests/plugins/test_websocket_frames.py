"""Frames that are read: their form, their text, how they close, and how many there may be (RFC 6455 sections 5, 7 and 8)."""

from __future__ import annotations

import functools

import pytest
from alg_http.frames import FrameLimits, close_frame
from websockets.frames import Opcode

from alg.plugin import Side
from alg.testing import Playbook
from tests.plugins.websocket_talk import (
    BINARY,
    CLOSE,
    CONT,
    GOOD_TEXT,
    HELLO,
    KEY,
    PING,
    PONG,
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

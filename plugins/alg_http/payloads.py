"""What the payload of a WebSocket frame may hold: deflated data, UTF-8, a close code. And the error for what it may not.

The library (`websockets`) negotiates deflate and compresses. We inflate ourselves, because its `decode` loses, and keeps
for ever, all that comes after a block marked as final, and in older versions may exceed its own limit.
"""

from __future__ import annotations

import re
import zlib

from websockets.exceptions import ProtocolError as LibraryError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from alg.plugin import ProtocolError

PIECE = 65536
"""How many bytes are inflated, or checked as text, at a time."""

WINDOW_BITS = 12
"""What we compress with, at most: 4 KiB of history and 32 KiB of memory for each leg, as servers usually offer."""
COMPRESS_SETTINGS = {"memLevel": 5}

_MAX_REASON = 123  # a control frame holds 125 bytes, the code takes two (RFC 6455 sections 5.5 and 5.5.1)

# The close codes for what a side did wrong (RFC 6455 section 7.4.1).
_CODES = {"bad_frame": 1002, "bad_text": 1007, "bad_deflate": 1007, "too_many_frames": 1008, "message_too_long": 1009}

# What RFC 7692 section 7.2.1 takes off the end of each message: the length of an empty stored block.
_FLUSH_TAIL = b"\x00\x00\xff\xff"

# A character whose end has not come yet, at the end of the data (RFC 3629 section 4).
_PARTIAL_CHARACTER = re.compile(
    rb"(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|\xed[\x80-\x9f]?|[\xe1-\xec\xee\xef][\x80-\xbf]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)


class FrameError(ProtocolError):
    """A side broke RFC 6455, or a limit. The reason is one of `bad_frame`, `bad_text`, `bad_deflate`,
    `too_many_frames`, `message_too_long`."""

    default_reason = "bad_frame"

    @property
    def code(self) -> int:
        """The close code that tells a peer of it."""
        return _CODES[self.reason]


class Deflate(PerMessageDeflate):
    """Deflate on one leg, as negotiated (RFC 7692): `encode` for what we send there, `inflate` for what comes from it."""

    def __init__(self, who: str, agreed: PerMessageDeflate) -> None:
        """Take over what was negotiated with `who` (`client` or `server`)."""
        super().__init__(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            # RFC 7692 section 7.1.2: to use less of the window than was agreed is always right.
            min(agreed.local_max_window_bits, WINDOW_BITS),
            COMPRESS_SETTINGS,
        )
        self.who = who
        self._finished = False

    def inflate(self, payload: bytes, *, first: bool, final: bool, room: int) -> bytes:
        """Inflate the payload of the first, the final or another frame of a message; `room` is how long it may get.

        No more than that is ever held, and a piece.

        Raises:
            FrameError: it is longer (`message_too_long`), or no deflated data (`bad_deflate`).
        """
        if first:
            self._finished = False
            if self.remote_no_context_takeover:
                self._renew_decoder()
        if final:
            payload += _FLUSH_TAIL
        pieces: list[bytes] = []
        try:
            for start in range(0, len(payload), PIECE):
                room = self._inflate_piece(payload[start : start + PIECE], pieces, room)
        except zlib.error as problem:
            raise FrameError(
                f"the {self.who} sent a compressed message that is none", reason="bad_deflate"
            ) from problem
        if final and self.remote_no_context_takeover:
            del self.decoder
        return b"".join(pieces)

    def _inflate_piece(self, data: bytes, pieces: list[bytes], room: int) -> int:
        """Inflate some bytes, append what they hold to the pieces, and return the room that is left."""
        while data:  # the tail is consumed last: once it is, nothing of the message is left inside
            inflated = self.decoder.decompress(data, min(PIECE, room + 1))
            room -= len(inflated)
            if room < 0:
                raise FrameError(f"the {self.who} sent a message that inflates too far", reason="message_too_long")
            if inflated:
                pieces.append(inflated)
            data = self.decoder.unconsumed_tail
            if self.decoder.eof:
                data = self.decoder.unused_data
                self._go_on_after_final_block()
        return room

    def _go_on_after_final_block(self) -> None:
        """A sender may finish its compressor with each message (RFC 7692 section 7.2.3.4), and then has no history.

        Once for each message: a decoder for every two bytes would be slow.
        """
        if self._finished:
            raise FrameError(f"the {self.who} sent a message with more than one final block", reason="bad_deflate")
        self._finished = True
        self._renew_decoder()

    def _renew_decoder(self) -> None:
        self.decoder = zlib.decompressobj(wbits=-self.remote_max_window_bits)


class TextCheck:
    """Whether the frames of a message, however it was cut, are UTF-8 (RFC 6455 section 8.1)."""

    __slots__ = ("_partial", "_who")

    def __init__(self, who: str) -> None:
        self._who = who
        self._partial = b""

    def feed(self, payload: bytes, final: bool) -> None:
        """Check one frame's payload as far as it goes: the end of a character may come with the next, if there is one.

        Raises:
            FrameError: no continuation could make it UTF-8 (`bad_text`).
        """
        if self._partial or not payload.isascii():
            for start in range(
                0, len(payload), PIECE
            ):  # in pieces: one rare character makes a string four times as big
                self._feed_piece(payload[start : start + PIECE])
        if final and self._partial:
            raise FrameError(f"the {self._who} ended a text message inside a character", reason="bad_text")

    def _feed_piece(self, piece: bytes) -> None:
        data = self._partial + piece
        partial = _PARTIAL_CHARACTER.search(data, max(len(data) - 3, 0))
        end = partial.start() if partial else len(data)
        try:
            data[:end].decode("utf-8")
        except UnicodeDecodeError as problem:
            raise FrameError(f"the {self._who} sent text that is not UTF-8", reason="bad_text") from problem
        self._partial = data[end:]


def parse_close(payload: bytes, who: str) -> int:
    """Return the code in the payload of a close frame, 1005 if it is empty.

    Raises:
        FrameError: one byte, a code that must not be on the wire (RFC 6455 section 7.4; `bad_frame`), or a reason that
            is not UTF-8 (`bad_text`).
    """
    try:
        return int(Close.parse(payload).code)
    except LibraryError as problem:
        raise FrameError(f"the {who} sent a wrong close frame: {problem}") from problem
    except UnicodeDecodeError as problem:
        raise FrameError(f"the {who} closed for a reason that is not UTF-8", reason="bad_text") from problem


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Return a close frame; a long reason is cut. The code must be one that may be on the wire; mask toward servers."""
    words = reason.encode("utf-8")[:_MAX_REASON].decode("utf-8", "ignore")
    return Frame(Opcode.CLOSE, Close(code, words).serialize()).serialize(mask=masked)

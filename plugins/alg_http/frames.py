"""One direction of a WebSocket whose frames are read: each is checked, and serialised anew for the other leg.

The header is parsed here (RFC 6455 section 5.2), not by the library's `Frame.parse`: that one takes lengths that are not
minimal, has the payload before it looks at reserved bits and control frames' sizes, counts no frames, and drives a
generator of its own where a plugin has coroutines. Masking, compression, serialising and the table of close codes are the library's
(`websockets`): in C where it matters, with random masking keys, which plugins have not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]  # the compiled one, if there is

from alg.plugin import Side, Stream
from alg_http.payloads import Deflate, FrameError, TextCheck, close_frame, parse_close

__all__ = ["Deflate", "FrameError", "FrameLimits", "FrameRelay", "MapText", "close_frame"]

MapText = Callable[[bytes], Awaitable[bytes]]
"""Maps a whole text message; it is handed valid UTF-8, and must return such."""

_OPCODES = {int(opcode): opcode for opcode in Opcode}
_LENGTH_FIELDS = {126: (2, 126), 127: (8, 65536)}
"""How many bytes the extended length has, and the least length that needs it (RFC 6455 section 5.2: the minimal number)."""
_CONTROL_LIMIT = 125  # RFC 6455 section 5.5
_FINAL, _RESERVED_1, _RESERVED_2_3, _OPCODE, _CONTROL = 0x80, 0x40, 0x30, 0x0F, 0x08
_MASKED, _LENGTH = 0x80, 0x7F


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """How much one side may send."""

    max_message: int = 16 * 1024 * 1024
    """Bytes of a message, all its frames together, after inflating."""
    max_mapped: int = 1024 * 1024
    """The same, of a text message that is mapped: it is looked through while everybody waits."""
    max_frames: int = 4096
    """Frames of one message; that many of 4 KiB make the longest message."""
    max_controls: int = 256
    """Pings and pongs between two frames of one message."""

    @property
    def max_compressed(self) -> int:
        """Bytes of a compressed frame: what no compressor exceeds that has a message of the limit to compress."""
        return self.max_message + self.max_message // 8 + 64


class FrameRelay:
    """Relays the frames that one side of a WebSocket sends. The two relays of a connection share the legs' `Deflate`.

    Frames pass one by one, and pings and pongs at once, even inside a message. Nothing of a frame that breaks a rule is
    sent on.
    """

    __slots__ = (
        "_check",
        "_compressed",
        "_controls",
        "_first",
        "_frames",
        "_inbound",
        "_limits",
        "_map_text",
        "_masked",
        "_opcode",
        "_outbound",
        "_pieces",
        "_size",
        "_stream",
        "close_code",
    )

    def __init__(
        self,
        stream: Stream,
        *,
        limits: FrameLimits | None = None,
        inbound: Deflate | None = None,
        outbound: Deflate | None = None,
    ) -> None:
        """Relay what comes from a stream; `inbound` was negotiated on its leg, `outbound` on the other."""
        self._stream = stream
        self._limits = limits or FrameLimits()
        self._map_text: MapText | None = None
        self._inbound = inbound
        self._outbound = (outbound,) if outbound else ()
        # Clients mask, servers must not (RFC 6455 section 5.1); toward a server we are a client.
        self._masked = stream.side is Side.CLIENT
        self.close_code: int | None = None
        """The code of the close frame that has passed (1005: it had none); None before."""
        # Of the message that is under way: its opcode, None between messages.
        self._opcode: Opcode | None = None
        self._compressed = False
        self._first = False
        self._size = 0
        self._frames = 0
        self._controls = 0
        self._pieces: list[bytes] = []
        self._check = TextCheck(stream.side.value)

    @property
    def closed(self) -> bool:
        """Whether a close frame has passed; that side has said its last word then (RFC 6455 section 5.5.1)."""
        return self.close_code is not None

    async def run(self, map_text: MapText | None = None) -> None:
        """Relay frames until a close frame has passed, or the stream has ended between two frames.

        Each text message is collected and goes on as one frame, as `map_text` returns it; without that, text passes
        frame by frame as binary messages do. A coroutine that ends makes its side opaque: `discard` comes next.

        Raises:
            FrameError: that side broke RFC 6455 or a limit; its `code` is for the close frames that both sides get.
            ProtocolError: the stream ended inside a frame (`truncated`).
        """
        stream = self._stream
        self._map_text = map_text
        while head := await stream.read_some(2):
            if len(head) < 2:
                head += await stream.read_exactly(1)
            first, length = head[0], head[1] & _LENGTH
            self._check_head(first, head[1])
            if length in _LENGTH_FIELDS:
                length = await self._read_length(length)
            if first & _CONTROL:
                self._relay_control(_OPCODES[first & _OPCODE], await self._read_payload(length))
                if self.close_code is not None:
                    return
            else:
                self._begin_data(first, length)
                await self._relay_data(bool(first & _FINAL), await self._read_payload(length))

    async def discard(self) -> None:
        """Read to the end of the stream, and drop it: what comes after a close frame (RFC 6455 section 1.4)."""
        while await self._stream.read_some():
            pass

    # The header (RFC 6455 section 5.2).

    def _check_head(self, first: int, second: int) -> None:
        """Check the two bytes that each frame begins with, as far as they do not depend on the message."""
        opcode = first & _OPCODE
        if opcode not in _OPCODES:
            raise self._error(f"a frame with the reserved opcode {opcode}")
        if first & _RESERVED_2_3:
            raise self._error("a frame with a reserved bit set")
        # RFC 7692 section 6: bit 1 is for the first frame of a compressed message, where that was negotiated.
        if first & _RESERVED_1 and (self._inbound is None or opcode not in (Opcode.TEXT, Opcode.BINARY)):
            raise self._error("a frame marked as compressed that must not be")
        if bool(second & _MASKED) is not self._masked:
            raise self._error("a frame that is not masked" if self._masked else "a masked frame")
        if opcode & _CONTROL:
            if not first & _FINAL:
                raise self._error("a control frame in fragments")
            if second & _LENGTH > _CONTROL_LIMIT:
                raise self._error(f"a control frame of more than {_CONTROL_LIMIT} bytes")

    async def _read_length(self, mark: int) -> int:
        count, least = _LENGTH_FIELDS[mark]
        length = int.from_bytes(await self._stream.read_exactly(count), "big")
        if length < least:
            raise self._error("a frame whose length is not in its shortest form")
        if length >> 63:
            raise self._error("a frame whose length has its highest bit set")
        return length

    async def _read_payload(self, length: int) -> bytes:
        if not self._masked:
            return await self._stream.read_exactly(length)
        data = await self._stream.read_exactly(4 + length)
        payload: bytes = apply_mask(memoryview(data)[4:], data[:4])
        return payload

    # Control frames (RFC 6455 section 5.5).

    def _relay_control(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.CLOSE:
            self.close_code = parse_close(payload, self._stream.side.value)
        elif self._opcode is not None:
            self._controls += 1
            if self._controls > self._limits.max_controls:
                raise self._error("too many control frames inside a message", "too_many_frames")
        self._send(Frame(opcode, payload))

    # Messages (RFC 6455 sections 5.4 and 5.6).

    def _begin_data(self, first: int, length: int) -> None:
        """Check what a data frame may be at this point of a message, before its payload is waited for."""
        opcode = _OPCODES[first & _OPCODE]
        self._first = opcode is not Opcode.CONT
        if self._first:
            if self._opcode is not None:
                raise self._error("a new message inside another")
            self._opcode = opcode
            self._compressed = bool(first & _RESERVED_1)
            self._size = self._frames = 0
        elif self._opcode is None:
            raise self._error("a continuation of no message")
        self._controls = 0
        self._frames += 1
        if self._frames > self._limits.max_frames:
            raise self._error(f"a message of more than {self._limits.max_frames} frames", "too_many_frames")
        room = self._limits.max_compressed if self._compressed else self._limit - self._size
        if length > room:
            raise self._error(f"a message of more than {self._limit} bytes", "message_too_long")

    @property
    def _limit(self) -> int:
        """How long the message that is under way may be."""
        is_mapped = self._map_text is not None and self._opcode is Opcode.TEXT
        return min(self._limits.max_mapped, self._limits.max_message) if is_mapped else self._limits.max_message

    async def _relay_data(self, final: bool, payload: bytes) -> None:
        opcode = self._opcode
        assert opcode is not None, "a message is under way"
        if self._compressed:
            assert self._inbound is not None, "its head was checked"
            room = self._limit - self._size
            payload = self._inbound.inflate(payload, first=self._first, final=final, room=room)
        self._size += len(payload)
        if final:
            self._opcode = None
        if opcode is Opcode.TEXT:
            self._check.feed(payload, final)
            if self._map_text:
                self._pieces.append(payload)
                if final:
                    whole, self._pieces = b"".join(self._pieces), []
                    self._send(Frame(opcode, await self._map_text(whole)))
                return
        self._send(Frame(opcode if self._first else Opcode.CONT, payload, final))

    def _send(self, frame: Frame) -> None:
        self._stream.send(frame.serialize(mask=self._masked, extensions=self._outbound))

    def _error(self, what: str, reason: str = "bad_frame") -> FrameError:
        return FrameError(f"the {self._stream.side.value} sent {what}", reason=reason)

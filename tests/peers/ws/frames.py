"""WebSocket frames made and read by hand (RFC 6455 section 5, RFC 7692), right or wrong as a case wants them."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}
MASK = b"\x37\xfa\x21\x3d"
TAIL = b"\x00\x00\xff\xff"


def masked(payload: bytes, mask: bytes) -> bytes:
    """Apply a mask; twice is not at all."""
    size = len(payload)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    width: int | None = None,
    announced: int | None = None,
) -> bytes:
    """One frame; `width` forces the bytes of its extended length (0, 2, 8), `announced` another length than it has."""
    length = len(payload) if announced is None else announced
    if width is None:
        width = 0 if length < 126 else 2 if length < 1 << 16 else 8
    short = {0: length, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short]) + (
        length.to_bytes(width, "big") if width else b""
    )
    return head + (payload if mask is None else mask + masked(payload, mask))


def text(words: str | bytes, fin: bool = True) -> bytes:
    """A text frame."""
    return frame(TEXT, words.encode() if isinstance(words, str) else words, fin)


def binary(payload: bytes, fin: bool = True) -> bytes:
    """A binary frame."""
    return frame(BINARY, payload, fin)


def more(payload: bytes, fin: bool = False) -> bytes:
    """A fragment of what has begun."""
    return frame(CONTINUATION, payload, fin)


def close(code: int | None = 1000, reason: str | bytes = b"") -> bytes:
    """A close frame."""
    told = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + told)


def ping(payload: bytes = b"") -> bytes:
    """A ping."""
    return frame(PING, payload)


def pong(payload: bytes = b"") -> bytes:
    """A pong."""
    return frame(PONG, payload)


def described(kind: int, payload: bytes, compressed: bool = False) -> str:
    """A message or control frame as a verdict tells it."""
    if kind == CLOSE:
        code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else "empty"
        # Servers word the reason of an error as they like; what they echo is part of the verdict.
        reason = payload[2:].decode(errors="replace") if code in (1000, 3000, 4999) else ""
        return f"close {code} {reason}".strip()
    digest = hashlib.sha256(payload).hexdigest()[:8]
    return f"{'compressed ' if compressed else ''}{NAMES.get(kind, kind)} {len(payload)} {digest}"


@dataclass
class Deflater:
    """A side's compression, that forgets between messages if so agreed."""

    takeover: bool = True
    bits: int = 15

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._out = zlib.compressobj(9, zlib.DEFLATED, -self.bits)
        self._in = zlib.decompressobj(-self.bits)

    def deflate(self, payload: bytes) -> bytes:
        """Compress a message."""
        data = self._out.compress(payload) + self._out.flush(zlib.Z_SYNC_FLUSH)
        if not self.takeover:
            self._begin()
        return data.removesuffix(TAIL)

    def inflate(self, payload: bytes) -> bytes:
        """Expand a message."""
        data = self._in.decompress(payload + TAIL)
        if not self.takeover:
            self._begin()
        return data


class Reader:
    """Turns what a server sends into the items of a verdict."""

    def __init__(self, inflater: Deflater | None = None) -> None:
        self._buffer = bytearray()
        self._inflater = inflater
        self._kind = 0
        self._compressed = False
        self._message = bytearray()
        self.items: list[str] = []
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take in what came."""
        self._buffer += data
        while not self.closed and self._one():
            pass

    def _one(self) -> bool:
        """Take one frame, if it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        short = buffer[1] & 127
        start = 2 + {126: 2, 127: 8}.get(short, 0)
        length = short if short < 126 else int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start or len(buffer) < start + length:
            return False
        first, hidden, payload = buffer[0], buffer[1] & 128, bytes(buffer[start : start + length])
        del buffer[: start + length]
        if hidden:
            self.items.append("masked")
        self._frame(bool(first & 128), first >> 4 & 7, first & 15, payload)
        return True

    def _frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if rsv & 3 or (rsv and not self._inflater):
            self.items.append(f"reserved bits {rsv}")
        if opcode >= CLOSE:
            self.items.append(described(opcode, payload))
            self.closed = opcode == CLOSE
            return
        if opcode != CONTINUATION:
            self._kind, self._compressed = opcode, bool(rsv & 4)
        self._message += payload
        if fin:
            message = bytes(self._message)
            self._message.clear()
            if self._compressed and self._inflater:
                message = self._inflater.inflate(message)
            self.items.append(described(self._kind, message, self._compressed))

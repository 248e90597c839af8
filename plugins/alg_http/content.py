"""Content codings (RFC 9110 section 8.4.1): a body that was compressed, as it was before, within a bound.

Only whole bodies, and only the codings that the standard library has. Nothing is compressed here.
"""

from __future__ import annotations

import zlib

from alg.plugin import ProtocolError

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_STEP = 4096  # what is handed to zlib at once: it copies what is left behind the end of each stream


def decode(data: bytes, coding: str, limit: int) -> bytes:
    """Return the body without its content coding: `identity` (or none), `gzip`, `x-gzip` or `deflate`.

    No more than `limit` bytes, and one, are ever inflated.

    Raises:
        ProtocolError: the body is longer than the limit (`body_too_long`); it is broken, cut off or has something
            behind its end (`bad_coding`); the coding is another one, or more than one (`unknown_coding`).
    """
    coding = coding.strip(" \t").lower()
    if coding in ("", "identity"):
        if len(data) > limit:
            raise _too_long(limit)
        return data
    if coding in ("gzip", "x-gzip"):
        return _inflate(data, _GZIP, limit, several=True)
    if coding == "deflate":
        return _inflate(data, _ZLIB if _has_zlib_header(data) else _RAW, limit, several=False)
    raise ProtocolError(f"the body has the content coding {coding[:40]!a}", reason="unknown_coding")


def _too_long(limit: int) -> ProtocolError:
    return ProtocolError(f"the decoded body is longer than {limit} bytes", reason="body_too_long")


def _has_zlib_header(data: bytes) -> bool:
    """Whether it begins as RFC 1950 section 2.2 says; some servers leave the zlib format out (RFC 9110 8.4.1.2).

    Raw data could begin so only with a stored block whose unused bits, which every compressor leaves 0, are not.
    """
    return data[:1] != b"" and data[0] & 0x8F == 0x08 and int.from_bytes(data[:2], "big") % 31 == 0


def _inflate(data: bytes, window: int, limit: int, *, several: bool) -> bytes:
    """Inflate a stream, or several up to the end (RFC 1952 section 2.2)."""
    view = memoryview(data)
    parts: list[bytes] = []
    position, room = 0, limit
    decompressor = zlib.decompressobj(window)
    while not decompressor.eof or (several and position < len(view)):
        if decompressor.eof:
            decompressor = zlib.decompressobj(window)
        step = view[position : position + _STEP]
        if not step:
            raise ProtocolError("the compressed body is cut off", reason="bad_coding")
        try:
            part = decompressor.decompress(step, room + 1)
        except zlib.error:
            raise ProtocolError("the compressed body is broken", reason="bad_coding") from None
        room -= len(part)
        if room < 0:
            raise _too_long(limit)
        parts.append(part)
        position += len(step) - len(decompressor.unused_data)
    if position < len(view):
        raise ProtocolError("there is something behind the compressed body", reason="bad_coding")
    return b"".join(parts)

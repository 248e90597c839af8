"""Content codings (RFC 9110 section 8.4.1) of bodies that have to be read: undone within a limit, whatever a peer packs."""

from __future__ import annotations

import zlib

from alg.plugin import ProtocolError

_GZIP, _ZLIB, _RAW = 31, 15, -15  # what zlib calls them


def decode(data: bytes, coding: str, limit: int) -> bytes:
    """Undo a content coding; `coding` is the value of `Content-Encoding`, in lower case.

    Raises:
        ProtocolError: the coding is none that is known here (`unknown_coding`), the data is not that (`bad_coding`), or
            more than `limit` bytes come out of it (`body_too_long`).
    """
    if coding in ("", "identity"):
        return data
    if coding in ("gzip", "x-gzip"):
        return _inflate(data, _GZIP, limit)
    if coding == "deflate":
        # RFC 9110 section 8.4.1.2 means zlib's format; some servers leave its two bytes of head away.
        wrapped = len(data) >= 2 and data[0] & 0x0F == 8 and not (data[0] << 8 | data[1]) % 31
        return _inflate(data, _ZLIB if wrapped else _RAW, limit)
    raise ProtocolError(f"a body in the coding {coding[:40]!a} cannot be read", reason="unknown_coding")


def _inflate(data: bytes, form: int, limit: int) -> bytes:
    """Inflate one stream, or several in a row."""
    pieces, left = [], limit
    while data:
        inflater = zlib.decompressobj(form)
        try:
            piece = inflater.decompress(data, left + 1)
        except zlib.error:
            raise _broken() from None
        if len(piece) > left:
            raise ProtocolError(f"a compressed body holds more than {limit} bytes (max_body)", reason="body_too_long")
        if not inflater.eof:
            raise _broken()
        pieces.append(piece)
        left -= len(piece)
        if form != _GZIP and inflater.unused_data:
            raise _broken()
        data = inflater.unused_data
    return b"".join(pieces)


def _broken() -> ProtocolError:
    return ProtocolError("a compressed body is broken, or cut off", reason="bad_coding")

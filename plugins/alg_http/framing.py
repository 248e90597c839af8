"""How long a body is (RFC 9112 section 6), and how it passes: bulk unread, chunks framed anew, or read whole where an
address may be in it. What follows a message in the stream is never touched.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from alg.plugin import ProtocolError, Stream
from alg_http.heads import FORWARDED, Header, Request, Response, values

_CHUNK_LINE = 256  # bytes, with extensions; these are dropped
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_SMALL = 16384
"""Chunks up to this size are read, and sent in one piece with their frame."""
_TRAILERS = 8192
_TRAILER = re.compile(rb"[!#\x24%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")
_NO_TRAILERS = FORWARDED | frozenset(
    b"transfer-encoding content-length host connection trailer te upgrade location content-encoding content-type"
    b" content-range authorization set-cookie cookie expect cache-control origin".split()
)
"""What no trailer may say (RFC 9110 section 6.5.1): how the message is read, who sent it, and what comes of it."""
_LAST = b"0\r\n"


class Framing(enum.Enum):
    """How the end of a body is known."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is yet to come; `length` in bytes where that is known."""

    framing: Framing
    length: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing will come."""
        return self.framing is Framing.NONE or (self.framing is Framing.LENGTH and not self.length)


_NOTHING = Body(Framing.NONE)


def request_body(request: Request) -> Body:
    """The body of a request."""
    return _declared(request.headers) or _NOTHING


def response_body(request: Request, response: Response) -> Body:
    """The body of a response, which depends on what was asked (RFC 9112 section 6.3)."""
    if request.method == b"HEAD" or response.status in (204, 304) or response.status < 200:
        return _NOTHING
    return _declared(response.headers) or Body(Framing.UNTIL_CLOSE)


def _declared(headers: Sequence[Header]) -> Body | None:
    if values(headers, b"transfer-encoding"):
        return Body(Framing.CHUNKED)
    if lengths := values(headers, b"content-length"):
        return Body(Framing.LENGTH, int(lengths[0]))  # h11 has seen to it that these are digits
    return None


def framing_headers(body: Body) -> tuple[Header, ...]:
    """The fields that say so."""
    if body.framing is Framing.CHUNKED:
        return ((b"Transfer-Encoding", b"chunked"),)
    if body.framing is Framing.LENGTH:
        return ((b"Content-Length", b"%d" % body.length),)
    return ()


async def pass_body(stream: Stream, body: Body, *, chunks: bool = True) -> None:
    """Let a body pass; with `chunks` off, a chunked one goes on without its frames (to who speaks HTTP/1.0).

    Raises:
        ProtocolError: a chunk is malformed (`bad_chunk`), or that side ends before.
    """
    if body.framing is Framing.LENGTH:
        await stream.forward(body.length)
    elif body.framing is Framing.CHUNKED:
        while size := await _chunk_size(stream):
            if chunks:
                await _pass_chunk(stream, size)
            else:
                await stream.forward(size)
                await _chunk_end(stream)
        trailers = await _trailers(stream)
        if chunks:
            stream.send(_LAST + trailers + b"\r\n")


async def _pass_chunk(stream: Stream, size: int) -> None:
    if size <= _SMALL:
        data = await stream.read_exactly(size)
        await _chunk_end(stream)
        stream.send(b"%x\r\n%s\r\n" % (size, data))
        return
    stream.send(b"%x\r\n" % size)
    await stream.forward(size)
    await _chunk_end(stream)
    stream.send(b"\r\n")


async def read_body(stream: Stream, body: Body, limit: int) -> bytes:
    """Read a body whole, which is not empty; trailers are dropped.

    Raises:
        ProtocolError: it is longer than `limit` (`body_too_long`), malformed, or cut off.
    """
    if body.framing is Framing.LENGTH:
        _check_length(stream, body.length, limit)
        return await stream.read_exactly(body.length)
    data = bytearray()
    if body.framing is Framing.UNTIL_CLOSE:
        while piece := await stream.read_some():
            _check_length(stream, len(data) + len(piece), limit)
            data += piece
    else:
        while size := await _chunk_size(stream):
            _check_length(stream, len(data) + size, limit)
            data += await stream.read_exactly(size)
            await _chunk_end(stream)
        await _trailers(stream)
    return bytes(data)


def _check_length(stream: Stream, length: int, limit: int) -> None:
    if length > limit:
        raise ProtocolError(
            f"the {stream.side.value} sent a body of more than {limit} bytes where addresses are looked for (max_body)",
            reason="body_too_long",
        )


async def _chunk_size(stream: Stream) -> int:
    line = await _line(stream, _CHUNK_LINE)
    match = _CHUNK.fullmatch(line)
    if match is None:
        raise ProtocolError(f"the {stream.side.value} sent a malformed chunk size", reason="bad_chunk")
    return int(match[1], 16)


async def _chunk_end(stream: Stream) -> None:
    if await stream.read_exactly(2) != b"\r\n":
        raise ProtocolError(f"the {stream.side.value} sent a chunk of another size than it says", reason="bad_chunk")


async def _trailers(stream: Stream) -> bytes:
    """The trailer fields behind the last chunk, but for those that must not stand there (RFC 9110 section 6.5.1)."""
    kept, left = b"", _TRAILERS
    while (line := await _line(stream, left)) != b"\r\n":
        if not _TRAILER.fullmatch(line):
            raise ProtocolError(f"the {stream.side.value} sent a malformed trailer", reason="bad_chunk")
        left -= len(line)
        if line.partition(b":")[0].lower().replace(b"_", b"-") not in _NO_TRAILERS:
            kept += line
    return kept


async def _line(stream: Stream, limit: int) -> bytes:
    try:
        line = await stream.read_line(limit)
    except ProtocolError as error:
        if error.reason != "line_too_long":
            raise
        raise ProtocolError(f"the {stream.side.value} sent a chunk head that is too long", reason="bad_chunk") from None
    if not line:
        raise ProtocolError(f"the {stream.side.value} ended inside a body", reason="truncated")
    return line

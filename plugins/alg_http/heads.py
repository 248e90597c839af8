"""Heads of HTTP/1.1 messages: read line by line, parsed by h11, written by us. What h11 lets pass and other parsers read
otherwise is refused here (RFC 9112, RFC 9110 section 5.5); how long a body is stands in `framing`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

import h11

from alg.plugin import ProtocolError, Side, Stream

Header: TypeAlias = tuple[bytes, bytes]
"""A name as it was written, and a value without blanks around it."""

_LENGTH_DIGITS = 18  # below 2**63
_EMPTY_LINES = 2  # before a request (RFC 9112 section 2.2)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request. `version` is `1.0` or `1.1`."""

    method: bytes
    target: bytes
    version: bytes
    headers: tuple[Header, ...] = field(default=(), repr=False)

    @property
    def path(self) -> str:
        """The path of an origin-form target, without its query, percent-decoded: to compare by, never to be sent."""
        return unquote_to_bytes(self.target.partition(b"?")[0]).decode("utf-8", "replace")

    @property
    def summary(self) -> str:
        """Method and path, for records."""
        return f"{self.method.decode('ascii', 'replace')} {self.path[:80]}"

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name, in lower case."""
        return values(self.headers, name)

    def to_bytes(self) -> bytes:
        """The head on the wire, always as HTTP/1.1."""
        return b"%s %s HTTP/1.1\r\n%s\r\n" % (self.method, self.target, format_headers(self.headers))


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response."""

    status: int
    reason: bytes = b""
    version: bytes = b"1.1"
    headers: tuple[Header, ...] = field(default=(), repr=False)

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name, in lower case."""
        return values(self.headers, name)

    def to_bytes(self) -> bytes:
        """The head on the wire, always as HTTP/1.1."""
        return b"HTTP/1.1 %d %s\r\n%s\r\n" % (self.status, self.reason, format_headers(self.headers))


def values(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """The values of all fields of that name, which is given in lower case."""
    return [value for each, value in headers if each.lower() == name]


def tokens(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """The members of a list of tokens in all fields of that name, in lower case (RFC 9110 section 5.6.1)."""
    parts = [part.strip(b" \t").lower() for value in values(headers, name) for part in value.split(b",")]
    return [part for part in parts if part]


def without(headers: Iterable[Header], names: Collection[bytes]) -> tuple[Header, ...]:
    """The fields but for those with these names, in lower case."""
    return tuple(header for header in headers if header[0].lower() not in names)


def lowered(headers: Iterable[Header]) -> list[Header]:
    """The fields with their names in lower case."""
    return [(name.lower(), value) for name, value in headers]


def format_headers(headers: Iterable[Header]) -> bytes:
    """Fields on the wire, each with its line end."""
    return b"".join(b"%s: %s\r\n" % header for header in headers)


# Reading.


async def read_request(stream: Stream, max_head: int, max_headers: int) -> Request | None:
    """Read the head of the next request; None if the client has ended before it.

    Raises:
        ProtocolError: what came is no such head; the reason is a word of `refusals.STATUS`.
    """
    line = b"\r\n"
    for _ in range(_EMPTY_LINES + 1):
        if line == b"\r\n":
            line = await _read_first_line(stream, max_head)
    if not line:
        return None
    if line.startswith(b"PRI * HTTP/2"):
        raise ProtocolError("the client speaks HTTP/2, which is not offered here", reason="http2_not_offered")
    block = await _read_block(stream, line, max_head, max_headers)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head + 1)
    event = _parse(connection, block, stream.side.value)
    assert isinstance(event, h11.Request), "nothing else begins an exchange"
    version = event.http_version
    if version not in (b"1.0", b"1.1"):
        raise ProtocolError(f"the client speaks HTTP/{version.decode('ascii')}", reason="bad_version")
    request = Request(event.method, event.target, version, _headers(event))
    _check_framing(request.headers, version, "client")
    return request


async def _read_first_line(stream: Stream, max_head: int) -> bytes:
    try:
        return await stream.read_line(max_head)
    except ProtocolError as error:
        if error.reason == "line_too_long" and stream.side is Side.CLIENT:
            words = f"the client sent a request line of more than {max_head} bytes"
            raise ProtocolError(words, reason="uri_too_long") from None
        raise


async def read_response(
    stream: Stream, asked: Callable[[], Request | None], max_head: int, max_headers: int
) -> Response | None:
    """Read the next head of what the server answers (100 and the like count too); None if it has ended.

    `asked` tells to what, once something has come.

    Raises:
        ProtocolError: what came is no such head, or nobody has asked (`unsolicited_response`); the server's fault.
    """
    line = await stream.read_line(max_head)
    if not line:
        return None
    if (request := asked()) is None:
        raise ProtocolError("the server answers what nobody asked", reason="unsolicited_response")
    if not line.startswith(b"HTTP/"):  # or we would wait for the end of a head that never comes
        raise ProtocolError("the server does not speak HTTP", reason="bad_response")
    block = await _read_block(stream, line, max_head, max_headers)
    if line.startswith((b"HTTP/1.1 101", b"HTTP/1.0 101")) and not request.values(b"upgrade"):
        raise ProtocolError("the server switches protocols, and nobody has asked for it", reason="fake_upgrade")
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_head + 1)
    # h11 takes 101 only from who was asked for it; whether this one was is judged in `handshake`.
    asks = [(b"Host", b"-")] + [(b"Upgrade", value) for value in request.values(b"upgrade")]
    connection.send(h11.Request(method=request.method, target=b"-", headers=asks))
    event = _parse(connection, block, "server")
    assert isinstance(event, h11.Response | h11.InformationalResponse), "a response comes first"
    if event.http_version not in (b"1.0", b"1.1"):
        raise ProtocolError(f"the server speaks HTTP/{event.http_version.decode('ascii')}", reason="bad_response")
    response = Response(event.status_code, bytes(event.reason), event.http_version, _headers(event))
    _check_framing(response.headers, response.version, "server")
    return response


async def _read_block(stream: Stream, line: bytes, max_head: int, max_headers: int) -> bytes:
    """Read the lines of a head up to and with the empty one; the first has been read."""
    lines = [line]
    left = max_head
    while line != b"\r\n":
        left -= len(line)
        _check_line(line, stream.side.value)
        if len(lines) > max_headers + 1:
            raise ProtocolError(
                f"the {stream.side.value} sent more than {max_headers} header fields", reason="head_too_large"
            )
        try:
            line = await stream.read_line(max(left, 0))
        except ProtocolError as error:
            if error.reason != "line_too_long":
                raise
            words = f"the {stream.side.value} sent a head of more than {max_head} bytes"
            raise ProtocolError(words, reason="head_too_large") from None
        if not line:
            raise ProtocolError(f"the {stream.side.value} ended inside a head", reason="truncated")
        lines.append(line)
    return b"".join(lines)


def _check_line(line: bytes, side: str) -> None:
    """Refuse what parsers do not agree on: bare LF, bare CR, NUL and the like, and fields over several lines."""
    if not line.endswith(b"\r\n"):
        raise ProtocolError(f"the {side} ended a line of a head with a bare LF", reason="bare_lf")
    if line[:1] in (b" ", b"\t"):
        raise ProtocolError(f"the {side} sent a header field over several lines (obs-fold)", reason="obs_fold")
    if _CONTROL.search(line, 0, len(line) - 2):
        raise ProtocolError(f"the {side} sent a control character in a head", reason="bad_head")


def _parse(connection: h11.Connection, block: bytes, side: str) -> object:
    try:
        connection.receive_data(block)
        return connection.next_event()
    except h11.RemoteProtocolError as error:
        reason = "bad_transfer_encoding" if error.error_status_hint == 501 else "bad_head"
        raise ProtocolError(f"the {side} sent what is no HTTP: {error}", reason=reason) from None
    except ValueError:  # before 0.16, of a length that has more digits than Python makes a number of
        raise ProtocolError(f"the {side} sent a Content-Length that is no number", reason="bad_head") from None


def _headers(event: h11.Request | h11.Response | h11.InformationalResponse) -> tuple[Header, ...]:
    """The fields with their names as they were written."""
    return tuple((bytes(name), bytes(value)) for name, value in event.headers.raw_items())


def _check_framing(headers: Sequence[Header], version: bytes, side: str) -> None:
    """Refuse what says twice how long its body is: one parser would believe one, another the other (RFC 9112 section 6.3)."""
    lengths, codings = values(headers, b"content-length"), values(headers, b"transfer-encoding")
    if lengths and codings:
        raise ProtocolError(f"the {side} sent Content-Length and Transfer-Encoding", reason="two_lengths")
    if lengths and len(lengths[0]) > _LENGTH_DIGITS:
        raise ProtocolError(f"the {side} sent a Content-Length of {len(lengths[0])} digits", reason="bad_head")
    if codings and version == b"1.0":
        raise ProtocolError(f"the {side} sent Transfer-Encoding with HTTP/1.0", reason="bad_transfer_encoding")


# Hop by hop (RFC 9110 section 7.6.1).

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings", b"transfer-encoding")
)
FORWARDED = frozenset(
    (
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port"),
        *(b"x-forwarded-server", b"x-forwarded-prefix", b"x-real-ip"),
    )
)
"""By which a proxy says who asks."""
_END_TO_END = frozenset((b"authorization", b"cookie", b"origin")) | FORWARDED
"""What `Connection` may not have us take out: a client would be somebody else then. Framing and Host are ours anyway."""


def end_to_end(headers: Sequence[Header]) -> tuple[Header, ...]:
    """The fields without those that are about one hop only, and without the framing of the body."""
    named = frozenset(tokens(headers, b"connection")) - _END_TO_END
    return without(headers, _HOP_BY_HOP | named)

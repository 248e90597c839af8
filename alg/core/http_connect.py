"""`ConnectDoorway`: the server side of HTTP's CONNECT (RFC 9110 section 9.3.6): one head, read line by line, parsed by h11,
answered by us. No other method is served, and nothing is forwarded: the target alone is what counts.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

import h11

from alg.core.addresses import parse_address
from alg.core.doorway import Ask, Asked, Doorway, authenticate
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError, ProtocolError, TlsError
from alg.core.hosts import parse_host
from alg.core.model import Endpoint, parse_port
from alg.core.reasons import printable

MAX_HEAD = 16384
"""The longest head, in bytes, with its empty line."""
MAX_HEADERS = 100
"""The most header fields in it."""
MAX_TRIES = 2
"""How often a client may ask on one connection: it learns that a password is needed from the first answer."""

_CRLF = b"\r\n"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_METHOD_START = re.compile(rb"[A-Za-z]")
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):([0-9]+)")

_REFUSED, _TOO_LARGE, _BROKEN = (403, b"Forbidden"), (431, b"Request Header Fields Too Large"), (500, b"Internal Error")
_CHALLENGE, _METHOD = (407, b"Proxy Authentication Required"), (405, b"Method Not Allowed")
_BAD, _SLOW, _VERSION = (400, b"Bad Request"), (408, b"Request Timeout"), (505, b"HTTP Version Not Supported")
_GATEWAY, _FULL, _TIMEOUT = (502, b"Bad Gateway"), (503, b"Service Unavailable"), (504, b"Gateway Timeout")

_BY_REASON = {
    "not_authenticated": _CHALLENGE,
    "method_not_allowed": _METHOD,
    "bad_version": _VERSION,
    "head_too_large": _TOO_LARGE,
    "too_slow": _SLOW,
    "connect_timeout": _TIMEOUT,
}
_BY_KIND: tuple[tuple[type[AlgError], tuple[int, bytes]], ...] = (
    *((ProtocolError, _BAD), (PolicyError, _REFUSED), (BindError, _FULL)),
    *((ConnectError, _GATEWAY), (TlsError, _GATEWAY)),
)
_FIELDS = {
    _CHALLENGE: b'Proxy-Authenticate: Basic realm="alg"\r\n',
    _METHOD: b"Allow: CONNECT\r\n",
}


class ConnectDoorway(Doorway):
    """One client of CONNECT."""

    __slots__ = ("_any", "_fields", "_line", "_over", "_skipped", "_tries", "_users")

    def __init__(self, users: Mapping[str, str] | None = None) -> None:
        """With `users` (password by name), even if there are none of them, Basic authentication (RFC 7617) is needed; without,
        what a client says about itself is not looked at."""
        super().__init__()
        self._users = users
        self._line = 0  # where in the buffer the line starts that is being read
        self._fields = 0
        self._skipped = False
        self._tries = 0
        self._any = False
        self._over = False

    def _read(self) -> None:
        while not self.complete and (head := self._take_head()) is not None:
            self._tries += 1
            self._judge(_parse(head))

    def _take_head(self) -> bytes | None:
        """The head at the front of the buffer, or None while it is incomplete. A line is judged once it is complete, the
        first byte and the length at once."""
        self._any = self._any or bool(self._buffer)
        # "SHOULD ignore at least one empty line (CRLF) received prior to the request-line" (RFC 9112 section 2.2)
        if not self._skipped and self._buffer.startswith(_CRLF):
            del self._buffer[:2]
            self._skipped = True
        if self._buffer and not _METHOD_START.match(self._buffer) and (self._skipped or self._buffer != b"\r"):
            raise ProtocolError(f"no HTTP begins with {bytes(self._buffer[:8])!a}", reason="bad_head")
        while (end := self._buffer.find(b"\n", self._line, MAX_HEAD) + 1) > 0:
            line = bytes(self._buffer[self._line : end])
            self._line = end
            if line == _CRLF:
                return self._cut(end)
            _check_line(line)
            if self._fields > MAX_HEADERS:  # the first line is none
                raise ProtocolError(f"a head of more than {MAX_HEADERS} fields", reason="head_too_large")
            self._fields += 1
        if len(self._buffer) >= MAX_HEAD:
            raise ProtocolError(f"a head of more than {MAX_HEAD} bytes", reason="head_too_large")
        return None

    def _cut(self, end: int) -> bytes:
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._line = self._fields = 0
        self._skipped = False
        return head

    def _judge(self, request: h11.Request) -> None:
        if request.http_version not in (b"1.0", b"1.1"):
            raise ProtocolError("the client speaks another version of HTTP than 1", reason="bad_version")
        if request.method != b"CONNECT":
            raise PolicyError(
                f"the client asks for {printable(_text(request.method), 20)}", reason="method_not_allowed"
            )
        _check_no_body(request)
        asked = _parse_target(request.target)
        if self._users is not None:
            self.user = _authenticate(self._users, request)
            if self.user is None:
                self._challenge(request)
                return
        self._complete(asked)

    def _challenge(self, request: h11.Request) -> None:
        """Tell how to prove who one is. What came behind the head is the next one: a client that took it for the first bytes
        of its tunnel gets nowhere, since that would have to be a request with a password in it."""
        error = PolicyError("no user name and password, or wrong ones", reason="not_authenticated")
        if self._tries == MAX_TRIES or request.http_version == b"1.0" or b"close" in _connection_options(request):
            raise error
        self._replies += _format_refusal(error, is_last=False)

    def _grant(self, bound: Endpoint) -> bytes:  # noqa: ARG002 - HTTP does not tell
        self._over = True
        return b"HTTP/1.1 200 Connection established\r\n\r\n"  # and no Content-Length (RFC 9110 section 9.3.6)

    def _refuse(self, error: AlgError) -> bytes:
        if self._over or not self._any:
            return b""
        self._over = True
        return _format_refusal(error, is_last=True)


def _check_line(line: bytes) -> None:
    """Refuse what parsers do not agree on: bare LF, bare CR, NUL and the like, and fields over several lines."""
    if not line.endswith(_CRLF):
        raise ProtocolError("a line of a head ends with a bare LF", reason="bare_lf")
    if line.startswith((b" ", b"\t")):
        raise ProtocolError("a header field over several lines (obs-fold)", reason="obs_fold")
    if _CONTROL.search(line, 0, len(line) - 2):
        raise ProtocolError("a control character in a head", reason="bad_head")


def _parse(head: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD + 1)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except (h11.RemoteProtocolError, ValueError):
        # ValueError, before 0.16: a length that has more digits than Python makes a number of. What h11 says may quote a
        # line that holds a password.
        raise ProtocolError("the client sent what is no request of HTTP/1", reason="bad_head") from None
    assert isinstance(event, h11.Request), "nothing else begins an exchange"
    return event


def _check_no_body(request: h11.Request) -> None:
    """A CONNECT request has no content (RFC 9110 section 9.3.6): what one parser takes for that another takes for the first
    bytes of the tunnel. `Content-Length: 0` says the same and is let pass."""
    lengths, codings = _values(request, b"content-length"), _values(request, b"transfer-encoding")
    if codings or any(length.strip(b"0") for length in lengths):
        raise ProtocolError("a CONNECT request with a body", reason="unexpected_body")


def _parse_target(target: bytes) -> Asked:
    """The authority form alone, and always with a port (RFC 9112 section 3.2.3); Host is not looked at (section 3.2.2)."""
    if b"@" in target:  # not quoted: a password may stand before it
        raise ProtocolError("CONNECT wants HOST:PORT, and no user", reason="bad_target")
    match = _AUTHORITY.fullmatch(target)
    if match is None:
        raise ProtocolError(f"CONNECT wants HOST:PORT, not {target[:60]!a}", reason="bad_target")
    bracketed, host, port = match.groups()
    if bracketed is not None:
        if b":" not in bracketed:
            raise ProtocolError(f"no IPv6 address in the brackets: {bracketed[:60]!a}", reason="bad_host")
        host = str(parse_address(bracketed)).encode("ascii")
    asked = Asked(Ask.CONNECT, parse_host(host), parse_port(port))
    if not asked.port:
        raise ProtocolError("a connection to port 0 was asked for", reason="bad_port")
    return asked


def _authenticate(users: Mapping[str, str], request: h11.Request) -> str | None:
    """The user who the request proves to be from (RFC 7617), or None."""
    fields = _values(request, b"proxy-authorization")
    if len(fields) > 1:
        raise ProtocolError("two Proxy-Authorization fields", reason="bad_head")
    scheme, _, token = b"".join(fields).partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(token.strip(b" "), validate=True).partition(b":")
    except binascii.Error:
        return None
    return authenticate(users, name, password) if colon else None


def _connection_options(request: h11.Request) -> list[bytes]:
    """What the client wants of the connection, in lower case; `Proxy-Connection` is what older ones call the field."""
    fields = _values(request, b"connection") + _values(request, b"proxy-connection")
    return [option.strip(b" \t").lower() for field in fields for option in field.split(b",")]


def _values(request: h11.Request, name: bytes) -> list[bytes]:
    return [bytes(value) for each, value in request.headers if each == name]


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace")


def _format_refusal(error: AlgError, *, is_last: bool) -> bytes:
    """The refusal with its reason as the body: the message may name what a client has no business to know."""
    by_kind = next((status for kind, status in _BY_KIND if isinstance(error, kind)), _BROKEN)
    status = _BY_REASON.get(error.reason, by_kind)
    body = printable(error.reason, 100).encode("ascii") + _CRLF
    fields = _FIELDS.get(status, b"") + (b"Connection: close\r\n" if is_last else b"")
    head = b"HTTP/1.1 %d %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return head % (*status, fields, len(body)) + body

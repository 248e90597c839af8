"""What a client is told when its request, or the answer to it, cannot pass: a status (RFC 9110 section 15) and one line."""

from __future__ import annotations

from alg.plugin import AlgError, BindError, ConnectError, PolicyError, TlsError

_PHRASES = {
    400: b"Bad Request",
    403: b"Forbidden",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    421: b"Misdirected Request",
    426: b"Upgrade Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}

_CLIENT = {
    "uri_too_long": 414,
    "head_too_large": 431,
    "line_too_long": 431,
    "bad_transfer_encoding": 501,
    "body_too_long": 413,
    "too_slow": 408,
    "http2_not_offered": 505,
    "bad_version": 505,
    "request_rate": 429,
    "websocket_version": 426,
    "foreign_host": 421,
}
"""By reason, where it is the client's doing; else 400, or 403 for what a rule refuses."""

_SERVERS = frozenset(("bad_response", "fake_upgrade", "unsolicited_response", "server_closed"))
"""Reasons that are the server's doing whatever came before."""


def status_of(error: AlgError, *, by_server: bool) -> int:
    """The status for an error; `by_server`: it was found in what the server said."""
    if isinstance(error, ConnectError):
        return 504 if error.reason == "connect_timeout" else 502
    if isinstance(error, TlsError):
        return 502
    if isinstance(error, BindError) or error.reason in ("stopped", "plugin_failed"):
        return 503
    if error.reason == "idle":
        return 504 if by_server else 408
    if error.reason == "bytes_before_upgrade":
        return 400  # whenever it was found
    if by_server or error.reason in _SERVERS:
        return 502
    return _CLIENT.get(error.reason, 403 if isinstance(error, PolicyError) else 400)


def refuse(status: int, reason: str, *, close: bool, head: bool = False) -> bytes:
    """The response on the wire; `head`: it answers HEAD, and so has no body.

    The reason is a word of the records, where more is said: what a peer sent is never sent back.
    """
    body = b"%s: %s\n" % (_PHRASES[status], reason.encode("ascii", "replace"))
    fields = [
        b"Content-Type: text/plain; charset=us-ascii",
        b"Content-Length: %d" % len(body),
        b"Cache-Control: no-store",
    ]
    if status == 426:
        fields += [b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
    if close or status == 426:
        fields.append(b"Connection: " + b", ".join([b"close"] * close + [b"upgrade"] * (status == 426)))
    lines = [b"HTTP/1.1 %d %s" % (status, _PHRASES[status]), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head else body)

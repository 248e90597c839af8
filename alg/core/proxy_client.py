"""Asks another proxy to connect: the client's side of SOCKS5 (RFC 1928, RFC 1929), SOCKS4 and HTTP CONNECT (RFC 9110 section 9.3.6).

No I/O. It never takes a byte that is not the proxy's own: the server behind it may speak first.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Generator
from typing import TypeAlias

from alg.core.errors import ConnectError, PolicyError
from alg.core.model import Endpoint

HEAD_LIMIT = 16384
"""Bytes of the head of an answer to CONNECT."""

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?")

_Wants: TypeAlias = tuple[bytes, int]
"""What to send now, and how many bytes to read then; 0: up to the end of a head."""
_Steps: TypeAlias = Generator[_Wants, bytes, None]

# RFC 1928 section 6.
_SOCKS5_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class ProxyClient:
    """One request to connect to `target`, made to a proxy of that scheme (socks5, socks4 or http)."""

    __slots__ = ("_buffer", "_sending", "_steps", "_want", "done")

    def __init__(self, scheme: str, target: Endpoint, user: str | None = None, password: str | None = None) -> None:
        """
        Raises:
            ConnectError: this proxy cannot be asked for that target.
        """
        steps = {"socks5": _socks5, "socks4": _socks4, "http": _http}[scheme]
        self._steps = steps(target, (user or "").encode(), (password or "").encode())
        self._buffer = bytearray()
        self.done = False
        """Whether the proxy has connected."""
        self._sending, self._want = next(self._steps)

    def take(self) -> bytes:
        """What to send to the proxy now."""
        sending, self._sending = self._sending, b""
        return sending

    def receive(self, data: bytes) -> int:
        """Take what the proxy said; return how many of the bytes were its own. Once `done`, it takes none.

        Raises:
            ConnectError: the proxy cannot connect, or does not speak its protocol.
            PolicyError: it refuses to.
        """
        taken = 0
        while not self.done and taken < len(data):
            count = self._missing(data[taken:])
            self._buffer += data[taken : taken + count]
            taken += count
            if self._is_complete:
                self._advance()
        return taken

    def _missing(self, data: bytes) -> int:
        """How many of these bytes belong to what is being read."""
        if self._want:
            return min(len(data), self._want - len(self._buffer))
        known = len(self._buffer)
        end = bytes(self._buffer[-3:]) + data
        found = end.find(_HEAD_END)
        count = len(data) if found < 0 else found + len(_HEAD_END) - min(known, 3)
        if known + count > HEAD_LIMIT:
            raise ConnectError(f"the proxy's answer is longer than {HEAD_LIMIT} bytes", reason="proxy_failed")
        return count

    @property
    def _is_complete(self) -> bool:
        return len(self._buffer) == self._want if self._want else self._buffer.endswith(_HEAD_END)

    def _advance(self) -> None:
        said = bytes(self._buffer)
        self._buffer.clear()
        try:
            sending, self._want = self._steps.send(said)
            self._sending += sending
        except StopIteration:
            self.done = True


def _socks5(target: Endpoint, user: bytes, password: bytes) -> _Steps:
    methods = b"\x00\x02" if user else b"\x00"
    version, method = yield b"\x05%c%s" % (len(methods), methods), 2
    if version != 5 or method not in methods:
        raise ConnectError("the proxy wants another way to know who we are", reason="proxy_failed")
    if method == 2:
        answer = yield b"\x01%c%s%c%s" % (len(user), user, len(password), password), 2
        if answer[1] != 0:
            raise PolicyError(f"the proxy does not know {user.decode(errors='replace')}", reason="proxy_refused")
    address = target.address.packed
    kind = b"\x01" if target.address.version == 4 else b"\x04"
    answer = yield b"\x05\x01\x00" + kind + address + target.port.to_bytes(2), 4
    if answer[0] != 5:
        raise ConnectError("the proxy speaks no SOCKS5", reason="proxy_failed")
    if answer[1] == 2:
        raise PolicyError(f"the proxy does not allow {target}", reason="proxy_refused")
    if answer[1] != 0:
        words = _SOCKS5_REPLIES.get(answer[1], f"code {answer[1]}")
        raise ConnectError(f"the proxy cannot connect to {target}: {words}", reason="proxy_failed")
    length = {1: 4, 4: 16}.get(answer[3])
    if answer[3] == 3:
        (length,) = yield b"", 1
    if length is None:
        raise ConnectError("the proxy speaks no SOCKS5", reason="proxy_failed")
    yield b"", length + 2


def _socks4(target: Endpoint, user: bytes, _: bytes) -> _Steps:
    if target.address.version != 4:
        raise ConnectError(f"{target}: SOCKS4 knows no IPv6", reason="proxy_failed")
    answer = yield b"\x04\x01" + target.port.to_bytes(2) + target.address.packed + user + b"\x00", 8
    if answer[0] != 0 or answer[1] != 0x5A:
        raise ConnectError(
            f"the proxy cannot, or may not, connect to {target}: code {answer[1]}", reason="proxy_failed"
        )


def _http(target: Endpoint, user: bytes, password: bytes) -> _Steps:
    place = str(target).encode("ascii")
    head = [b"CONNECT %s HTTP/1.1" % place, b"Host: %s" % place]
    if user:
        head.append(b"Proxy-Authorization: Basic " + b64encode(user + b":" + password))
    answer = yield b"\r\n".join(head) + _HEAD_END, 0
    match = _STATUS.match(answer)
    if not match:
        raise ConnectError("the proxy speaks no HTTP", reason="proxy_failed")
    if match[1].startswith(b"2"):
        return
    words = f"{match[1].decode()} {(match[2] or b'').decode('ascii', 'replace')[:80]}".strip()
    kind = PolicyError if match[1] in (b"401", b"403", b"407") else ConnectError
    reason = "proxy_refused" if kind is PolicyError else "proxy_failed"
    raise kind(f"the proxy does not connect to {target}: {words}", reason=reason)

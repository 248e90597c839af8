"""The TLS ClientHello, read and not answered: which name, protocols and versions a client asks for (RFC 8446 4.1.2).

Nothing is consumed: what was parsed here is what a TLS library, or the server behind us, reads afterwards. So whatever
they might read in another way is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from alg.core.addresses import parse_address
from alg.core.errors import ProtocolError
from alg.core.hosts import is_numeric

MAX_CLIENT_HELLO = 65536
"""The longest body of a ClientHello, in bytes; with post-quantum key shares they have about 1,800."""

MAX_RECORDS = 32
"""The most TLS records that a ClientHello may be spread over. It bounds what each further piece of it costs us."""

MAX_SERVER_NAME = 255
"""The longest server name, in bytes, as it stands in the extension: that of a DNS name (RFC 1035 2.3.4)."""

HANDSHAKE_FAILURE = 40
UNRECOGNIZED_NAME = 112
NO_APPLICATION_PROTOCOL = 120

_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_MAX_FRAGMENT = 16384  # RFC 8446 5.1
_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1  # RFC 8446 B.1, B.3
_MAJOR = 3  # of every version from SSL 3.0 on; the minor one is to be ignored (RFC 8446 5.1)

_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43  # RFC 6066 1.1, RFC 7301 6, RFC 8446 4.2
_HOST_NAME = 0  # RFC 6066 3

# What DNS names of hosts are made of, and the underscore that people use all the same.
_NAME = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client asks for.

    `server_name` is in lower case and without a trailing dot, None where the client names no host (with Encrypted
    Client Hello: the public name). `alpn` are its application protocols, most wanted first, one character per byte.
    `versions` are those that count (RFC 8446 4.2.1), most wanted first: the values of supported_versions where the
    client sent it, without GREASE (RFC 8701), else legacy_version alone, which means "up to this one".
    """

    server_name: str | None
    alpn: tuple[str, ...]
    versions: tuple[int, ...]


def parse_client_hello(data: bytes | bytearray) -> ClientHello | None:
    """Parse what a client sent first, or return None while more of it is needed.

    Pass all that has arrived, from the first byte on, each time something arrives. While the message is incomplete a
    call looks at no more than the headers of its records, so that the cost of many small pieces grows with their number
    and not with its square. Bytes that follow the record in which the ClientHello ends are not looked at.

    Raises:
        ProtocolError: no TLS handshake (`not_tls`), found with the first byte that shows it; a ClientHello whose body is
            longer than MAX_CLIENT_HELLO, found when it is announced, or has more than MAX_RECORDS records
            (`client_hello_too_long`); contents that break its rules (`bad_client_hello`).
    """
    fragments = _find_fragments(data)
    if fragments is None:
        return None
    message = b"".join([data[each] for each in fragments])
    return _parse_body(_Reader(message[_MESSAGE_HEADER:]))


def alert(description: int) -> bytes:
    """Return a fatal alert in plain text, as a server refuses a ClientHello (RFC 8446 6). `description` is 0 to 255."""
    return bytes((_ALERT, 3, 3, 0, 2, 2, description))


def _find_fragments(data: bytes | bytearray) -> list[slice] | None:
    """Where in the data the parts of the handshake message stand, or None while it is incomplete (RFC 8446 5.1)."""
    fragments: list[slice] = []
    header = b""
    start = total = 0
    while (end := _find_record_end(data, start)) is not None:
        body = start + _RECORD_HEADER
        header += data[body : min(end, body + _MESSAGE_HEADER - len(header))]
        length = _announced_length(header)
        total += end - body
        fragments.append(slice(body, end))
        if length is not None and total >= length:
            if total > length:  # nothing may follow before the server has answered
                _refuse("another handshake message stands in the record of the ClientHello")
            return fragments if len(data) >= end else None
        if len(fragments) == MAX_RECORDS:
            raise ProtocolError(
                f"the ClientHello is spread over more than {MAX_RECORDS} records", reason="client_hello_too_long"
            )
        start = end
    return None


def _find_record_end(data: bytes | bytearray, start: int) -> int | None:
    """Where a record ends that starts there, or None while its header is incomplete."""
    header = data[start : start + _RECORD_HEADER]
    if header[:1] not in (b"", bytes((_HANDSHAKE,))) or header[1:2] not in (b"", bytes((_MAJOR,))):
        raise ProtocolError(f"not a record of a TLS handshake: {bytes(header)!a}", reason="not_tls")
    if len(header) < _RECORD_HEADER:
        return None
    length = int.from_bytes(header[3:])
    if not 1 <= length <= _MAX_FRAGMENT:  # an empty one would cost a sender nothing (RFC 8446 5.1)
        raise ProtocolError(f"a TLS handshake record of {length} bytes", reason="not_tls")
    return start + _RECORD_HEADER + length


def _announced_length(header: bytes) -> int | None:
    """The length of a ClientHello with its header, or None while that is incomplete."""
    if header and header[0] != _CLIENT_HELLO:
        raise ProtocolError(f"a TLS handshake message of type {header[0]}, no ClientHello", reason="not_tls")
    if len(header) < _MESSAGE_HEADER:
        return None
    length = int.from_bytes(header[1:])
    if length > MAX_CLIENT_HELLO:
        raise ProtocolError(f"a ClientHello of {length} bytes", reason="client_hello_too_long")
    return _MESSAGE_HEADER + length


class _Reader:
    """Takes values from the front of bytes; one that is not there in full makes the ClientHello a bad one."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            _refuse("lengths inside it do not add up")
        return self._data[start : self._position]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int, low: int, high: int = 65535) -> bytes:
        """A vector of RFC 8446 3.4: its length in `size` bytes, then from `low` to `high` bytes."""
        length = self.integer(size)
        if not low <= length <= high:
            _refuse(f"{length} bytes where there may be {low} to {high}")
        return self.take(length)

    def numbers(self, size: int) -> bytes:
        """A vector of numbers of two bytes each, not empty."""
        data = self.vector(size, 2)
        if len(data) % 2:
            _refuse("half a number in a list")
        return data

    def end(self) -> None:
        """Nothing may be left."""
        if self:
            _refuse("bytes are left over inside it")


def _parse_body(body: _Reader) -> ClientHello:
    """RFC 8446 4.1.2; the same bytes since SSL 3.0."""
    versions: tuple[int, ...] = (body.integer(2),)
    body.take(32)  # random
    body.vector(1, 0, 32)  # legacy_session_id
    body.numbers(2)  # cipher_suites
    body.vector(1, 1)  # legacy_compression_methods
    # Before TLS 1.3 there may be no extensions, and not even their length (RFC 5246 7.4.1.2).
    extensions = _parse_extensions(_Reader(body.vector(2, 0))) if body else {}
    body.end()
    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    if (value := extensions.get(_SERVER_NAME)) is not None:
        server_name = _parse_server_name(_Reader(value))
    if (value := extensions.get(_ALPN)) is not None:
        alpn = _parse_alpn(_Reader(value))
    if (value := extensions.get(_SUPPORTED_VERSIONS)) is not None:
        versions = _parse_versions(_Reader(value))
    return ClientHello(server_name, alpn, versions)


def _parse_extensions(block: _Reader) -> dict[int, bytes]:
    extensions: dict[int, bytes] = {}
    while block:
        kind = block.integer(2)
        if kind in extensions:  # of any type (RFC 8446 4.2): one reader would believe the first, another the last
            _refuse(f"two extensions of type {kind}")
        extensions[kind] = block.vector(2, 0)
    return extensions


def _parse_server_name(extension: _Reader) -> str | None:
    """RFC 6066 3. As in OpenSSL there is exactly one name, of a host: no other type was ever defined, nor can be."""
    names = _Reader(extension.vector(2, 1))
    extension.end()
    if names.integer(1) != _HOST_NAME:
        _refuse("a server name that is no host name")
    name = names.vector(2, 1).lower()
    names.end()
    if len(name) > MAX_SERVER_NAME:
        _refuse(f"a server name of {len(name)} bytes")
    name = name.removesuffix(b".")
    if _is_address(name):
        return None  # "literal IPv4 and IPv6 addresses are not permitted"; lftp and others send them all the same
    if not _NAME.fullmatch(name):
        _refuse(f"the server name {name[:60]!a}")
    return name.decode("ascii")


def _is_address(name: bytes) -> bool:
    """Whether that is an address and no name: IPv4 in any form that some resolver knows, or IPv6."""
    if b":" not in name:
        return is_numeric(name)
    if name[:1] + name[-1:] == b"[]":
        name = name[1:-1]
    try:
        parse_address(name.partition(b"%")[0])
    except ProtocolError:
        return False
    return True


def _parse_alpn(extension: _Reader) -> tuple[str, ...]:
    """RFC 7301 3.1: a list of names of 1 to 255 bytes, not empty."""
    names = _Reader(extension.vector(2, 2))
    extension.end()
    protocols = []
    while names:
        protocols.append(names.vector(1, 1).decode("latin-1"))
    return tuple(protocols)


def _parse_versions(extension: _Reader) -> tuple[int, ...]:
    """RFC 8446 4.2.1."""
    versions = extension.numbers(1)
    extension.end()
    offered = (int.from_bytes(versions[at : at + 2]) for at in range(0, len(versions), 2))
    return tuple(each for each in offered if not _is_grease(each))


def _is_grease(value: int) -> bool:
    """RFC 8701 2: 0x0A0A, 0x1A1A to 0xFAFA mean nothing and must be ignored."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _refuse(what: str) -> NoReturn:
    raise ProtocolError(f"a malformed ClientHello: {what}", reason="bad_client_hello")

"""The PROXY protocol header (HAProxy's proxy-protocol.txt), received: strict, and never guessed. How it is sent stands in
`proxy_protocol`. Whether a sender is to be believed is not known here: take it from trusted ones only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn

from alg.core.crc32c import crc32c
from alg.core.errors import ProtocolError
from alg.core.model import Endpoint
from alg.core.octets import Incomplete, Octets
from alg.core.opening import Opening
from alg.core.proxy_protocol import SIGNATURE

MAX_LINE = 107
"""The longest header of version 1, in bytes, with its CRLF (section 2.1)."""
MAX_BLOCK = 4096
"""The longest header of version 2, in bytes, without its first 16. HAProxy sends certificates' names, and hardly 200."""

_LINE_START = b"PROXY "
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [ -~]*)?|(TCP4|TCP6) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+))\r\n")
_VERSION, _LOCAL, _PROXY = 2, 0, 1  # section 2.2
_UNSPECIFIED = 0
_ADDRESSES: dict[int, tuple[type[IPv4Address | IPv6Address], int]] = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}
_CHECKSUM = 3  # PP2_TYPE_CRC32C


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Who connected, and to what. Both are None where the sender speaks for itself (LOCAL), or does not say (UNKNOWN)."""

    source: Endpoint | None = None
    destination: Endpoint | None = None


class ProxyHeaderReader(Opening):
    """Reads the header at the front of a connection, of either version; what follows it is `rest`."""

    __slots__ = ("header",)

    def __init__(self) -> None:
        super().__init__()
        self.header: ProxyHeader | None = None
        """What it says; None until it is complete. A wrong one is `bad_proxy_header`, none at all `no_proxy_header`."""

    def _read(self) -> None:
        data = self._buffer
        if _agree(data, SIGNATURE):
            end = self._find_block_end()
        elif _agree(data, _LINE_START):
            end = self._find_line_end()
        else:
            raise ProtocolError(f"no PROXY header begins with {bytes(data[:12])!a}", reason="no_proxy_header")
        if end is None:
            return
        header = bytes(data[:end])
        self.header = _parse_block(header) if header.startswith(SIGNATURE) else _parse_line(header)
        del data[:end]
        self.complete = True

    def _find_line_end(self) -> int | None:
        end = self._buffer.find(b"\n", 0, MAX_LINE) + 1
        if not end and len(self._buffer) >= MAX_LINE:
            _refuse(f"a line of more than {MAX_LINE} bytes")
        return end or None

    def _find_block_end(self) -> int | None:
        """Where it ends, or None while it is incomplete. What its first 16 bytes tell is judged with them."""
        octets = Octets(self._buffer)
        try:
            octets.take(len(SIGNATURE))
            version, command = divmod(octets.integer(), 16)
            if version != _VERSION or command not in (_LOCAL, _PROXY):
                _refuse(f"version {version}, command {command}")
            family = octets.integer()
            if command == _PROXY and family != _UNSPECIFIED and family not in _ADDRESSES:
                _refuse(f"address family and transport {family:#04x}, neither TCP over IPv4 nor over IPv6")
            length = octets.integer(2)
            if not _needed(command, family) <= length <= MAX_BLOCK:
                _refuse(f"{length} bytes long, and {_needed(command, family)} to {MAX_BLOCK} are right")
            octets.take(length)
        except Incomplete:
            return None
        return octets.position


def _agree(data: bytearray, start: bytes) -> bool:
    """Whether the data begins so, as far as it goes."""
    return data[: len(start)] == start[: len(data)]


def _parse_line(line: bytes) -> ProxyHeader:
    """Version 1 (section 2.1). Where the sender says UNKNOWN, what else it says does not count."""
    match = _LINE.fullmatch(line)
    if match is None:
        _refuse(f"the line {line[:60]!a}")
    family, *words = match.groups()
    if family is None:
        return ProxyHeader()
    source, destination, source_port, destination_port = words
    for address in (source, destination):
        if (b":" in address) != (family == b"TCP6"):
            _refuse(f"{address[:60]!a} is no address of {family.decode('ascii')}")
    try:
        return ProxyHeader(Endpoint.parse(source, source_port), Endpoint.parse(destination, destination_port))
    except ProtocolError as error:
        _refuse(str(error))


def _needed(command: int, family: int) -> int:
    """How many bytes the addresses have. LOCAL has to be accepted whatever follows (section 2.2)."""
    return 2 * (_ADDRESSES[family][1] + 2) if command == _PROXY and family in _ADDRESSES else 0


def _parse_block(header: bytes) -> ProxyHeader:
    """Version 2 (section 2.2), its first 16 bytes judged before. What is no TCP over IP is what the sender does not say."""
    octets = Octets(header)
    octets.take(len(SIGNATURE))
    command, family = octets.integer() & 0xF, octets.integer()
    octets.take(2)
    if command == _LOCAL:
        return ProxyHeader()  # "the receiver must [...] discard the protocol block including the family"
    parsed = ProxyHeader()
    if family in _ADDRESSES:
        kind, size = _ADDRESSES[family]
        source, destination = kind(octets.take(size)), kind(octets.take(size))
        parsed = ProxyHeader(Endpoint(source, octets.integer(2)), Endpoint(destination, octets.integer(2)))
        _check_extras(octets, header)
    return parsed


def _check_extras(octets: Octets, header: bytes) -> None:
    """The type-length-values behind the addresses (section 2.2.7) fill the header to its end; a checksum among them is
    right. What else they say is not used."""
    checksums = [(start, value) for start, kind, value in _extras(octets, len(header)) if kind == _CHECKSUM]
    if len(checksums) > 1:
        _refuse("two checksums")
    for start, value in checksums:
        if len(value) != 4:
            _refuse(f"a checksum of {len(value)} bytes")
        if crc32c(header[:start] + bytes(4) + header[start + 4 :]) != int.from_bytes(value):
            _refuse("the checksum is wrong")


def _extras(octets: Octets, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Where each value starts, its type, and itself."""
    try:
        while octets.position < end:
            kind, length = octets.integer(), octets.integer(2)
            yield octets.position, kind, octets.take(length)
    except Incomplete:
        _refuse("a type-length-value runs past its end")


def _refuse(what: str) -> NoReturn:
    raise ProtocolError(f"a malformed PROXY header: {what}", reason="bad_proxy_header")

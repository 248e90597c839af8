"""TFTP packets: RFC 1350 with the options of RFC 2347, 2348 (blksize), 2349 (timeout, tsize) and 7440 (windowsize). Pure.

A packet is taken as it is or not at all: nothing is repaired, and what passes is what came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alg.plugin import ProtocolError

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)
ACCESS_VIOLATION, ILLEGAL, UNKNOWN_TID, BAD_OPTION = 2, 4, 5, 8
NAMES = {RRQ: "RRQ", WRQ: "WRQ"}

BLOCK = 512
LONGEST_REQUEST = 512
"""RFC 2347: a request fits into one such packet."""
_RANGES = {b"blksize": (8, 65464), b"timeout": (1, 255), b"tsize": (0, 2**63 - 1), b"windowsize": (1, 65535)}
_REFUSED = frozenset({b"multicast"})
"""RFC 2090: its answer names an address to listen at, which would lead past us."""


@dataclass(frozen=True, slots=True)
class Request:
    """RRQ or WRQ: which file, and which options are asked for."""

    opcode: int
    file: bytes
    options: Mapping[bytes, bytes]


class RequestError(ProtocolError):
    """A request that cannot be, with the TFTP error that says so."""

    def __init__(self, message: str, *, code: int = ILLEGAL) -> None:
        super().__init__(message, reason="bad_request")
        self.code = code


def opcode(packet: bytes) -> int:
    """Which packet it is; 0 if none."""
    number = int.from_bytes(packet[:2], "big")
    return number if len(packet) >= 4 and RRQ <= number <= OACK else 0


def block(packet: bytes) -> int:
    """The number of the block that a DATA holds, or an ACK names."""
    return int.from_bytes(packet[2:4], "big")


def is_plain(file: str) -> bool:
    """Whether a file's name says where it is without detours, so that a pattern can be meant for it."""
    folders = file.removeprefix("/").split("/")
    return "\\" not in file and not {"", ".", ".."} & set(folders)


def parse_request(packet: bytes) -> Request:
    """Parse RRQ or WRQ.

    Raises:
        RequestError: it is malformed, or asks for what there is not.
    """
    if len(packet) > LONGEST_REQUEST:
        raise RequestError(f"a request of {len(packet)} bytes")
    file, mode, *words = _words(packet)
    if not file or any(byte < 32 or byte == 127 for byte in file):
        raise RequestError("a file name that is empty, or has control characters")
    if mode.lower() not in (b"octet", b"netascii"):
        raise RequestError(f"mode {mode[:20]!a}")
    return Request(opcode(packet), file, _options(words))


def parse_oack(packet: bytes, asked: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Parse OACK: the options that a server takes, out of those that were asked for.

    Raises:
        RequestError: it is malformed, or names what was not asked for, or more than that.
    """
    options = _options(_words(packet))
    if not options.keys() <= asked.keys() or any(
        int(options[name]) > int(asked[name]) for name in (b"blksize", b"windowsize") if name in options
    ):
        raise RequestError("an OACK that takes more than was asked for", code=BAD_OPTION)
    return options


def _words(packet: bytes) -> list[bytes]:
    words = packet[2:].split(b"\0")
    if words.pop() or len(words) % 2:
        raise RequestError("texts that are not pairs, each with its NUL")
    return words


def _options(words: list[bytes]) -> Mapping[bytes, bytes]:
    options = dict(zip(map(bytes.lower, words[::2]), words[1::2], strict=True))
    if len(options) * 2 < len(words) or _REFUSED & options.keys():
        raise RequestError("an option twice, or one that does not pass", code=BAD_OPTION)
    for name, value in options.items():
        low, high = _RANGES.get(name, (0, 0))
        if high and not (value.isdigit() and len(value) < 20 and low <= int(value) <= high):
            raise RequestError(f"{name.decode()} is {value[:20]!a}", code=BAD_OPTION)
    return options


def error(code: int, text: str, longest: int) -> bytes:
    """An ERROR packet; its text is cut so that it is no longer than that, but for what it cannot do without."""
    return b"\0\5\0%c%s\0" % (code, text.encode("ascii", "replace")[: max(0, longest - 5)])

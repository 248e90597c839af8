"""CRC-32C (Castagnoli; RFC 9260 appendix A), for small data: a few kilobytes take about a millisecond."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78  # bit-reversed


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(map(_entry, range(256)))


def crc32c(data: bytes) -> int:
    """Return the checksum."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF

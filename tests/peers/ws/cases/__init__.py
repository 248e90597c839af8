"""The cases of RFC 6455 and RFC 7692, by area."""

from __future__ import annotations

from collections.abc import Iterator

from . import closing, deflate, fragmentation, framing, handshake, limits, opcodes, utf8
from .case import Case

AREAS = (framing, opcodes, fragmentation, utf8, closing, limits, deflate, handshake)


def every_case() -> Iterator[Case]:
    """All cases of all areas."""
    for area in AREAS:
        yield from area.cases()

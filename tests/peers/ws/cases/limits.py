"""Limits: large messages, whole and in fragments of many sizes, and what is larger than the servers take (64 MiB)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, TEXT, binary, frame, more, text

from .case import Case, echoed, fails

AREA = "limits"
MIB = 1 << 20


def fragments(payload: bytes, size: int) -> list[bytes]:
    """A binary message in fragments of this size."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [binary(parts[0], fin=False), *map(more, parts[1:-1]), more(parts[-1], fin=True)]


def large() -> Iterator[Case]:
    """They come back."""
    block = bytes(range(256)) * (MIB // 256)
    for count in (1, 4, 16):
        yield echoed(AREA, f"binary of {count} MiB", [binary(block * count)], (BINARY, block * count))
    yield echoed(
        AREA, "text of 4 MiB", [text("0123456789abcdef" * (MIB // 4))], (TEXT, b"0123456789abcdef" * (MIB // 4))
    )
    for size in (256, 4096, 65536, MIB):
        payload = block if size == 256 else block * 4
        name = f"{len(payload) // MIB} MiB in fragments of {size}"
        yield echoed(AREA, name, fragments(payload, size), (BINARY, payload))
    yield echoed(AREA, "1 MiB in pieces of 1 KiB", [binary(block)], (BINARY, block), chop=1024)
    many = [text(f"{number}") for number in range(5000)]
    yield echoed(AREA, "5000 small ones", many, *((TEXT, b"%d" % number) for number in range(5000)))


def excessive() -> Iterator[Case]:
    """Too large: the server says 1009, as soon as it knows."""
    for name, size in (("64 MiB and a byte", (64 << 20) + 1), ("4 GiB", 1 << 32), ("8 EiB less a byte", (1 << 63) - 1)):
        # A gateway that reads frames need not know the server's limit.
        yield fails(AREA, f"{name} announced", frame(BINARY, b"x", width=8, announced=size), 1009)
    announced = binary(b"x" * MIB, fin=False) + frame(0, b"x", announced=64 << 20, width=8)
    yield fails(AREA, "announced by a fragment", announced, 1009)


def cases() -> Iterator[Case]:
    """All of this area."""
    yield from large()
    yield from excessive()

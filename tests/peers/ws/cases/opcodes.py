"""Reserved bits and reserved opcodes: without an extension both fail the connection."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, CLOSE, PING, PONG, TEXT, frame, ping, text

from .case import Case, fails

RESERVED = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
WORDS = b"Hello"


def bits() -> Iterator[Case]:
    """Every combination of the three bits, in every kind of frame."""
    area = "reserved bits"
    payloads = {TEXT: WORDS, BINARY: WORDS, PING: WORDS, PONG: WORDS, CLOSE: b"\x03\xe8"}
    names = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong", CLOSE: "close"}
    for rsv in range(1, 8):
        for opcode, payload in payloads.items():
            yield fails(area, f"{rsv:03b} in {names[opcode]}", frame(opcode, payload, rsv=rsv))
        yield fails(area, f"{rsv:03b} in continuation", text("x", fin=False) + frame(0, WORDS, rsv=rsv))
        yield fails(
            area,
            f"{rsv:03b} behind a message",
            frame(TEXT, WORDS, rsv=rsv) + ping(),
            good=text("x"),
            before=[(TEXT, b"x")],
        )


def opcodes() -> Iterator[Case]:
    """Every reserved opcode, in four places."""
    area = "reserved opcodes"
    for opcode in RESERVED:
        yield fails(area, f"{opcode} empty", frame(opcode))
        yield fails(area, f"{opcode} with payload", frame(opcode, WORDS))
        yield fails(area, f"{opcode} behind a message", frame(opcode, WORDS), good=text("x"), before=[(TEXT, b"x")])
        yield fails(area, f"{opcode} between fragments", text("x", fin=False) + frame(opcode) + frame(0, b"y"))


def cases() -> Iterator[Case]:
    """All of this area."""
    yield from bits()
    yield from opcodes()

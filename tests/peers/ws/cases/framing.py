"""Framing: lengths in every encoding, pings and pongs, frames that are not masked or not whole."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, CLOSE, PING, PONG, TEXT, binary, frame, ping, pong, text

from .case import Case, echoed, fails

LENGTHS = (0, 1, 125, 126, 127, 128, 254, 65535, 65536, 65537)
WORDS = b"Hello"


def sample(size: int) -> bytes:
    """Text of so many bytes."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def lengths() -> Iterator[Case]:
    """Messages of all the lengths where the encoding changes, whole and in pieces."""
    area = "framing"
    for size in LENGTHS:
        payload = sample(size)
        for kind, name in ((TEXT, "text"), (BINARY, "binary")):
            yield echoed(area, f"{name} {size}", [frame(kind, payload)], (kind, payload))
    for kind, name in ((TEXT, "text"), (BINARY, "binary")):
        payload = sample(65536)
        yield echoed(area, f"{name} 65536 in pieces of 997", [frame(kind, payload)], (kind, payload), chop=997)
        yield echoed(area, f"{name} 300 byte by byte", [frame(kind, payload[:300])], (kind, payload[:300]), chop=1)
    yield echoed(area, "mask of zeros", [frame(TEXT, WORDS, mask=bytes(4))], (TEXT, WORDS))
    yield echoed(area, "ten messages at once", [text("x" * size) for size in range(10)],
                 *((TEXT, b"x" * size) for size in range(10)))  # fmt: skip


def encodings() -> Iterator[Case]:
    """Lengths in more bytes than they need: "the minimal number of bytes MUST be used"; most servers take them all the same."""
    bad = fails("encodings", "", b"")
    for width, sizes in ((2, (0, 1, 125)), (8, (0, 1, 125, 126, 65535))):
        for size in sizes:
            payload = sample(size)
            good = echoed("encodings", f"{size} in {width} bytes", [frame(TEXT, payload, width=width)], (TEXT, payload))
            yield Case(good.area, good.name, good.sends, good.expected | bad.expected, allowed=bad.expected)
    yield fails("encodings", "highest bit of a length", frame(BINARY, b"x", width=8, announced=1 << 63), 1002, 1009)
    for opcode, name in ((CLOSE, "close"), (PING, "ping"), (PONG, "pong")):
        for width in (2, 8):
            answers = {PING: [(PONG, b"")], PONG: [], CLOSE: [(CLOSE, b"")]}[opcode]
            good = echoed(
                "encodings", f"{name} with a length in {width} bytes", [frame(opcode, b"", width=width)], *answers
            )
            lenient = frozenset(["close empty | end", "close 1000 | end"]) if opcode == CLOSE else good.expected
            yield Case(
                good.area, good.name, good.sends, lenient | bad.expected, allowed=bad.expected, finish=opcode != CLOSE
            )


def unmasked() -> Iterator[Case]:
    """A client masks all its frames."""
    kinds = {"text": TEXT, "binary": BINARY, "ping": PING, "pong": PONG, "close": CLOSE}
    for name, opcode in kinds.items():
        payload = b"\x03\xe8" if opcode == CLOSE else WORDS
        yield fails("unmasked", name, frame(opcode, payload, mask=None))
    yield fails("unmasked", "empty text", frame(TEXT, b"", mask=None))
    yield fails("unmasked", "second message", frame(TEXT, WORDS, mask=None), good=text("x"), before=[(TEXT, b"x")])
    yield fails("unmasked", "continuation", text("x", fin=False) + frame(0, b"y", mask=None))


def pings() -> Iterator[Case]:
    """Pings are answered with what they hold, pongs with nothing."""
    area = "pings"
    for name, payload in (
        ("empty", b""),
        ("text", WORDS),
        ("no UTF-8", b"\0\xff\xfe\xfd\xfc\xfb\0\xff"),
        ("125", sample(125)),
    ):
        yield echoed(area, name, [ping(payload)], (PONG, payload))
        yield echoed(area, f"unsolicited pong, {name}", [pong(payload)])
    yield echoed(area, "125 byte by byte", [ping(sample(125))], (PONG, sample(125)), chop=1)
    for size in (126, 65536):
        yield fails(area, f"ping of {size}", ping(sample(size)))
        yield fails(area, f"pong of {size}", pong(sample(size)))
    yield echoed(area, "unsolicited pong, then ping", [pong(b"a"), ping(b"b")], (PONG, b"b"))
    ten = [b"payload-%d" % number for number in range(10)]
    answers = [(PONG, payload) for payload in ten]
    yield echoed(area, "ten", [ping(payload) for payload in ten], *answers)
    yield echoed(area, "ten byte by byte", [ping(payload) for payload in ten], *answers, chop=1)
    # A pong may overtake what is on its way, so each answer is waited for.
    answers = [(TEXT, b"a"), (PONG, b"b"), (BINARY, b"c")]
    wanted = echoed(area, "between messages", [], *answers)
    yield Case(area, wanted.name, (text("a"), 1, ping(b"b"), 2, binary(b"c"), 3), wanted.expected)


def halves() -> Iterator[Case]:
    """The client ends in the midst of something; the server may close, or just end."""
    whole = frame(TEXT, sample(200))
    for size in (1, 2, 3, 5, 8, 100):
        yield Case("halves", f"{size} bytes of a frame", (whole[:size],), ENDS, finish=False, half_close=True)
    yield Case("halves", "no byte", (), ENDS, finish=False, half_close=True)
    yield Case("halves", "a fragment", (text("a", fin=False),), ENDS, finish=False, half_close=True)


ENDS = frozenset(["end", "close 1006 | end", "close 1002 | end", "close 1000 | end", "close empty | end"])


def cases() -> Iterator[Case]:
    """All of this area."""
    for part in (lengths, encodings, unmasked, pings, halves):
        yield from part()

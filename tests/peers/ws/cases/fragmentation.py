"""Fragmentation: every legal order, control frames between fragments, and every illegal order."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, CLOSE, PING, PONG, TEXT, binary, close, frame, more, ping, pong, text

from .case import Case, echoed, fails


def legal() -> Iterator[Case]:
    """What comes back as one message."""
    area = "fragmentation"
    both = (TEXT, b"ab")
    orders = {
        "two": [text("a", fin=False), more(b"b", fin=True)],
        "last is empty": [text("ab", fin=False), more(b"", fin=True)],
        "first is empty": [text("", fin=False), more(b"ab", fin=True)],
        "middle is empty": [text("a", fin=False), more(b""), more(b"b", fin=True)],
        "pong between": [text("a", fin=False), pong(b"x"), more(b"b", fin=True)],
    }
    for name, sends in orders.items():
        yield echoed(area, name, sends, both)
        yield echoed(area, f"{name}, byte by byte", sends, both, chop=1)
    yield echoed(area, "all are empty", [text("", fin=False), more(b""), more(b"", fin=True)], (TEXT, b""))
    ten = [binary(b"0", fin=False), *(more(b"%d" % number) for number in range(1, 9)), more(b"9", fin=True)]
    yield echoed(area, "ten", ten, (BINARY, b"0123456789"))
    thousand = [text("0", fin=False), *[more(b"x")] * 998, more(b"9", fin=True)]
    yield echoed(area, "thousand", thousand, (TEXT, b"0" + b"x" * 998 + b"9"))
    yield echoed(area, "two messages", [*orders["two"], *orders["two"]], both, both)


def between() -> Iterator[Case]:
    """Pings between fragments are answered at once."""
    area = "fragmentation"
    start, end = text("a", fin=False), more(b"b", fin=True)
    for chop in (0, 1):
        how = ", byte by byte" if chop else ""
        yield echoed(area, f"ping between{how}", [start, ping(b"p"), end], (PONG, b"p"), (TEXT, b"ab"), chop=chop)
        sends = [start, ping(b"1"), more(b"-"), ping(b"2"), pong(), end]
        yield echoed(area, f"two pings between{how}", sends, (PONG, b"1"), (PONG, b"2"), (TEXT, b"a-b"), chop=chop)
    twenty = [ping(b"%d" % number) for number in range(20)]
    answers = [(PONG, b"%d" % number) for number in range(20)]
    yield echoed(area, "twenty pings between", [start, *twenty, end], *answers, (TEXT, b"ab"))
    whole = [start, more(b"b"), close()]
    yield Case(area, "close between", (b"".join(whole),), frozenset(["close 1000 | end"]), finish=False)


def illegal() -> Iterator[Case]:
    """What fails the connection."""
    area = "fragmentation, illegal"
    started = text("a", fin=False)
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        payload = b"\x03\xe8" if opcode == CLOSE else b"x"
        yield fails(area, f"{name} in fragments", frame(opcode, payload, fin=False) + more(b"y", fin=True))
        yield fails(area, f"{name} without FIN between", started + frame(opcode, payload, fin=False))
    yield fails(area, "continuation of nothing, last", more(b"x", fin=True))
    yield fails(area, "continuation of nothing", more(b"x"))
    yield fails(area, "continuation of nothing, empty", more(b"", fin=True))
    yield fails(area, "continuation of nothing, then text", more(b"x", fin=True) + text("a"))
    yield fails(area, "continuation behind a message", more(b"b", fin=True), good=text("a"), before=[(TEXT, b"a")])
    yield fails(
        area, "continuation behind fragments", more(b"c"), good=started + more(b"b", fin=True), before=[(TEXT, b"ab")]
    )
    yield fails(area, "continuation behind a ping", more(b"c"), good=ping(b"p"), before=[(PONG, b"p")])
    yield fails(area, "text within text", started + text("b"))
    yield fails(area, "text within text, both without FIN", started + text("b", fin=False))
    yield fails(area, "binary within text", started + binary(b"b"))
    yield fails(area, "text within binary", binary(b"a", fin=False) + text("b"))
    yield fails(area, "text behind a ping within text", text("b"), good=started + ping(b"p"), before=[(PONG, b"p")])


def cases() -> Iterator[Case]:
    """All of this area."""
    for part in (legal, between, illegal):
        yield from part()

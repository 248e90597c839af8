"""The closing handshake: every class of codes, reasons, what comes behind a close frame, and ends without one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import CLOSE, PONG, TEXT, close, described, frame, more, ping, text

from .case import Case, fails, verdict

VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
# Registered since RFC 6455; a server may not know them.
REGISTERED = (1012, 1013, 1014)
INVALID = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535)
REASON = "Grüße, 世界"
BAD_REASON = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"


def closes(name: str, sends: bytes, *answers: str, half_close: bool = False) -> Case:
    """The server agrees to close, in one of these ways."""
    wanted = frozenset(verdict(answer, "end") for answer in answers)
    return Case("closing", name, (sends,), wanted, finish=False, half_close=half_close)


def codes() -> Iterator[Case]:
    """A valid code comes back, or 1000 does; an invalid one fails the connection."""
    for code in VALID:
        echo = described(CLOSE, code.to_bytes(2, "big"))
        yield closes(f"code {code}", close(code), echo, "close 1000")
        with_reason = described(CLOSE, code.to_bytes(2, "big") + REASON.encode())
        yield closes(f"code {code} with a reason", close(code, REASON), with_reason, echo, "close 1000")
    for code in REGISTERED:
        yield closes(f"code {code}", close(code), f"close {code}", "close 1000", "close 1002")
    for code in INVALID:
        yield fails("closing, invalid", f"code {code}", close(code))
        yield fails("closing, invalid", f"code {code} with a reason", close(code, REASON))


def payloads() -> Iterator[Case]:
    """What a close frame may hold, and what not."""
    yield closes("no payload", close(None), "close empty", "close 1000")
    longest = "*" * 123
    yield closes("reason of 123", close(1000, longest), f"close 1000 {longest}", "close 1000")
    yield fails("closing, invalid", "reason of 124", close(1000, "*" * 124))
    yield fails("closing, invalid", "payload of one byte", frame(CLOSE, b"\x03"))
    yield fails("closing, invalid", "reason is not UTF-8", close(1000, BAD_REASON), 1007)
    yield fails("closing, invalid", "reason ends inside a character", close(1000, b"\xe2\x82"), 1007)


def behind() -> Iterator[Case]:
    """Nothing that comes behind a close frame is answered."""
    agreed = close(1000)
    yield closes("text behind", agreed + text("x"), "close 1000")
    yield closes("ping behind", agreed + ping(b"x"), "close 1000")
    yield closes("close behind", agreed + close(1001), "close 1000")
    yield closes("a frame that is wrong behind", agreed + frame(3), "close 1000")
    yield closes("no frame behind", agreed + b"\xff" * 100, "close 1000")
    yield closes("100 KiB behind", agreed + text("x" * 102400), "close 1000")
    yield closes("within a text", text("a", fin=False) + agreed + more(b"b", fin=True), "close 1000")
    echo = described(TEXT, b"x")
    yield closes("behind a text", text("x") + agreed, verdict(echo, "close 1000"), "close 1000")
    yield closes("behind a ping", ping(b"x") + agreed, verdict(described(PONG, b"x"), "close 1000"))
    yield closes("then the end", agreed, "close 1000", half_close=True)


def cases() -> Iterator[Case]:
    """All of this area."""
    for part in (codes, payloads, behind):
        yield from part()

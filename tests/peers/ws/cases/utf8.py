"""UTF-8: text is checked over frames and fragments, wherever these part it; binary is not."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, TEXT, binary, more, text

from .case import Case, echoed, fails

# By the name of what they show.
VALID = {
    "ascii": b"Hello-World",
    "kosme": "κόσμε".encode(),
    "mixed": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "NUL": b"\0",
    "U+007F": b"\x7f",
    "U+0080": b"\xc2\x80",
    "U+07FF": b"\xdf\xbf",
    "U+0800": b"\xe0\xa0\x80",
    "U+D7FF": b"\xed\x9f\xbf",
    "U+E000": b"\xee\x80\x80",
    "U+FEFF": b"\xef\xbb\xbf",
    "U+FFFD": b"\xef\xbf\xbd",
    "U+FFFE": b"\xef\xbf\xbe",
    "U+FFFF": b"\xef\xbf\xbf",
    "U+FDD0": b"\xef\xb7\x90",
    "U+10000": b"\xf0\x90\x80\x80",
    "U+1FFFE": b"\xf0\x9f\xbf\xbe",
    "U+10FFFF": b"\xf4\x8f\xbf\xbf",
    "combining": "e\u0301\u0327".encode(),
    "emoji": "👩\u200d👧".encode(),
}
INVALID = {
    "continuation 80": b"\x80",
    "continuation BF": b"\xbf",
    "continuations": b"\x80\xbf\x80\xbf",
    "all continuations": bytes(range(0x80, 0xC0)),
    "C0": b"\xc0",
    "C1": b"\xc1\xbf",
    "F5": b"\xf5\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "FE FE FF FF": b"\xfe\xfe\xff\xff",
    "2 bytes lack one": b"\xc3",
    "2 bytes lack one, then a space": b"\xc3 ",
    "3 bytes lack two": b"\xe2",
    "3 bytes lack one": b"\xe2\x82",
    "4 bytes lack three": b"\xf0",
    "4 bytes lack two": b"\xf0\x9f",
    "4 bytes lack one": b"\xf0\x9f\x98",
    "5 bytes": b"\xf8\x88\x80\x80\x80",
    "6 bytes": b"\xfc\x84\x80\x80\x80\x80",
    "overlong slash in 2": b"\xc0\xaf",
    "overlong slash in 3": b"\xe0\x80\xaf",
    "overlong slash in 4": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "overlong U+007F": b"\xc1\xbf",
    "overlong U+07FF": b"\xe0\x9f\xbf",
    "overlong U+FFFF": b"\xf0\x8f\xbf\xbf",
    "surrogate D800": b"\xed\xa0\x80",
    "surrogate DBFF": b"\xed\xaf\xbf",
    "surrogate DC00": b"\xed\xb0\x80",
    "surrogate DFFF": b"\xed\xbf\xbf",
    "surrogate pair": b"\xed\xa0\x80\xed\xb0\x80",
    "U+110000": b"\xf4\x90\x80\x80",
    "kosme, then a surrogate": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "latin-1": "Grüße".encode("latin-1"),
    "UTF-16": "Grüße".encode("utf-16"),
    "behind 100 KiB": b"x" * 102400 + b"\xff",
}


def parted(payload: bytes, at: int) -> bytes:
    """A text in two fragments."""
    return text(payload[:at], fin=False) + more(payload[at:], fin=True)


def valid() -> Iterator[Case]:
    """Texts that come back, whole and parted inside a character."""
    for name, payload in VALID.items():
        yield echoed("UTF-8", name, [text(payload)], (TEXT, payload))
        if len(payload) > 1:
            single = [text(payload[:1], fin=False), *(more(payload[at : at + 1]) for at in range(1, len(payload)))]
            yield echoed("UTF-8", f"{name}, a byte each", [*single, more(b"", fin=True)], (TEXT, payload))
    yield echoed("UTF-8", "emoji byte by byte", [text(VALID["emoji"])], (TEXT, VALID["emoji"]), chop=1)
    yield echoed("UTF-8", "binary is not checked", [binary(INVALID["UTF-16"])], (BINARY, INVALID["UTF-16"]))
    for at in range(1, 10):
        yield echoed("UTF-8", f"kosme parted at {at}", [parted(VALID["kosme"], at)], (TEXT, VALID["kosme"]))


def invalid() -> Iterator[Case]:
    """Texts that fail the connection with 1007, whole, parted, and behind a good one."""
    area = "UTF-8, invalid"
    for name, payload in INVALID.items():
        yield fails(area, name, text(payload), 1007)
        if 1 < len(payload) < 100:
            yield fails(area, f"{name}, parted", parted(payload, len(payload) // 2), 1007)
    yield fails(area, "behind a good text", text(b"\xff"), 1007, good=text("a"), before=[(TEXT, b"a")])
    yield fails(area, "in the second fragment", parted(b"good\xff", 4), 1007)
    yield fails(area, "a character over two messages", text(b"\xc3") + text(b"\xbc"), 1007)
    whole = text(b"\xe2", fin=False) + more(b"\x82") + more(b"", fin=True)
    yield fails(area, "the message ends inside a character", whole, 1007)


def cases() -> Iterator[Case]:
    """All of this area."""
    yield from valid()
    yield from invalid()

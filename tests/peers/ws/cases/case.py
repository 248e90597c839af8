"""What a case is: what a client says in the handshake and after it, and which verdicts may come of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.peers.ws.frames import Deflater, close, described

HOST = "{host}"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
USUAL = {
    "Host": HOST,
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(
    *more: str, line: str = "GET /echo HTTP/1.1", without: Iterable[str] = (), body: str = "", **changed: str
) -> str:
    """An opening handshake; underscores in the name of a changed header are hyphens, `more` are lines as they stand."""
    headers = USUAL | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if name not in without), *more]
    return "\r\n".join([*lines, "", body])


@dataclass(frozen=True)
class Case:
    """One case. Each of `sends` is sent by itself; before a number so many answers must have come.

    `finish`: at last we close, else we wait for the server.
    """

    area: str
    name: str
    sends: tuple[bytes | int, ...]
    # What the RFC lets a server answer.
    expected: frozenset[str]
    opening: str = field(default_factory=request)
    finish: bool = True
    # Whether our end of the connection ends behind what we send.
    half_close: bool = False
    # Further verdicts that the gateway may bring about by answering earlier than the server.
    allowed: frozenset[str] = frozenset()
    deflater: Deflater | None = None

    @property
    def label(self) -> str:
        """What `--only` is compared with."""
        return f"{self.area}/{self.name}"

    def fits(self, seen: str) -> bool:
        """Whether the RFC lets this be."""
        return not self.expected.isdisjoint(_spellings(seen))

    def permits(self, seen: str) -> bool:
        """Whether a gateway may bring this about."""
        return not self.allowed.isdisjoint(_spellings(seen))


def _spellings(seen: str) -> list[str]:
    """A verdict as rows may write it: `*` stands for any agreement, and the usual one need not be written."""
    agreement, _, rest = seen.partition(" | ")
    if not agreement.startswith("101"):
        return [seen]
    return [seen, f"* | {rest}", *([rest] if agreement == "101" else [])]


def verdict(*items: str) -> str:
    """The items of a verdict as one text."""
    return " | ".join(items)


def echoed(area: str, name: str, sends: Iterable[bytes], *messages: tuple[int, bytes], chop: int = 0) -> Case:
    """These messages (or pongs) come back, then the server agrees to close. With `chop`, so few bytes go out at a time."""
    wanted = verdict(*(described(kind, payload) for kind, payload in messages), "close 1000", "end")
    whole = b"".join(sends)
    pieces = tuple(whole[at : at + chop] for at in range(0, len(whole), chop)) if chop else (whole,)
    return Case(area, name, (*pieces, len(messages)), frozenset([wanted]))


def failed(*codes: int, before: Iterable[tuple[int, bytes]] = ()) -> frozenset[str]:
    """The connection fails with one of these codes, behind these echoes."""
    echoes = [described(kind, payload) for kind, payload in before]
    return frozenset(verdict(*echoes, f"close {code}", "end") for code in codes)


def fails(
    area: str, name: str, sends: bytes, *codes: int, good: bytes = b"", before: Sequence[tuple[int, bytes]] = ()
) -> Case:
    """The connection fails with one of these codes (default: 1002); `good` is sent first, and `before` comes of it."""
    begin = (good, len(before)) if good else ()
    return Case(area, name, (*begin, sends), failed(*(codes or (1002,)), before=before), finish=False)


FINISH = close(1000)

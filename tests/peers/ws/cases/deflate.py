"""permessage-deflate (RFC 7692): offers with all parameters, right and wrong, and compressed messages, right and wrong."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

from tests.peers.ws.frames import BINARY, CLOSE, PING, PONG, TEXT, Deflater, described, frame, more, ping, text

from .case import Case, echoed, failed, request, verdict

NAME = "permessage-deflate"
HELLO = b"Hello, hello, hello"
LONG = b"Again and again. " * 4000
# So much is compressed by both servers: `ws` leaves messages below 1 KiB as they are.
NOISE = bytes(itertools.islice(itertools.cycle(range(251)), 5000))


def offers() -> Iterator[Case]:
    """What the server answers to an offer is part of the verdict; a text goes back and forth."""
    parameters = (
        *("", "client_no_context_takeover", "server_no_context_takeover", "client_max_window_bits"),
        *(f"client_max_window_bits={bits}" for bits in (9, 10, 12, 15)),
        *(f"server_max_window_bits={bits}" for bits in (9, 10, 12, 15)),
        'client_max_window_bits="10"',
    )
    pairs = (
        "client_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_max_window_bits",
        "server_no_context_takeover; client_max_window_bits",
        "server_no_context_takeover; server_max_window_bits=10",
        "client_max_window_bits; server_max_window_bits=10",
        "client_max_window_bits=12; server_max_window_bits=12",
        "client_no_context_takeover; server_no_context_takeover; client_max_window_bits=9; server_max_window_bits=9",
    )
    for parameter in (*parameters, *pairs):
        yield offer(f"{NAME}; {parameter}".removesuffix("; "))
    yield offer(f"{NAME}; server_max_window_bits=10, {NAME}")
    yield offer(f"x-unknown, {NAME}")
    yield offer("x-unknown; a=1")
    yield offer("x-webkit-deflate-frame")


def refusals() -> Iterator[Case]:
    """Offers with parameters that cannot be: the server goes on without compression, or answers 400."""
    wrong = (
        *(
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=0",
            "client_max_window_bits=a",
        ),
        *(
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=010",
        ),
        *("client_no_context_takeover=1", "server_no_context_takeover=true", "unknown_parameter"),
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=12",
        "client_max_window_bits; client_max_window_bits=12",
    )
    for parameter in wrong:
        yield offer(f"{NAME}; {parameter}", "http 400")
    for header in (
        "permessage-deflate;",
        "permessage-deflate; =1",
        ", ,",
        "permessage deflate",
        '"permessage-deflate"',
    ):
        yield offer(header, "http 400")


def offer(header: str, *others: str) -> Case:
    """A handshake with this offer, and a text, not compressed, behind it."""
    echoes = [verdict("*", described(TEXT, HELLO, how), "close 1000", "end") for how in (False, True)]
    return Case("deflate, offers", header, (text(HELLO), 1), frozenset([*echoes, *others]), opening=opening(header))


def opening(header: str) -> str:
    """A handshake that offers this."""
    return request(**{"Sec-WebSocket-Extensions": header})


def case(
    name: str, sends: tuple[bytes | int, ...], expected: frozenset[str], header: str = NAME, finish: bool = True
) -> Case:
    """A case where compression is agreed upon: any answer to the offer will do, compressed echoes or not."""
    both = {f"* | {item}" for item in expected}
    return Case("deflate", name, sends, frozenset(both), opening=opening(header), finish=finish, deflater=Deflater())


def good(name: str, frames: bytes, *messages: tuple[int, bytes], header: str = NAME) -> Case:
    """These come back; whether compressed is the server's choice."""
    answers = []
    for choice in itertools.product((False, True), repeat=len(messages)):
        items = [described(kind, payload, how) for (kind, payload), how in zip(messages, choice, strict=True)]
        answers.append(verdict(*items, "close 1000", "end"))
    return case(name, (frames, len(messages)), frozenset(answers), header)


def bad(name: str, frames: bytes, *codes: int) -> Case:
    """The connection fails with one of these codes."""
    return case(name, (frames,), failed(*codes), finish=False)


def squeezed(*payloads: bytes, takeover: bool = True, bits: int = 15, kind: int = TEXT) -> bytes:
    """Compressed messages, one behind the other."""
    deflater = Deflater(takeover, bits)
    return b"".join(frame(kind, deflater.deflate(payload), rsv=4) for payload in payloads)


def messages() -> Iterator[Case]:
    """Compressed messages that come back."""
    for name, payload in (("empty", b""), ("short", HELLO), ("long", LONG), ("5000", NOISE), ("64 KiB", LONG[:65536])):
        yield (
            good(f"text, {name}", squeezed(payload), (TEXT, payload))
            if name != "5000"
            else good(f"binary, {name}", squeezed(payload, kind=BINARY), (BINARY, payload))
        )
    three = [(TEXT, LONG)] * 3
    without = f"{NAME}; client_no_context_takeover; server_no_context_takeover"
    yield good("three with takeover", squeezed(LONG, LONG, LONG), *three)
    yield good("three without takeover", squeezed(LONG, LONG, LONG, takeover=False), *three, header=without)
    yield good(
        "three, the server without", squeezed(LONG, LONG, LONG), *three, header=f"{NAME}; server_no_context_takeover"
    )
    small = f"{NAME}; client_max_window_bits=9; server_max_window_bits=9"
    yield good("three in a window of 512", squeezed(LONG, LONG, LONG, bits=9), *three, header=small)
    yield good("not compressed though agreed", text(HELLO), (TEXT, HELLO))
    yield good("by turns", text(HELLO) + squeezed(LONG) + text(HELLO), (TEXT, HELLO), (TEXT, LONG), (TEXT, HELLO))
    yield good("stored block", frame(TEXT, stored(HELLO), rsv=4), (TEXT, HELLO))
    yield good("final block", frame(TEXT, final(HELLO), rsv=4), (TEXT, HELLO))
    yield good("two blocks", frame(TEXT, Deflater().deflate(HELLO) + b"\0\0\xff\xff" + b"\0", rsv=4), (TEXT, HELLO))


def fragmented() -> Iterator[Case]:
    """A compressed message in fragments: its first frame alone has the bit."""
    data = Deflater().deflate(LONG)
    for size in (1, 7, 50):
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        frames = frame(TEXT, parts[0], fin=False, rsv=4) + b"".join(map(more, parts[1:])) + more(b"", fin=True)
        yield good(f"in fragments of {size}", frames, (TEXT, LONG))
    yield good("first fragment empty", frame(TEXT, b"", fin=False, rsv=4) + more(data, fin=True), (TEXT, LONG))
    parted = frame(TEXT, data[:9], fin=False, rsv=4) + ping(b"p") + more(data[9:], fin=True)
    wanted = {verdict(described(PONG, b"p"), described(TEXT, LONG, how), "close 1000", "end") for how in (False, True)}
    yield case("ping between fragments", (parted, 2), frozenset(wanted))
    start = frame(TEXT, data[:9], fin=False, rsv=4)
    yield bad("the bit in a continuation", start + frame(0, data[9:], rsv=4), 1002)
    yield bad("the bit in a continuation only", text("a", fin=False) + frame(0, data, rsv=4), 1002)


def wrong() -> Iterator[Case]:
    """What fails the connection."""
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        yield bad(f"compressed {name}", frame(opcode, Deflater().deflate(b"\x03\xe8"), rsv=4), 1002)
    for rsv in (1, 2, 3, 5, 6, 7):
        yield bad(f"reserved bits {rsv:03b}", frame(TEXT, Deflater().deflate(HELLO), rsv=rsv), 1002)
    yield bad("no deflate data", frame(TEXT, b"\xff" * 20, rsv=4), 1002, 1007)
    yield bad("reserved block type", frame(TEXT, b"\x07\0\0", rsv=4), 1002, 1007)
    yield bad("distance too far back", frame(TEXT, b"\x02\x0e\0\0", rsv=4), 1002, 1007)
    yield bad("invalid UTF-8", squeezed(b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"), 1007)
    yield bad("bomb: 65 MiB", frame(BINARY, Deflater().deflate(bytes(65 << 20)), rsv=4), 1009)
    yield Case("deflate", "not agreed upon", (squeezed(HELLO),), failed(1002), finish=False)


def stored(payload: bytes) -> bytes:
    """A message that is not compressed inside its deflate block."""
    size = len(payload)
    return b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + payload + b"\0"


def final(payload: bytes) -> bytes:
    """A message whose block has the final bit (RFC 7692 section 7.2.3.4)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(payload) + packer.flush(zlib.Z_FINISH) + b"\0"


def cases() -> Iterator[Case]:
    """All of this area."""
    for part in (offers, refusals, messages, fragmented, wrong):
        yield from part()
    yield echoed("deflate", "not offered", [text(HELLO)], (TEXT, HELLO))

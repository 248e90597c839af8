"""The seeded faults of WebSocket handshakes and frames: each check, left out. Rows are those of the threat table."""

from __future__ import annotations

from tests.mutants.table import Mutant, left_out

FRAMES, PAYLOADS, HANDSHAKE = (f"plugins/alg_http/{name}.py" for name in ("frames", "payloads", "handshake"))
ON_FRAMES = ("tests/plugins/test_websocket_frames.py", "tests/plugins/test_websocket_deflate.py")
TESTS = {FRAMES: ON_FRAMES, PAYLOADS: ON_FRAMES, HANDSHAKE: ("tests/plugins/test_websocket_handshake.py",)}


def _left_out(row: str, path: str, what: str, check: str) -> Mutant:
    name = path.rpartition("/")[2].removesuffix(".py")
    return left_out(f"websocket {name}: {what}", row, path, check, TESTS[path])


WEBSOCKET_MUTANTS = (
    _left_out("T25", FRAMES, "reserved opcodes", "opcode not in _OPCODES"),
    _left_out("T25", FRAMES, "reserved bits", "first & _RESERVED_2_3"),
    _left_out(
        "T25",
        FRAMES,
        "compressed where nobody agreed",
        "first & _RESERVED_1 and (self._inbound is None or opcode not in (Opcode.TEXT, Opcode.BINARY))",
    ),
    _left_out("T25", FRAMES, "masking", "bool(second & _MASKED) is not self._masked"),
    _left_out("T25", FRAMES, "control frames in fragments", "not first & _FINAL"),
    _left_out("T25", FRAMES, "long control frames", "second & _LENGTH > _CONTROL_LIMIT"),
    _left_out("T25", FRAMES, "lengths that are not the shortest", "length < least"),
    Mutant(
        "websocket frames: a message inside another",
        "T25",
        FRAMES,
        'raise self._error("a new message inside another")',
        "pass",
        TESTS[FRAMES],
    ),
    _left_out("T88", FRAMES, "frames without end", "self._frames > self._limits.max_frames"),
    _left_out("T88", FRAMES, "controls without end", "self._controls > self._limits.max_controls"),
    _left_out("T87", FRAMES, "messages without end", "length > room"),
    _left_out("T87", PAYLOADS, "a bomb", "room < 0"),
    _left_out("T77", PAYLOADS, "a second final block", "self._finished"),
    _left_out("T25", PAYLOADS, "text that ends inside a character", "final and self._partial"),
    _left_out("T24", HANDSHAKE, "any method", 'method != b"GET"'),
    _left_out("T24", HANDSHAKE, "any version of HTTP", 'http_version != b"1.1"'),
    _left_out("T24", HANDSHAKE, "any key", "not _KEY.fullmatch(key)"),
    _left_out("T24", HANDSHAKE, "any accept", 'check.one(b"sec-websocket-accept") != accept_value(offer.key)'),
    _left_out("T24", HANDSHAKE, "any subprotocol", "not set(chosen) <= set(offer.subprotocols)"),
    _left_out("T24", HANDSHAKE, "any extension", "not set(names) <= {each.name for each in offer.extensions}"),
    _left_out("T24", HANDSHAKE, "any upgrade", 'self.one(b"upgrade").lower() != b"websocket"'),
    _left_out("T24", HANDSHAKE, "two of a field", "len(values) != 1"),
)

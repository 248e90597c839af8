"""The seeded faults of HTTP itself: heads, framing, upgrades, limits, ends. Rows are those of the threat table."""

from __future__ import annotations

from tests.mutants.table import Mutant, talks

HEADS, FRAMING, ASKING, ANSWERING, SOCKET = (
    f"plugins/alg_http/{name}.py" for name in ("heads", "framing", "asking", "answering", "websocket")
)
ADMISSION, FIELDS, PLUGIN, CONNECTION, REFUSALS = (
    f"plugins/alg_http/{name}.py" for name in ("admission", "fields", "plugin", "connection", "refusals")
)
SMUGGLING, UPGRADES, LIMITS, BODIES, ENDS = (
    f"tests/plugins/test_http_{name}.py" for name in ("smuggling", "upgrades", "limits", "bodies", "ends")
)


def http(*names: str) -> tuple[str, ...]:
    """The conversations of these names, played whole."""
    return talks(*names, plugin="http")


def _refused(name: str) -> tuple[str, ...]:
    return (f"{SMUGGLING}::test_ambiguous_requests_are_refused[{name}]",)


def _heads(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"http heads: {name}", "T26", HEADS, old, new, tests)


def _framing(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"http framing: {name}", "T26", FRAMING, old, new, tests)


def _upgrade(row: str, name: str, path: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"http upgrade: {name}", row, path, old, new, (UPGRADES, "-k", *tests))


def _limit(row: str, name: str, path: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"http limit: {name}", row, path, old, new, (LIMITS, "-k", *tests))


HTTP_MUTANTS = (
    # Heads.
    _heads("two lengths", "if lengths and codings:", "if False:", *_refused("two lengths")),
    _heads("coding in 1.0", 'if codings and version == b"1.0":', "if False:", *_refused("coding in HTTP/1.0")),
    _heads("endless lengths", "if lengths and len(lengths[0]) > _LENGTH_DIGITS:", "if False:", *_refused("lengths")),
    _heads("a bare LF", 'if not line.endswith(b"\\r\\n"):', "if False:", *_refused("line ends")),
    _heads("a folded line", 'if line[:1] in (b" ", b"\\t"):', "if False:", *_refused("folded")),
    _heads(
        "control characters",
        "if _CONTROL.search(line, 0, len(line) - 2):",
        "if False:",
        *_refused("control characters"),
    ),
    _heads("any version", 'if version not in (b"1.0", b"1.1"):', "if False:", *_refused("request lines")),
    _heads("any number of fields", "if len(lines) > max_headers + 1:", "if False:", *_refused("too much")),
    _heads("heads without end", "left -= len(line)", "left -= 0", *_refused("too much")),
    Mutant(
        "http heads: fields of one hop pass",
        "T27",
        HEADS,
        "return without(headers, _HOP_BY_HOP | named)",
        "return tuple(headers)",
        (UPGRADES, "-k", "other_upgrades"),
    ),
    Mutant(
        "http heads: users named by Connection",
        "T26",
        HEADS,
        'named = frozenset(tokens(headers, b"connection")) - _END_TO_END',
        'named = frozenset(tokens(headers, b"connection"))',
        (LIMITS, "-k", "who_asks"),
    ),
    Mutant(
        "http heads: the proxy in front is silenced",
        "T26",
        HEADS,
        'frozenset((b"authorization", b"cookie", b"origin")) | FORWARDED',
        'frozenset((b"authorization", b"cookie", b"origin"))',
        (LIMITS, "-k", "who_asks"),
    ),
    # Bodies.
    _framing("chunk sizes", "if match is None:", "if False:", *_refused("chunk sizes")),
    _framing(
        "chunk ends",
        'if await stream.read_exactly(2) != b"\\r\\n":',
        'if await stream.read_exactly(2) == b"":',
        *_refused("chunk ends"),
    ),
    _framing("trailers", "if not _TRAILER.fullmatch(line):", "if False:", *_refused("trailers")),
    Mutant(
        "http framing: bodies without end",
        "T86",
        FRAMING,
        "if length > limit:",
        "if False:",
        (BODIES, "-k", "gibibyte or cannot_be_read"),
    ),
    Mutant(
        "http framing: trailers that frame", "T26", FRAMING, "not in _NO_TRAILERS:", '!= b"":', http("post-chunked")
    ),
    Mutant(
        "http framing: CONNECT with a body",
        "T26",
        ASKING,
        'if request.method == b"CONNECT" and not body.is_empty:',
        "if False:",
        (SMUGGLING, "-k", "connect_has_no_body"),
    ),
    Mutant(
        "http framing: a length of nothing",
        "T26",
        ANSWERING,
        "if body.framing is not Framing.NONE or sent.status == 204:",
        "if body.framing is not Framing.NONE:",
        (SMUGGLING, "-k", "have_no_length"),
    ),
    Mutant(
        "http framing: a length of information",
        "T26",
        ANSWERING,
        "stream.send(replace(sent, headers=without(sent.headers, _LENGTH)).to_bytes())\n\n    async def answer",
        "stream.send(sent.to_bytes())\n\n    async def answer",
        (SMUGGLING, "-k", "have_no_length"),
    ),
    Mutant(
        "http framing: trailers that say who asks",
        "T26",
        FRAMING,
        "_NO_TRAILERS = FORWARDED | frozenset(",
        "_NO_TRAILERS = frozenset(",
        (LIMITS, "-k", "cannot_be_claimed"),
    ),
    # Upgrades.
    _upgrade(
        "T24",
        "the answer is not verified",
        SOCKET,
        "agreement = handshake.check_response(exchange.offer, lowered(response.headers))",
        "agreement = handshake.Agreement()",
        "fake_101",
    ),
    _upgrade(
        "T24",
        "bytes before the server agrees",
        SOCKET,
        "if connection.client.buffered:",
        "if False:",
        "before_the_server",
    ),
    _upgrade(
        "T24",
        "bytes before the server is asked",
        ASKING,
        "if connection.client.buffered:",
        "if False:",
        "before_the_server",
    ),
    _upgrade(
        "T24",
        "a refused upgrade lives on",
        ASKING,
        "_persists(request) and offer is None",
        "_persists(request)",
        "refuses",
    ),
    _upgrade(
        "T74",
        "any page",
        ADMISSION,
        "if len(origins) != 1 or origins[0] not in config.allowed_origins:",
        "if False:",
        "foreign",
    ),
    _upgrade("T74", "no page at all", ADMISSION, "if len(origins) != 1 or", "if origins and", "page_that_may"),
    _upgrade(
        "T25",
        "the server is not told",
        SOCKET,
        "(stream.send if side is Side.CLIENT else stream.reply)(frame)",
        "pass",
        "bad_frames",
    ),
    _upgrade("T87", "any message", SOCKET, "max_message=config.max_message, ", "", "bomb"),
    _upgrade("T88", "any number of fragments", SOCKET, ", max_frames=config.max_frames", "", "tiny"),
    _upgrade(
        "T79",
        "no end to a closing handshake",
        SOCKET,
        'self._flow.deadline(CLOSING, "the other close frame")',
        "pass",
        "closing_handshake",
    ),
    Mutant(
        "http upgrade: any 101",
        "T24",
        HEADS,
        'and not request.values(b"upgrade"):',
        "and False:",
        (UPGRADES, "-k", "other_upgrades"),
    ),
    # Limits, and who may ask.
    _limit("T79", "a deadline for answers", PLUGIN, "        self.flow.deadline(None)\n", "", "no_deadline"),
    _limit("T82", "any rate", PLUGIN, "and not connection.rate.admit(self.flow.now):", "and False:", "too_many"),
    _limit("T49", "any host", ADMISSION, "if config.allowed_hosts and not", "if False and not", "hosts"),
    _limit("T49", "odd paths", ADMISSION, "if odd or not any", "if not any", "paths_that_are_refused"),
    _limit("T49", "any path", ADMISSION, "if config.allowed_paths and", "if False and", "paths_that_are_refused"),
    _limit(
        "T26",
        "a refused body is a request",
        ASKING,
        "close = not body.is_empty or",
        "close = False or",
        "refused_request_with_a_body",
    ),
    _limit(
        "T26",
        "what follows an early answer",
        CONNECTION,
        "        if lasts:\n",
        "        if True:\n",
        "early_answer",
    ),
    _limit(
        "T26",
        "an answer in an answer",
        PLUGIN,
        "if exchange is not None and exchange.answered:",
        "if False:",
        "break_off",
    ),
    _limit(
        "T26",
        "answers that nobody asked for",
        HEADS,
        "if (request := asked()) is None:",
        "if (request := asked() or Request(b'GET', b'/', b'1.1')) is None:",
        "speaks_first",
    ),
    _limit(
        "T77",
        "answers like 100",
        ANSWERING,
        "if exchange.informed > _INFORMATION:",
        "if False:",
        "answers_that_are_none",
    ),
    Mutant(
        "http limit: slow heads",
        "T79",
        PLUGIN,
        'self.flow.deadline(config.keep_alive if connection.asked else config.head_timeout, "the head of a request")',
        "pass",
        (LIMITS, "-k", "slow_head"),
    ),
    Mutant(
        "http limit: CONNECT",
        "T01",
        ADMISSION,
        'if request.method == b"CONNECT" and not config.connect:',
        "if False:",
        http("connect-refused"),
    ),
    Mutant(
        "http limit: a field that is gone through again and again",
        "T93",
        FIELDS,
        'rb"[0-9.]*+[ \\t]*+[;,][ \\t]*+(',
        'rb"[0-9.]*+[ \\t]*+[;,][ \\t]*(',
        (LIMITS, "-k", "only_look_like"),
    ),
    Mutant(
        "http limit: any text is mapped",
        "T87",
        "plugins/alg_http/frames.py",
        "min(self._limits.max_mapped, self._limits.max_message) if is_mapped else self._limits.max_message",
        "self._limits.max_message",
        ("tests/plugins/test_websocket_deflate.py", "-k", "longest_text_that_is_mapped"),
    ),
    Mutant(
        "http limit: texts have a limit that nobody set",
        "T87",
        SOCKET,
        "max_mapped=config.max_body",
        "max_mapped=config.max_message",
        (BODIES, "-k", "too_long_to_be_mapped"),
    ),
    Mutant(
        "http: names where the server takes none",
        "T49",
        ADMISSION,
        "if config.names_address and not known:",
        "if False:",
        (LIMITS, "-k", "rebinding"),
    ),
    # Ends, and what is said then.
    Mutant(
        "http end: an answer ends with its client",
        "F42",
        PLUGIN,
        "return  # the answer lasts up to the server's end, not up to the client's",
        "break",
        (ENDS, "-k", "whole_answer"),
    ),
    Mutant(
        "http end: an answer to nobody",
        "T26",
        PLUGIN,
        "return self._by_server or isinstance(error, ConnectError | TlsError) or error.reason in _QUIET",
        "return error.reason in _QUIET",
        (ENDS, "-k", "told_nothing"),
    ),
    Mutant(
        "http end: half an answer is one",
        "T77",
        PLUGIN,
        "            return None\n        if self._is_between",
        '            return b""\n        if self._is_between',
        (ENDS, "-k", "broken_off"),
    ),
    Mutant(
        "http end: the relay ends it orderly",
        "T77",
        "alg/relay/flow.py",
        "if command.cut_off and not client.closed:",
        "if False:",
        ("tests/relay/test_truncated.py", "-k", "says_that_its_client"),
    ),
    Mutant(
        "http end: a further request is lost",
        "F42",
        ANSWERING,
        "lasts = exchange.persistent and exchange.uploaded and",
        "lasts = exchange.persistent and",
        (ENDS, "-k", "before_the_whole_request"),
    ),
    Mutant(
        "http refusals: what was sent is sent back",
        "T70",
        REFUSALS,
        'reason.encode("ascii", "replace")',
        'b"GET"',
        (LIMITS, "-k", "cannot_be_served"),
    ),
)

"""The seeded faults of what passes by count, and of deadlines; in all hosts."""

from __future__ import annotations

from tests.mutants.table import DRIVER, FLOW, REQUESTS, STREAM, Mutant

PUMP, RELAY_FLOW, TLS_LAYER = "alg/relay/pump.py", "alg/relay/flow.py", "alg/relay/tls_layer.py"
LAYER, CARRIER, ALARM, LEGS = "alg/mitm/layer.py", "alg/mitm/carrier.py", "alg/mitm/alarm.py", "alg/mitm/legs.py"
DEADLINE, TESTING = "alg/relay/deadline.py", "alg/testing.py"

FORWARDS, DEADLINES = "tests/core/test_forward.py", "tests/core/test_flow_deadline.py"
ON_SOCKETS, IN_TIME = "tests/relay/test_forward.py", "tests/relay/test_deadlines.py"
MITM, PLAYBOOK, CASES = "tests/mitm/test_unread.py", "tests/test_testing.py", "tests/conformance/test_conformance.py"

OPAQUE, SLOW = "semantic 6", "T28"


def host(name: str, *words: str) -> tuple[str, ...]:
    """The cases of a host whose names hold one of the words."""
    return CASES, "-k", f"{name} and ({' or '.join(words)})"


UNREAD_MUTANTS = (
    # The core: bytes that pass.
    Mutant("forward: what is there already is dropped", OPAQUE, STREAM, "            rest -= ready", "", (FORWARDS,)),
    Mutant(
        "forward: an end counts as all",
        OPAQUE,
        STREAM,
        "if rest and (self._ended or not await suspend(Forward(self.side, rest))):",
        "if rest and (self._ended or await suspend(Forward(self.side, rest)) is None):",
        (FORWARDS,),
    ),
    Mutant("forward: less than nothing", OPAQUE, STREAM, "if count < 0:", "if False:", (FORWARDS,)),
    Mutant(
        "forward: what came behind is lost",
        OPAQUE,
        FLOW,
        "direction.stream.receive(event.more)",
        "direction.stream.receive(event.more[:0])",
        (FORWARDS,),
    ),
    Mutant(
        "forward: others send in the middle",
        OPAQUE,
        FLOW,
        "if isinstance(direction.waits_for, Forward):\n            raise",
        "if False:\n            raise",
        (FORWARDS,),
    ),
    Mutant("forward: spliced in the middle", OPAQUE, DRIVER, "if self._is_forwarding:", "if False:", (FORWARDS,)),
    Mutant(
        "forward: TLS in the middle",
        "T20",
        REQUESTS,
        "if self._directions[side].opaque or self._is_forwarding:",
        "if self._directions[side].opaque:",
        (FORWARDS,),
    ),
    Mutant("forward: in the middle of a handshake", "T20", REQUESTS, "if self._handshakes:", "if False:", (FORWARDS,)),
    Mutant("forward: of the other side", OPAQUE, REQUESTS, "if request.side is not side:", "if False:", (FORWARDS,)),
    Mutant(
        "forward: to nobody",
        "semantic 7",
        REQUESTS,
        "        if Side.SERVER not in self.legs:\n            raise self._no_server()\n        if self._handshakes",
        "        if self._handshakes",
        (FORWARDS,),
    ),
    Mutant(
        "forward: last words in the middle",
        "semantic 7",
        FLOW,
        "passes = self._server.opaque or self._server.forwarding",
        "passes = self._server.opaque",
        (FORWARDS,),
    ),
    Mutant(
        "forward: no last words ever after", "semantic 7", FLOW, "direction.forwarding = False", "pass", (FORWARDS,)
    ),
    # The core: deadlines.
    Mutant(
        "a deadline that was cleared ends the flow",
        SLOW,
        DRIVER,
        "            if seconds is not None:\n",
        "            if True:\n                seconds = seconds or 0.0\n",
        (DEADLINES,),
    ),
    Mutant(
        "a deadline ends nothing",
        SLOW,
        DRIVER,
        '            if seconds is not None:\n                self._abort(ProtocolError(f"{what} took',
        '            if False:\n                self._abort(ProtocolError(f"{what} took',
        (DEADLINES,),
    ),
    Mutant(
        "the words of the first deadline",
        SLOW,
        REQUESTS,
        "self._deadline = seconds, what",
        "self._deadline = seconds, self._deadline[1] or what",
        (DEADLINES,),
    ),
    # The playbook.
    Mutant("playbook: deadlines are early", SLOW, TESTING, "self.now >= self.deadline:", "self.now > 0:", (PLAYBOOK,)),
    # The relay.
    Mutant(
        "relay: what was read behind the count is lost",
        OPAQUE,
        PUMP,
        "more = bytes(RECEIVE_VIEW[self._left : count])",
        'more = b""',
        (ON_SOCKETS, "-k", "as_many and client"),
    ),
    Mutant(
        "relay: splice takes more than the count",
        OPAQUE,
        PUMP,
        "min(pipes.SIZE, self._left), flags",
        "pipes.SIZE, flags",
        (ON_SOCKETS, "-k", "many_bytes"),
    ),
    Mutant(
        "relay: what is spliced does not count",
        OPAQUE,
        PUMP,
        "            self._held += count\n            self._left -= count\n",
        "            self._held += count\n",
        (ON_SOCKETS, "-k", "many_bytes"),
    ),
    Mutant(
        "relay: who broke off is taken for complete",
        OPAQUE,
        RELAY_FLOW,
        "        self.tell(EofReceived(side))\n\n    def _too_late",
        "        del self._pumps[side]\n        self.tell(EofReceived(side))\n\n    def _too_late",
        (ON_SOCKETS, "-k", "an_end_before"),
    ),
    Mutant(
        "relay: closed in the middle is taken for complete",
        OPAQUE,
        PUMP,
        "return self._held > 0 or self._on_done is not None",
        "return self._held > 0",
        (ON_SOCKETS, "-k", "closed_in_the_middle"),
    ),
    Mutant(
        "relay: a record is read byte by byte",
        SLOW,
        TLS_LAYER,
        "min(max(limit, _RECORD), _PIECE)",
        "min(limit, _PIECE)",
        (ON_SOCKETS, "-k", "record"),
    ),
    Mutant(
        "relay: a flow leaves its deadline",
        "T80",
        RELAY_FLOW,
        "        if self._deadline:\n            self._deadline.close()\n",
        "",
        (IN_TIME,),
    ),
    Mutant(
        "relay: a deadline knows its flow for ever",
        "T80",
        DEADLINE,
        "        self._on_passed = _nobody\n",
        "",
        (IN_TIME,),
    ),
    Mutant(
        "relay: a deadline that is moved ahead is late",
        SLOW,
        DEADLINE,
        "if self._timer is not None and self._timer.when() > at:",
        "if False:",
        (IN_TIME,),
    ),
    Mutant(
        "relay: a deadline that is moved on is early",
        SLOW,
        DEADLINE,
        "if (left := self._at - self._loop.time()) > 0:",
        "if (left := 0.0) > 0:",
        (IN_TIME,),
    ),
    # mitmproxy.
    Mutant(
        "mitm: what came behind the count is lost",
        OPAQUE,
        LAYER,
        "Forwarded(side, more)",
        "Forwarded(side)",
        host("mitmproxy", "counted"),
    ),
    Mutant(
        "mitm: all of it is shown",
        OPAQUE,
        CARRIER,
        "yield from self._carry(side, piece)",
        "yield from self._send(side.other, piece)",
        (MITM, "-k", "shown"),
    ),
    Mutant(
        "mitm: what comes behind counts as shown",
        OPAQUE,
        CARRIER,
        "        self.counts[side] -= len(more)",
        "        self.counts[side] -= 0",
        (MITM, "-k", "shown"),
    ),
    Mutant(
        "mitm: who broke off is taken for complete",
        OPAQUE,
        CARRIER,
        "self._cut(self._opaque | self._forwarding.keys() | (",
        "self._cut(self._opaque | (",
        host("mitmproxy", "before_all", "before-all"),
    ),
    Mutant(
        "mitm: closed in the middle is taken for complete",
        OPAQUE,
        LAYER,
        "yield from self._cut(set(self._forwarding))",
        "yield from self._cut(set())",
        host("mitmproxy", "closed"),
    ),
    Mutant(
        "mitm: last words in the middle",
        "semantic 7",
        LAYER,
        "passes = self._opaque | self._forwarding.keys()",
        "passes = self._opaque",
        (MITM, "-k", "in_the_middle"),
    ),
    Mutant(
        "mitm: every wake-up ends the flow",
        SLOW,
        LEGS,
        "yield from self._finish() if event.command is self._linger else self._on_wakeup(event.command)",
        "yield from self._finish()",
        host("mitmproxy", "deadline", "late"),
    ),
    Mutant(
        "mitm: a call for each deadline",
        "T80",
        ALARM,
        'if self._at is not None and self._at < min(self._calls.values(), default=float("inf")):',
        "if self._at is not None:",
        (MITM, "-k", "alarm or timers"),
    ),
    Mutant(
        "mitm: deadlines are early",
        SLOW,
        ALARM,
        "if self._at is None or now < self._at:",
        "if self._at is None:",
        (MITM,),
    ),
    Mutant(
        "mitm: a server has no name",
        "F27",
        LAYER,
        "name = name_of(address[0]) if address else None",
        "name = None",
        (MITM, "-k", "named"),
    ),
)

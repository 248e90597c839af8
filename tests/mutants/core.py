"""The seeded faults of what the core promises about legs: TLS on and off, leases of two sides, dials, promises, outcomes."""

from __future__ import annotations

from tests.mutants.table import DRIVER, FLOW, REQUESTS, SESSION, Mutant

OUTCOMES, TESTING = "alg/core/outcomes.py", "alg/testing.py"
BARRIERS, TLS = "tests/core/test_semantic_5.py", "tests/core/test_flow_tls.py"
LEASES, PLANS = "tests/core/test_session.py", "tests/core/test_leg_plans.py"
PROMISES, ENDS, UPSTREAMS = (
    "tests/core/test_promise.py",
    "tests/core/test_outcomes.py",
    "tests/core/test_flow_upstream.py",
)

CORE_MUTANTS = (
    # Upgrades are barriers.
    Mutant(
        "a barrier on the other side only",
        "T20",
        REQUESTS,
        "            if direction.stream.buffered:\n",
        "            if direction.stream.buffered and direction.stream.side is not side:\n",
        (BARRIERS,),
    ),
    Mutant(
        "a barrier for the client only",
        "T21",
        REQUESTS,
        "            if direction.stream.buffered:\n",
        "            if direction.stream.buffered and direction is self._client:\n",
        (BARRIERS,),
    ),
    Mutant(
        "no barrier before the end of TLS",
        "T20",
        REQUESTS,
        "if buffered := self._directions[side].stream.buffered:",
        "if buffered := 0:",
        (BARRIERS,),
    ),
    Mutant(
        "the end of TLS looks at the other side",
        "T21",
        REQUESTS,
        "if buffered := self._directions[side].stream.buffered:",
        "if buffered := self._directions[side.other].stream.buffered:",
        (BARRIERS,),
    ),
    Mutant(
        "a leg is read while TLS ends",
        "T20",
        REQUESTS,
        "        self._handshakes |= {side}\n        self._commands.append(StopTls(side))",
        "        self._commands.append(StopTls(side))",
        (TLS,),
    ),
    Mutant(
        "a leg stays secure when TLS has ended",
        "T20",
        FLOW,
        "tls = event.tls if isinstance(event, TlsStarted) else None",
        "tls = event.tls if isinstance(event, TlsStarted) else self.legs[event.side].tls",
        (TLS,),
    ),
    Mutant("TLS within TLS", "T20", REQUESTS, "elif self.legs[side].secure != secure:", "elif False:", (TLS,)),
    Mutant("two handshakes at once", "T20", REQUESTS, "elif side in self._handshakes:", "elif False:", (TLS,)),
    # Leases.
    Mutant(
        "the peers of the sides are swapped",
        "T16",
        SESSION,
        "or (legs[side].peer.address,)",
        "or (legs[side.other].peer.address,)",
        (LEASES, "-k", "nobody_else or own_peer"),
    ),
    Mutant(
        "a side's sources are the other's",
        "T17",
        SESSION,
        "if canonical(peer) not in self.sources[side]:",
        "if canonical(peer) not in self.sources.get(side.other, self.sources[side]):",
        (LEASES, "-k", "own_peer"),
    ),
    Mutant(
        "one count for both sides",
        "T18",
        SESSION,
        "        self._came[side] += 1\n",
        "        self._came = {each: came + 1 for each, came in self._came.items()}\n",
        (LEASES, "-k", "own_peer"),
    ),
    # Dials.
    Mutant(
        "a dial without a lease",
        "T19",
        REQUESTS,
        "        if not self._ended and lease is not None and not lease.dialled:\n            lease.dialled = True\n",
        "        if not self._ended:\n",
        (PLANS, "-k", "what_is_gone"),
    ),
    Mutant(
        "a lease is dialled again",
        "T18",
        REQUESTS,
        "            lease.dialled = True\n",
        "",
        (PLANS, "-k", "two_dialled"),
    ),
    Mutant(
        "what listens is dialled",
        "T18",
        "alg/core/binding.py",
        "        if self.expectation.accepted:\n",
        "        if False:\n",
        (PLANS, "-k", "not_dialled"),
    ),
    Mutant(
        "a dialled lease stays pending",
        "T19",
        TESTING,
        "                self.session.release(command.number)\n            elif isinstance(command, Report | ReportRewrite)",
        "            elif isinstance(command, Report | ReportRewrite)",
        ("tests/test_testing_legs.py",),
    ),
    # Promises and outcomes.
    Mutant(
        "a promise wakes twice",
        "semantic 1",
        DRIVER,
        "        while not self._ended and self._may_go_on(side):\n            self._run(side)\n",
        "        while not self._ended and self._may_go_on(side):\n            self._run(side)\n            self._run(side)\n",
        (PROMISES,),
    ),
    Mutant(
        "promises nest",
        "T80",
        DRIVER,
        "            self._run(side)\n            side = side.other\n",
        "            self._step(side)\n            side = side.other\n",
        (PROMISES, "-k", "nesting"),
    ),
    Mutant(
        "whoever waits outlives its flow",
        "semantic 7",
        DRIVER,
        "            side = side.other\n        if self._ended:\n",
        "            side = side.other\n        if False:\n",
        (PROMISES, "-k", "in_vain"),
    ),
    Mutant(
        "the first end is the last",
        "F14",
        OUTCOMES,
        "        return watched.over >= lease.flows and",
        "        return",
        (ENDS, "-k", "each_of_several"),
    ),
    Mutant(
        "unused bindings are kept for ever",
        "T80",
        OUTCOMES,
        "            del self._watched[number]\n        self._watched[lease.number]",
        "            pass\n        self._watched[lease.number]",
        (ENDS, "-k", "piles_up"),
    ),
    # The choice of a server.
    Mutant(
        "two servers at once",
        "T15",
        REQUESTS,
        "if asked or Side.SERVER in self.legs:",
        "if Side.SERVER in self.legs:",
        (UPSTREAMS, "-k", "one_server"),
    ),
    Mutant(
        "words to nobody",
        "semantic 7",
        FLOW,
        "if side is Side.SERVER and side not in self.legs and not self._ended:",
        "if False:",
        (UPSTREAMS, "-k", "needs_a_server"),
    ),
)

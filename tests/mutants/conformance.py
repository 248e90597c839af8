"""The seeded faults of the core that the conformance suite must notice, in every host by itself: what a host does besides
must not hide them.
"""

from __future__ import annotations

from tests.mutants.table import DRIVER, FLOW, PIPELINE, POLICY, REQUESTS, SESSION, STREAM, Mutant

SUITE = "tests/conformance/test_conformance.py"
HOSTS = ("memory", "relay", "mitmproxy")


def everywhere(name: str, row: str, path: str, old: str, new: str, case: str) -> tuple[Mutant, ...]:
    """The fault once for each host: there, that case must fail."""
    return tuple(
        Mutant(f"{name} ({host})", row, path, old, new, (f"{SUITE}::test_conformance[{host}-{case}]",))
        for host in HOSTS
    )


CONFORMANCE_MUTANTS = (
    *everywhere(
        "an exception makes opaque",
        "semantic 7",
        DRIVER,
        '            self._abort(PluginError(f"plugin {self.plugin.name} raised {describe(problem)}"))\n        else:\n',
        "            self._finish(side)\n        else:\n",
        "an-exception-in-from-client-ends-the-session",
    ),
    *everywhere(
        "unread bytes are lost at a return",
        "semantic 6",
        FLOW,
        "            self._commands.append(SendData(side.other, rest))\n",
        "            pass\n",
        "a-return-hands-over-what-was-not-read",
    ),
    *everywhere(
        "TLS begins behind what was pipelined",
        "semantic 5",
        REQUESTS,
        "if direction.stream.buffered:",
        "if direction.stream.buffered and direction.stream.side is Side.SERVER:",
        "tls-is-refused-behind-bytes-of-the-client",
    ),
    *everywhere(
        "a reply of ours does not wait",
        "semantic 4",
        PIPELINE,
        "        if self._waiting:\n            self._add(command, reply)\n        else:\n            self._send(reply)",
        "        self._send(reply)",
        "local-replies-do-not-overtake",
    ),
    *everywhere(
        "a line longer by one",
        "semantic 2",
        STREAM,
        "if end > limit or (not end and len(self._buffer) >= limit):",
        "if end > limit + 1 or (not end and len(self._buffer) > limit):",
        "a-line-above-its-limit-ends-the-session",
    ),
    *everywhere(
        "any third party will do",
        "T01",
        POLICY,
        "if not its_own and not allowed_by_name:",
        "if False:",
        "a-third-party-named-by-the-client-is-refused",
    ),
    *everywhere(
        "a stranger uses a lease up",
        "T17",
        SESSION,
        "        if canonical(peer) not in self.sources[side]:\n",
        "        if canonical(peer) not in self.sources[side]:\n            self._came[side] += 1\n",
        "a-wrong-peer-does-not-use-a-lease-up",
    ),
    *everywhere(
        "a lease for two",
        "T18",
        SESSION,
        "return limit is not None and self._came[side] >= limit",
        "return limit is not None and self._came[side] > limit",
        "once-means-once",
    ),
)

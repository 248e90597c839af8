"""`Player`: plays the steps of a conversation to a plugin, and tells what came of each; `differences` compares that with what
the file expects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from alg.conversation import CHANGES, Mark, Step
from alg.core.model import Side
from alg.testing import Playbook


def differences(expected: Step, outcome: Step) -> list[str]:
    """What came otherwise than the file says, a line each."""
    lines = [
        f"the {side.value} should get {expected.gets.get(side, b'')!r}"
        for side in Side
        if expected.gets.get(side, b"") != outcome.gets.get(side, b"")
    ]
    lines += [
        f"the {side.value} should get {len(expected.came.get(side, ()))} datagrams, not {len(outcome.came.get(side, ()))}"
        for side in Side
        if len(expected.came.get(side, ())) != len(outcome.came.get(side, ()))
    ]
    for name, meant, came in (
        ("opens", expected.listens, outcome.listens),
        ("closes", expected.stops, outcome.stops),
        ("changes of the legs", expected.changes, outcome.changes),
        ("records", expected.records, outcome.records),
    ):
        if meant != came:
            lines.append(f"{name} should be {', '.join(meant) or 'none'}, not {', '.join(came) or 'none'}")
    if expected.closed != outcome.closed:
        lines.append(f"the session should {'end' if expected.closed else 'go on'}")
    return lines


class Player:
    """Plays the steps of a conversation to a plugin, and tells what came of each."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        self._seen = dict.fromkeys(Side, 0)
        self._datagrams = dict.fromkeys(Side, 0)
        self._records = 0
        self._bindings: dict[object, str] = {}
        self._told = dict.fromkeys(CHANGES, 0)

    def play(self, step: Step, pieces: Iterable[bytes]) -> Step:
        """Have the step's side say the pieces; return the step with what came of it in place of what was expected."""
        for piece in pieces:
            if not self.playbook.closed:
                self.playbook.say(step.side, piece)
        if step.ends and not self.playbook.closed:
            self.playbook.end(step.side)
        if step.waits:
            self.playbook.wait(step.waits)
        reasons = self.playbook.reasons[self._records :]
        self._records += len(reasons)
        listens, stops = self._binding_changes()
        return Step(
            step.number,
            step.side,
            step.data,
            step.ends,
            {side: self._new_bytes(side) for side in Side},
            listens,
            stops,
            tuple(self._leg_changes()),
            tuple(reason for reason in reasons if reason != "rewrite"),  # said by `listens` in more words
            self.playbook.closed,
            step.waits,
            step.said,
            {side: came for side in Side if (came := self._new_datagrams(side))},
        )

    def _new_bytes(self, side: Side) -> bytes:
        data = self.playbook.received(side)[self._seen[side] :]
        self._seen[side] += len(data)
        return data

    def _new_datagrams(self, side: Side) -> tuple[bytes, ...]:
        datagrams = self.playbook.datagrams[side][self._datagrams[side] :]
        self._datagrams[side] += len(datagrams)
        return tuple(datagrams)

    def _leg_changes(self) -> Iterator[str]:
        book = self.playbook
        dialled = [book.description(number) for number in book.dialled]
        for mark, all_of_it in ((Mark.CONNECTS, book.connected), (Mark.TLS, book.tls_changes), (Mark.DIALS, dialled)):
            for text in all_of_it[self._told[mark] :]:
                yield f"{mark.value} {text}"
            self._told[mark] = len(all_of_it)

    def _binding_changes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        listening: dict[object, str] = {
            lease.number: self.playbook.description(lease.number) for lease in self.playbook.leases
        }
        listening |= {shared.key: shared.description for shared in self.playbook.shared}
        before = self._bindings
        self._bindings = {binding: description.partition(" -> ")[0] for binding, description in listening.items()}
        opened = [description for binding, description in listening.items() if binding not in before]
        gone = [number for number in before if number not in self._bindings]
        stopped = [before[number] for number in gone if number not in self.playbook.dialled]
        return tuple(opened), () if self.playbook.closed else tuple(stopped)

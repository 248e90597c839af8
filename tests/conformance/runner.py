"""Plays one case on one host, on an event loop of its own, which must end without a task or a complaint."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass

from tests.conformance import boundary, failures, leases, related, semantics, shared, unread, upgrades
from tests.conformance.hosts import EXCEPT, HostKind
from tests.conformance.steps import CASES, Case

MODULES = (semantics, upgrades, unread, failures, boundary, leases, shared, related)
"""The modules that hold the cases: to import them makes `CASES` whole."""

SECONDS = 20.0
"""The longest that a case may take."""

PROBE_SECONDS = 2.0
"""The longest that a case may take which is said not to hold."""


class Verdict(enum.Enum):
    """What came of a case on a host; the value is what is printed."""

    OK = "ok"
    FAILED = "FAILED"
    NOT_APPLICABLE = "n/a"
    DEFECT = "defect"
    """It failed, as is known: the host is to be mended."""


@dataclass(frozen=True)
class Result:
    """A verdict and its reason."""

    verdict: Verdict
    why: str = ""
    error: Exception | None = None


def cases(word: str = "") -> list[Case]:
    """The cases whose name holds that word, or whose section it is, by sections."""
    chosen = (case for case in CASES.values() if word in case.name or word == case.section)
    return sorted(chosen, key=lambda case: case.section)


def play(host: HostKind, case: Case, seconds: float = SECONDS) -> None:
    """Play it.

    Raises:
        Exception: it failed.
    """
    complaints: list[str] = []

    async def supervised() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
        async with asyncio.timeout(seconds), host.open_stage() as stage:
            await case.play(stage)
        await asyncio.sleep(0)  # whoever was cancelled last may end
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks are left: {left}"

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(supervised())
    assert not complaints, f"the loop complained: {complaints}"


def judge(host: HostKind, case: Case) -> Result:
    """Play a case, unless the host cannot at all; return what came of it."""
    if host.missing:
        return Result(Verdict.NOT_APPLICABLE, host.missing)
    known = EXCEPT.get((host.name, case.name))
    if known is None:
        try:
            play(host, case)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
            return Result(Verdict.FAILED, _one_line(error), error)
        return Result(Verdict.OK)
    if known.probe:
        try:
            play(host, case, PROBE_SECONDS)
        except Exception:  # noqa: BLE001 - as is known
            pass
        else:
            return Result(Verdict.FAILED, f"it holds, and is said not to: {known.why}")
    return Result(Verdict.DEFECT if known.defect else Verdict.NOT_APPLICABLE, known.why)


def _one_line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

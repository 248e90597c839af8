"""Plays one case on one host, on an event loop of its own, which must end without a task or a complaint."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.conformance import boundary, failures, leases, related, semantics, upgrades
from tests.conformance.hosts import CANNOT, HostKind
from tests.conformance.steps import CASES, Case

MODULES = (semantics, upgrades, failures, boundary, leases, related)
"""The modules that hold the cases: to import them makes `CASES` whole."""

SECONDS = 20.0
"""The longest that a case may take."""


@dataclass(frozen=True)
class Result:
    """What came of a case on a host."""

    verdict: str
    """`ok`, `FAILED`, or `n/a`."""
    why: str = ""
    error: BaseException | None = None


def cases(word: str = "") -> list[Case]:
    """The cases whose name or section holds that word, in their order."""
    return [case for case in CASES.values() if word in case.name or word == case.section]


def play(host: HostKind, case: Case) -> None:
    """Play it.

    Raises:
        Exception: it failed.
    """
    complaints: list[str] = []

    async def supervised() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
        async with asyncio.timeout(SECONDS):
            async with host.open_stage() as stage:
                await case.play(stage)
        await asyncio.sleep(0)  # whoever was cancelled last may end
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks are left: {left}"

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(supervised())
    assert not complaints, f"the loop complained: {complaints}"


def judge(host: HostKind, case: Case) -> Result:
    """Play a case, unless the host cannot; return what came of it."""
    if host.missing:
        return Result("n/a", host.missing)
    cannot = CANNOT.get((host.name, case.name))
    if cannot is not None and not cannot.probe:
        return Result("n/a", cannot.why)
    try:
        play(host, case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
        return Result("n/a", cannot.why) if cannot else Result("FAILED", _one_line(error), error)
    return Result("FAILED", f"it works, and is said not to: {cannot.why}") if cannot else Result("ok")


def _one_line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

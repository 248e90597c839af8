"""Every case on every host, and the tables of the suite itself."""

from __future__ import annotations

import pytest

from alg.core.errors import AlgError
from tests.conformance.hosts import EXCEPT, HOSTS, Except, HostKind
from tests.conformance.runner import MODULES, Verdict, cases, judge
from tests.conformance.stage import Stage
from tests.conformance.steps import CASES, Case


@pytest.mark.parametrize(
    ("host", "case"),
    [pytest.param(host, case, id=f"{host.name}-{case.name}") for host in HOSTS for case in cases()],
)
def test_conformance(host: HostKind, case: Case) -> None:
    """The case holds there; where it does not, that stands in the table, and is true."""
    result = judge(host, case)
    if result.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(result.why)
    if result.verdict is Verdict.DEFECT:
        pytest.xfail(result.why)
    if result.error is not None:
        raise result.error
    assert result.verdict is Verdict.OK, result.why


def test_the_tables_fit() -> None:
    """Nothing is excepted that does not exist; each module has cases, and each says which section it proves."""
    assert {host for host, _ in EXCEPT} <= {host.name for host in HOSTS}
    assert {case for _, case in EXCEPT} <= CASES.keys()
    assert {case.play.__module__ for case in cases()} == {module.__name__ for module in MODULES}
    assert {case.section for case in cases()} >= {"5", "6", *(f"4.{number}" for number in range(1, 9))}


MEMORY = HOSTS[0]


async def _holds(stage: Stage) -> None:
    """Hold."""


async def _fails(stage: Stage) -> None:
    """Fail."""
    raise AlgError("it does not hold")


def test_a_case_that_fails_is_red() -> None:
    """With its reason."""
    result = judge(MEMORY, Case("fails", "4", "", _fails))
    assert (result.verdict, result.why) == (Verdict.FAILED, "AlgError: it does not hold")


@pytest.mark.parametrize("defect", [False, True])
def test_an_exception_must_be_true(defect: bool) -> None:
    """A case that is said not to hold is played; where it holds, the run is red."""
    try:
        EXCEPT["memory", "here"] = Except("no reason", defect=defect)
        assert judge(MEMORY, Case("here", "4", "", _holds)).verdict is Verdict.FAILED
        known = Verdict.DEFECT if defect else Verdict.NOT_APPLICABLE
        assert judge(MEMORY, Case("here", "4", "", _fails)).verdict is known
    finally:
        del EXCEPT["memory", "here"]


def test_a_host_that_is_not_there_says_so() -> None:
    """And plays nothing."""
    host = HostKind("nowhere", MEMORY.open_stage, "nobody has made it")
    result = judge(host, Case("fails", "4", "", _fails))
    assert (result.verdict, result.why) == (Verdict.NOT_APPLICABLE, "nobody has made it")

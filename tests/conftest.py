"""What holds for tests with sockets: they leave no descriptor; coroutines run on asyncio and uvloop, and leave no task."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine, Iterator
from importlib.util import find_spec
from typing import Protocol, TypeVar

import pytest

T = TypeVar("T")

WITH_SOCKETS = {"relay", "conformance", "e2e", "test_daemon.py"}
"""The folders and files whose tests open descriptors; in the others the check would only cost time."""

TEST_SECONDS = 30.0
"""The longest that one coroutine of a test may run."""


class Run(Protocol):
    """Runs a coroutine to its end on a loop of its own."""

    def __call__(self, work: Coroutine[object, object, T], /) -> T:
        """Return what the coroutine returns."""


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process, and what each of them is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one that listed the folder
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def _lasting_descriptors() -> None:
    """Have opened what libuv opens once and keeps: its pipe for signals."""
    if find_spec("uvloop"):
        loop_factory("uvloop")().close()


@pytest.fixture(autouse=True)
def _no_descriptor_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test with sockets that opened a descriptor and did not close it."""
    if not WITH_SOCKETS & set(request.path.parts):
        yield
        return
    before = open_descriptors()
    yield

    def find_left() -> dict[int, str]:
        return {fd: what for fd, what in open_descriptors().items() if before.get(fd) != what}

    left = find_left()
    if left:  # it may hang in a circle of dead objects; to collect these takes as long as a hundred tests
        gc.collect()
        left = find_left()
    assert not left, f"descriptors are left open: {left}"


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Make event loops of that kind, or skip."""
    if name == "asyncio":
        return asyncio.new_event_loop
    if not find_spec("uvloop"):
        pytest.skip("uvloop is not installed (extra `speed`)")
    import uvloop

    return uvloop.new_event_loop


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on either loop: it must end in time, raise nothing in a callback and leave no task behind."""
    factory = loop_factory(request.param)

    def run_it(work: Coroutine[object, object, T]) -> T:
        complaints: list[str] = []

        async def supervised() -> T:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
            async with asyncio.timeout(TEST_SECONDS):
                result = await work
            await asyncio.sleep(0)  # whoever was cancelled last may end
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"
            return result

        with asyncio.Runner(loop_factory=factory) as runner:
            result = runner.run(supervised())
        assert not complaints, f"the loop complained: {complaints}"
        return result

    return run_it

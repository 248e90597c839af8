"""Runs a load generator in the client's namespace and reads its figures, with the gateway's CPU beside them."""

import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.bench.methods import Running
from tests.bench.namespaces import BenchError
from tests.bench.tools import tool

Figures = dict[str, float]

# A gateway reaps the processes of finished sessions, and closes their other halves, a moment after the
# client has seen the end; their CPU belongs to the sample.
SETTLE = 0.2


class Generator:
    """One load generator that is talked to line by line."""

    def __init__(self, running: Running, name: str, *arguments: object) -> None:
        self._lab = running.lab
        self._argv = (tool(name), *map(str, arguments))
        self._process = self._lab.spawn("client", *self._argv, piped=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def line(self, patience: float) -> str:
        """The next line; `BenchError` with the generator's own cause when there is none."""
        out = self._process.stdout
        assert out is not None
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            if not selector.select(patience):
                silence = f"{Path(self._argv[0]).name} gave no answer for {patience:.0f} s"
                raise BenchError(f"{self._lab.name}: {silence}; its last words: {self._lab.last_words(self._argv)}")
        line = out.readline().strip()
        if not line:
            raise self._failure()
        return line

    def figures(self, patience: float) -> Figures:
        pairs = (word.partition("=") for word in self.line(patience).split())
        return {key: float(value) for key, _, value in pairs}

    def _failure(self) -> BenchError:
        return BenchError(f"{self._lab.name}: {self._lab.last_words(self._argv)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lab.stop(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def whole(running: Running, seconds: float, name: str, *arguments: object) -> tuple[Figures, float]:
    """A whole run: its figures, and the CPU seconds of the gateway for all of it."""
    before = running.cpu()
    with Generator(running, name, *arguments) as generator:
        figures = generator.figures(seconds + 15)
    time.sleep(SETTLE)
    return figures, running.cpu() - before


def window(
    running: Running, seconds: float, name: str, *arguments: object, meanwhile: Callable[[], None] | None = None
) -> tuple[Figures, float]:
    """A run with a start-up that does not count: the generator tells where the window begins. `meanwhile` is called in
    the middle of it."""
    with Generator(running, name, *arguments) as generator:
        generator.line(30)
        before = running.cpu()
        if meanwhile is not None:
            time.sleep(seconds / 2)
            meanwhile()
        figures = generator.figures(seconds + 10)
        cpu = running.cpu() - before
        generator.order("")
    return figures, cpu

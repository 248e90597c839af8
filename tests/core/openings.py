"""Feeds an opening in every way that its bytes can be cut, and asks that the outcome is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from alg.core.errors import AlgError
from alg.core.opening import Opening

AnyOpening = TypeVar("AnyOpening", bound=Opening)


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every place; with an empty piece among them."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], b"", data[at:]] for at in range(1, len(data)))


def feed(opening: Opening, parts: Iterable[bytes]) -> AlgError | None:
    """Feed it all, whatever comes of it, and return what it raised first; nothing else may be raised, nor twice."""
    raised = None
    for part in parts:
        try:
            opening.receive(part)
        except AlgError as error:
            assert raised is None
            assert str(error).isascii()
            assert len(str(error)) < 300
            raised = error
    return raised


def in_every_way(make: Callable[[], AnyOpening], data: bytes) -> tuple[AnyOpening, AlgError | None]:
    """The opening and its error after these bytes; `rest` and reason are the same however they are cut."""
    first, problem = make(), None
    for number, parts in enumerate(pieces(data)):
        opening = first if number == 0 else make()
        error = feed(opening, parts)
        if number == 0:
            problem = error
        assert (error and error.reason) == (problem and problem.reason), parts
        assert type(error) is type(problem)
        assert (opening.complete, opening.rest) == (first.complete, first.rest), parts
    return first, problem


def refused_at(opening: Opening, data: bytes) -> int:
    """With how many bytes it was refused, if they come one by one."""
    for at in range(len(data)):
        if feed(opening, [data[at : at + 1]]):
            return at + 1
    raise AssertionError("it was not refused")

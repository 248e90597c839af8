"""Reading from a stream: complete or not at all, within a limit, however the bytes are cut."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.errors import ProtocolError
from alg.core.model import Side
from alg.core.stream import Stream

T = TypeVar("T")


def make_stream(*pieces: bytes, ended: bool = False) -> Stream:
    """A stream on which these pieces have arrived."""
    stream = Stream(Side.CLIENT, lambda _side, _data: None)
    for piece in pieces:
        stream.receive(piece)
    if ended:
        stream.receive_eof()
    return stream


def done(reading: Coroutine[object, object, T]) -> T:
    """What a read gives that need not wait."""
    with pytest.raises(StopIteration) as result:
        reading.send(None)
    value: T = result.value.value
    return value


def refused(reading: Coroutine[object, object, object]) -> str:
    """The reason for which a read fails."""
    with pytest.raises(ProtocolError) as refusal:
        reading.send(None)
    return refusal.value.reason


def waits(stream: Stream, reading: Coroutine[object, object, object]) -> None:
    """Check that a read waits for more of its stream."""
    assert reading.send(None) is stream


def test_a_line_is_read_with_its_end() -> None:
    """CR LF, a bare LF and an empty line; nothing else ends one (T29)."""
    stream = make_stream(b"one\r\ntwo\n\n\x0b\x0c\x1c\x85\r three\n")
    expected = [b"one\r\n", b"two\n", b"\n", b"\x0b\x0c\x1c\x85\r three\n"]
    assert [done(stream.read_line(100)) for _ in range(4)] == expected


def test_a_read_consumes_only_when_it_is_complete() -> None:
    """What was waited for in vain is still there for the next reader."""
    stream = make_stream(b"half")
    waits(stream, stream.read_line(100))
    waits(stream, stream.read_exactly(5))
    assert stream.buffered == 4
    assert done(stream.read_some()) == b"half"


def test_a_line_that_arrives_in_pieces() -> None:
    """The read goes on waiting until the LF is there, and leaves what follows."""
    stream = make_stream()
    reading = stream.read_line(100)
    waits(stream, reading)
    stream.receive(b"on")
    waits(stream, reading)
    stream.receive(b"e\ntw")
    assert done(reading) == b"one\n"
    assert stream.buffered == 2


@pytest.mark.parametrize(
    "pieces", [(b"12345678\n",), (b"1234", b"5678\n"), tuple(b"%c" % each for each in b"12345678\n")]
)
def test_a_line_of_the_limit_passes_and_one_above_does_not(pieces: tuple[bytes, ...]) -> None:
    """T30: the limit counts the line end; above it nothing is consumed, so the tail is never read as a line."""
    assert done(make_stream(*pieces).read_line(9)) == b"12345678\n"
    stream = make_stream(*pieces, b"227 evil\r\n")
    assert refused(stream.read_line(8)) == "line_too_long"
    assert refused(stream.read_line(8)) == "line_too_long"
    assert stream.buffered == 19


def test_a_line_without_end_is_refused_as_soon_as_it_cannot_end_in_time() -> None:
    """At the limit without LF, not one byte later."""
    stream = make_stream(b"1234567")
    waits(stream, stream.read_line(8))
    stream.receive(b"8")
    assert refused(stream.read_line(8)) == "line_too_long"


def test_the_end_of_the_stream() -> None:
    """An empty line of bytes at the end, an error within a line or a block."""
    assert done(make_stream(ended=True).read_line(8)) == b""
    assert done(make_stream(ended=True).read_some()) == b""
    assert done(make_stream(ended=True).read_exactly(0)) == b""
    assert refused(make_stream(b"x", ended=True).read_line(8)) == "truncated"
    assert refused(make_stream(b"x", ended=True).read_exactly(2)) == "truncated"
    assert make_stream(ended=True).ended


def test_the_end_comes_while_a_read_waits() -> None:
    """The read is over then."""
    stream = make_stream()
    reading = stream.read_some()
    waits(stream, reading)
    stream.receive_eof()
    assert done(reading) == b""


def test_a_block_is_read_exactly() -> None:
    """No more and no less."""
    stream = make_stream(b"12345")
    assert done(stream.read_exactly(3)) == b"123"
    assert done(stream.read_exactly(2)) == b"45"


def test_some_is_what_is_there_up_to_the_limit() -> None:
    """At least one byte."""
    stream = make_stream(b"12345")
    assert done(stream.read_some(3)) == b"123"
    assert done(stream.read_some(3)) == b"45"
    waits(stream, stream.read_some(3))


def test_lines_end_with_the_stream() -> None:
    """The iterator gives each line, then stops."""
    lines = make_stream(b"a\nb\n", ended=True).lines(10)
    assert aiter(lines) is lines

    async def collect() -> list[bytes]:
        return [line async for line in lines]

    assert done(collect()) == [b"a\n", b"b\n"]


def test_writing_goes_onward_or_back() -> None:
    """`send` to the other side, `reply` to the one that speaks."""
    sent: list[tuple[Side, bytes]] = []
    stream = Stream(Side.SERVER, lambda side, data: sent.append((side, data)))
    stream.send(b"on")
    stream.reply(b"back")
    assert sent == [(Side.CLIENT, b"on"), (Side.SERVER, b"back")]


def test_what_is_drained_is_gone() -> None:
    """The stream is somebody else's from there."""
    stream = make_stream(b"rest")
    assert stream.drain() == b"rest"
    assert stream.drain() == b""


async def _collect(stream: Stream, out: list[bytes]) -> None:
    out.append(await stream.read_exactly(2))
    async for line in stream.lines(12):
        out.append(line)
        out.append(await stream.read_exactly(len(line) % 3))


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"ab", b"c", b"\r"]), max_size=40).map(b"".join), st.data())
def test_what_is_read_does_not_depend_on_how_the_bytes_are_cut(text: bytes, data: st.DataObject) -> None:
    """Whole, or in any pieces: the same lines and blocks, the same error, the same rest."""

    def outcome(pieces: list[bytes]) -> tuple[list[bytes], str, bytes]:
        stream, out, reason = make_stream(), list[bytes](), ""
        reading = _collect(stream, out)
        try:
            reading.send(None)
            for piece in pieces:
                stream.receive(piece)
                reading.send(None)
            stream.receive_eof()
            reading.send(None)
        except StopIteration:
            pass
        except ProtocolError as error:
            reason = error.reason
        return out, reason, b"" if reason == "line_too_long" else stream.drain()

    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
    assert outcome([text]) == outcome(pieces)

"""Content codings: every body as it was before, and none that is broken, goes on, or becomes larger than it may (T92)."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from alg_http.content import decode
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import ProtocolError

BODY = bytes(range(256)) * 40  # more than one step when it does not compress


def raw_deflate(body: bytes, level: int = 6) -> bytes:
    """Deflate without the zlib format around it."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(body) + compressor.flush()


ENCODED: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "x-gzip": lambda body: gzip.compress(body, 0),
    "deflate": zlib.compress,
}


def reason(data: bytes, coding: str, limit: int = 2**20) -> str:
    """The reason for which a body is refused."""
    with pytest.raises(ProtocolError) as refusal:
        decode(data, coding, limit)
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200
    return refusal.value.reason


@pytest.mark.parametrize("body", [b"", b"x", BODY])
@pytest.mark.parametrize("coding", ENCODED)
def test_a_body_is_decoded_up_to_the_limit(coding: str, body: bytes) -> None:
    """At the limit, and one above."""
    encoded = ENCODED[coding](body)
    assert decode(encoded, coding, len(body)) == body
    assert decode(encoded, f" {coding.upper()}\t", len(body) + 1) == body
    if body:
        assert reason(encoded, coding, len(body) - 1) == "body_too_long"


def test_no_coding_is_identity() -> None:
    """An empty list of codings."""
    assert decode(BODY, "", len(BODY)) == BODY


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("body", [b"", b"x", BODY])
def test_deflate_may_be_raw(body: bytes, level: int) -> None:
    """RFC 9110 section 8.4.1.2: some send it without the zlib format."""
    assert decode(raw_deflate(body, level), "deflate", len(body)) == body
    assert decode(zlib.compress(body, level), "deflate", len(body)) == body


def test_gzip_may_have_several_members() -> None:
    """RFC 1952 section 2.2; the limit is that of all."""
    encoded = gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"c")
    assert decode(encoded, "gzip", 3) == b"abc"
    assert reason(encoded, "gzip", 2) == "body_too_long"


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip,deflate", "gz\u0131p", "x" * 1000, "*"]
)
def test_another_coding_is_refused(coding: str) -> None:
    """So are several."""
    assert reason(b"x", coding) == "unknown_coding"


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        *((b"", "gzip"), (b"", "deflate"), (b"x", "gzip"), (b"\x78", "deflate"), (b"\x88\x1c", "deflate")),
        *((gzip.compress(BODY)[:-1], "gzip"), (gzip.compress(BODY) + b"\0", "gzip"), (zlib.compress(BODY), "gzip")),
        *((gzip.compress(BODY) + b"\x1f\x8b", "gzip"), (gzip.compress(BODY)[:-8] + b"\0" * 8, "gzip")),
        *((zlib.compress(BODY)[:-1], "deflate"), (zlib.compress(BODY) + b"x", "deflate"), (gzip.compress(b"x"), "deflate")),
        *((zlib.compress(BODY) * 2, "deflate"), (raw_deflate(BODY)[:-1], "deflate"), (raw_deflate(BODY) * 2, "deflate")),
        *((zlib.compress(BODY)[:-4] + b"\0" * 4, "deflate"), (b"\x78\xbb\0\0\0\1", "deflate")),  # a preset dictionary
    ],
)  # fmt: skip
def test_a_broken_body_is_refused(data: bytes, coding: str) -> None:
    """Cut off, changed, or with something behind it."""
    assert reason(data, coding) == "bad_coding"


@given(st.binary(max_size=300), st.sampled_from([*ENCODED]), st.integers(0, 320), st.integers(1, 400))
def test_any_body(body: bytes, coding: str, limit: int, size: int) -> None:
    """It comes back, or is too long; and what is cut off is refused."""
    encoded = ENCODED[coding](body)
    if len(body) <= limit:
        assert decode(encoded, coding, limit) == body
    else:
        assert reason(encoded, coding, limit) == "body_too_long"
    if coding != "identity" and size < len(encoded):
        assert reason(encoded[:size], coding) == "bad_coding"


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate"]), st.binary(max_size=100))
def test_any_bytes(start: bytes, coding: str, data: bytes) -> None:
    """Nothing but a ProtocolError comes of them."""
    for text in (data, ENCODED[coding](start)[:12] + data):
        try:
            assert len(decode(text, coding, 50)) <= 50
        except ProtocolError as error:
            assert error.reason in ("bad_coding", "body_too_long")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_takes_neither_memory_nor_time(coding: str) -> None:
    """T92: 64 MiB of zeros, of which 1 MiB may be seen."""
    bomb = ENCODED[coding](bytes(2**26))
    before = time.process_time()
    tracemalloc.start()
    try:
        assert reason(bomb, coding, 2**20) == "body_too_long"
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert time.process_time() - before < 4


def test_many_members_take_no_long_time() -> None:
    """T92: what is behind a member is not copied again for each."""
    member = gzip.compress(b"")
    before = time.process_time()
    assert decode(member * (2**20 // len(member)), "gzip", 0) == b""
    assert time.process_time() - before < 8

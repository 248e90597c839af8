"""TFTP requests at the edges of their grammar (T33, T76), and what strangers and refused clients are told (T75, T96)."""

from __future__ import annotations

import pytest
from alg_tftp import TftpConfig, TftpPlugin

from alg.core.datagram_flow import SMALLEST
from alg.plugin import ConnectError, Side, Verdict
from alg.testing import Playbook

REQUEST = b"\0\1boot.img\0octet\0"


def asked(request: bytes, config: TftpConfig | None = None) -> Playbook:
    """A client that has sent this."""
    talk = Playbook(TftpPlugin, config)
    talk.client(request)
    return talk


def words(text: str) -> bytes:
    """Texts with their NULs, from one with spaces."""
    return b"".join(word.encode() + b"\0" for word in text.split(" "))


@pytest.mark.parametrize(
    "options",
    [
        *("blksize 8", "blksize 65464", "BlkSize 512", "timeout 1", "timeout 255", "windowsize 1", "windowsize 65535"),
        *("tsize 0", "tsize 9223372036854775807", "blksize 1024 tsize 0 windowsize 64", "unknown what"),
    ],
)
def test_options_within_their_range_pass(options: str) -> None:
    """As they came; the server may know options that we do not."""
    request = REQUEST + words(options)
    assert asked(request).datagrams[Side.SERVER] == [request]


BAD_OPTIONS = (
    *(
        "blksize 7",
        "blksize 65465",
        "blksize -1",
        "blksize +8",
        "blksize ",
        "windowsize 0",
        "windowsize 65536",
        "timeout 0",
    ),
    *("timeout 256", "tsize 9223372036854775808", "tsize 00000000000000000000", "tsize ", "blksize 512 BLKSIZE 512"),
    *("multicast ",),
)
MALFORMED = (
    *(REQUEST + b"blksize\0", REQUEST + b"blksize\0x", REQUEST[:-1], b"\0\1boot.img\0", b"\0\1boot.img\0mail\0"),
    *(b"\0\1\0octet\0", b"\0\1a\nb\0octet\0", b"\0\1a\x7f\0octet\0", b"\0\1" + b"x" * 504 + b"\0octet\0"),
    *(b"\0\1\0\0", b"\0\2xxxx"),
)


@pytest.mark.parametrize(
    ("request_", "code"),
    [*((REQUEST + words(options), 8) for options in BAD_OPTIONS), *((each, 4) for each in MALFORMED)],
)
def test_a_request_that_cannot_be_reaches_nobody(request_: bytes, code: int) -> None:
    """It is refused with an ERROR that is no longer than the request (but for the smallest one there is)."""
    talk = asked(request_)
    assert talk.datagrams[Side.SERVER] == []
    (error,) = talk.datagrams[Side.CLIENT]
    assert error[:4] == bytes([0, 5, 0, code]) and error[-1:] == b"\0"
    assert len(error) <= max(5, len(request_))
    assert talk.closed and talk.reasons == ["bad_request"]


def test_the_longest_request_passes() -> None:
    """RFC 2347: 512 octets."""
    request = b"\0\1" + b"x" * 503 + b"\0octet\0"
    assert len(request) == 512
    assert asked(request).datagrams[Side.SERVER] == [request]


@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\1", b"\0\1a", b"\0\3\0\1x", b"\0\5\0\0\0", b"\0\7\0\0", b"\1\1a\0octet\0"]
)
def test_what_begins_no_transfer_is_not_answered(packet: bytes) -> None:
    """Nobody has asked for anything."""
    talk = asked(packet)
    assert talk.closed
    assert (talk.datagrams[Side.CLIENT], talk.datagrams[Side.SERVER], talk.reasons) == ([], [], [])


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        *((b"\0\3\0\1data", b"\0\5\0\5unknown TID\0"), (b"\0\4\0\1", b"\0\5\0\5unknown TID\0")),
        *((b"\0\5\0\0\0", b""), (b"junk", b""), (b"", b"")),
    ],
)
def test_a_stranger_is_told_once_and_never_about_an_error(packet: bytes, told: bytes) -> None:
    """RFC 1350 section 4. An error is not answered by an error, or two could go on for ever."""
    talk = asked(REQUEST)
    assert talk.stranger(packet) == told
    assert len(told) <= SMALLEST
    assert not talk.closed and talk.datagrams[Side.CLIENT] == []


def test_a_client_hears_that_its_server_cannot_be_reached() -> None:
    """In no more bytes than it sent; before it has asked for anything, nothing is said."""
    talk = asked(REQUEST)
    talk.lose(Side.SERVER)
    (error,) = talk.datagrams[Side.CLIENT]
    assert error.startswith(b"\0\5\0\0server") and len(error) <= len(REQUEST)
    assert Playbook(TftpPlugin).plugin.refusal(ConnectError("gone")) == b""


def test_blocks_may_wrap() -> None:
    """Big files have more blocks than there are numbers: only a short block is the last one."""
    talk = asked(REQUEST)
    for number in (65535, 0, 1):
        talk.server(b"\0\3%c%c" % divmod(number, 256) + b"x" * 512)
        talk.client(b"\0\4%c%c" % divmod(number, 256))
    talk.wait(6)
    assert not talk.closed
    talk.server(b"\0\3\0\2")
    talk.client(b"\0\4\0\2")
    talk.wait(6)
    assert talk.closed
    assert len(talk.datagrams[Side.CLIENT]) == 4


@pytest.mark.parametrize(
    ("file", "passes"),
    [
        ("boot/kernel", True),
        ("/boot/kernel", True),
        ("secret/key", False),
        ("./secret/key", False),
        ("boot/../secret/key", False),
        ("//secret/key", False),
        ("boot//key", False),
        ("secret\\key", False),
        ("boot/..", False),
    ],
)
def test_patterns_are_not_got_round(file: str, passes: bool) -> None:
    """Where a pattern says which files, a name with detours is refused; without one, it is the server's business."""
    with_pattern = TftpConfig(rules={"RRQ secret/*": Verdict.REJECT})
    assert (with_pattern.verdict("RRQ", file) is Verdict.ACCEPT) == passes
    assert TftpConfig(rules={"WRQ": Verdict.REJECT}).verdict("RRQ", file) is Verdict.ACCEPT

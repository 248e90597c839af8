"""Which texts are hosts that a client may ask for (T05), and who knows a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.doorway import authenticate
from alg.core.errors import ProtocolError
from alg.core.hosts import MAX_HOST, parse_host

LONGEST = b".".join([b"a" * 49] * 5) + b".abc"

AMBIGUOUS = [
    *(
        b"010.0.0.1",
        b"10.0.0.08",
        b"127.1",
        b"127.0.1",
        b"2130706433",
        b"0x7f.1",
        b"0x7f000001",
        b"0X7F.0.0.1",
        b"017700000001",
    ),
    *(
        b"1.2.3.4.5",
        b"256.1.1.1",
        b"1.2.3.",
        b"127.0.0.1.",
        b"127.1.",
        b"0",
        b"0x",
        b"00.0.0.0",
        b"1.2.3.0x4",
        b"example.1",
    ),
    *(
        b"127.0.0.1 ",
        b" 127.0.0.1",
        b"127.0.0.1\n",
        b"127.0.0.1\0",
        b"127.0.0.1\0.example.org",
        b"+127.0.0.1",
        b"1_0.0.0.1 ",
    ),
    *(
        "\uff11\uff12\uff17.0.0.1".encode(),
        "127\u30020\u30020\u30021".encode(),
        "\u0663.0.0.1".encode(),
        "bücher.example".encode(),
        b"\xff\xfe",
    ),
    *(
        b"[::1]",
        b"::1%lo",
        b"fe80::1%1",
        b":::1",
        b"1::2::3",
        b"::1.2.3.4.5",
        b"::ffff:010.0.0.1",
        b"12345::",
        b"::1/64",
    ),
    *(
        b"",
        b".",
        b"..",
        b".a",
        b"a..b",
        b"a b",
        b"a\tb",
        b"a\r\nb",
        b"a%00",
        b"a@b",
        b"a/b",
        b"a:80",
        b"*.a",
        b"%0d%0a",
    ),
    *(LONGEST + b"d", b"a" * 60_000, b"1" * 5_000),
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_is_neither_name_nor_address(text: bytes) -> None:
    """Refused before anybody could ask a resolver; the message is short and printable."""
    with pytest.raises(ProtocolError) as refusal:
        parse_host(text)
    assert refusal.value.reason == "bad_host"
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("text", "host"),
    [
        *((b"127.0.0.1", "127.0.0.1"), (b"0.0.0.0", "0.0.0.0"), (b"2001:DB8:0::1", "2001:db8::1")),
        *((b"::ffff:10.0.0.5", "10.0.0.5"), (b"::ffff:a00:5", "10.0.0.5"), (b"::", "::")),
        *((b"ftp.Example.org", "ftp.Example.org"), (b"example.org.", "example.org."), (b"localhost", "localhost")),
        *(
            (b"_sip._udp.a", "_sip._udp.a"),
            (b"1.example.org", "1.example.org"),
            (b"xn--bcher-kva.de", "xn--bcher-kva.de"),
        ),
        *((b"0x7f.example", "0x7f.example"), (b"0xyz", "0xyz"), (b"a-", "a-"), (LONGEST, LONGEST.decode())),
    ],
)
def test_hosts(text: bytes, host: str) -> None:
    """Addresses come back in one form, names as they were."""
    assert parse_host(text) == host
    assert parse_host(host.encode()) == host


def test_the_longest_name() -> None:
    """It is at its bound above, and one byte more is refused."""
    assert len(LONGEST) == MAX_HOST


@given(st.binary(max_size=300) | st.text("0123456789.xXabf:", max_size=20).map(str.encode))
def test_any_bytes(text: bytes) -> None:
    """A host in plain letters, or a ProtocolError."""
    try:
        host = parse_host(text)
    except ProtocolError:
        return
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:")


USERS = {"bob": "alice", "zoë": "päss", "empty": ""}


@pytest.mark.parametrize(
    ("name", "password", "user"),
    [
        *((b"bob", b"alice", "bob"), ("zoë".encode(), "päss".encode(), "zoë"), (b"empty", b"", "empty")),
        *((b"bob", b"", None), (b"bob", b"alic", None), (b"bob", b"alice ", None), (b"bob", b"Alice", None)),
        *((b"Bob", b"alice", None), (b"", b"", None), (b"nobody", b"", None), (b"bob\0", b"alice", None)),
        *(
            (b"\xff", b"\xff", None),
            ("zoë".encode("latin-1"), "päss".encode("latin-1"), None),
            (b"bob", b"\xff" * 999, None),
        ),
    ],
)
def test_who_knows_a_password(name: bytes, password: bytes, user: str | None) -> None:
    """In UTF-8, to the last byte. Who is no user has no password, not even an empty one."""
    assert authenticate(USERS, name, password) == user

"""Asking another proxy: what is said to it, what its answers mean, however they are cut; no byte of the server's is taken."""

from __future__ import annotations

import pytest

from alg.core.errors import AlgError, ConnectError, PolicyError
from alg.core.model import Endpoint
from alg.core.proxy_client import HEAD_LIMIT, ProxyClient

V4, V6 = Endpoint.parse("10.0.0.5", 21), Endpoint.parse("fd00::5", 21)
BEHIND = b"220 the server speaks first\r\n"

# scheme, target, user; then what is said, and what is answered, in turn.
TALKS: dict[str, tuple[str, Endpoint, str, list[bytes]]] = {
    "socks5": (
        "socks5",
        V4,
        "",
        [b"\x05\x01\0", b"\x05\0", b"\x05\x01\0\x01\n\0\0\x05\0\x15", b"\x05\0\0\x01" + bytes(6)],
    ),
    "socks5-v6": (
        *("socks5", V6, ""),
        [b"\x05\x01\0", b"\x05\0", b"\x05\x01\0\x04" + V6.address.packed + b"\0\x15", b"\x05\0\0\x04" + bytes(18)],
    ),
    "socks5-name": (
        *("socks5", V4, ""),
        [b"\x05\x01\0", b"\x05\0", b"\x05\x01\0\x01\n\0\0\x05\0\x15", b"\x05\0\0\x03\x02ab\0\0"],
    ),
    "socks5-user": (
        *("socks5", V4, "me"),
        [
            *(b"\x05\x02\0\x02", b"\x05\x02", b"\x01\x02me\x04hush", b"\x01\0"),
            *(b"\x05\x01\0\x01\n\0\0\x05\0\x15", b"\x05\0\0\x01" + bytes(6)),
        ],
    ),
    "socks4": ("socks4", V4, "me", [b"\x04\x01\0\x15\n\0\0\x05me\0", b"\0\x5a" + bytes(6)]),
    "http": (
        *("http", V6, ""),
        [b"CONNECT [fd00::5]:21 HTTP/1.1\r\nHost: [fd00::5]:21\r\n\r\n", b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"],
    ),
    "http-user": (
        *("http", V4, "me"),
        [
            b"CONNECT 10.0.0.5:21 HTTP/1.1\r\nHost: 10.0.0.5:21\r\nProxy-Authorization: Basic bWU6aHVzaA==\r\n\r\n",
            b"HTTP/1.0 200\r\n\r\n",
        ],
    ),
}


def client(scheme: str, target: Endpoint, user: str = "") -> ProxyClient:
    """One request."""
    return ProxyClient(scheme, target, user or None, "hush" if user else None)


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
def test_conversations(name: str, piece: int) -> None:
    """All is said in turn; what the server says behind the last answer is left where it is."""
    scheme, target, user, lines = TALKS[name]
    asking = client(scheme, target, user)
    for number in range(0, len(lines), 2):
        assert asking.take() == lines[number]
        assert not asking.done
        data = lines[number + 1] + (BEHIND if number == len(lines) - 2 else b"")
        taken = 0
        while taken < len(data):
            took = asking.receive(data[taken : taken + piece])
            if not took:
                break
            taken += took
        assert data[:taken] == lines[number + 1]
    assert asking.done
    assert asking.take() == b""
    assert asking.receive(BEHIND) == 0


@pytest.mark.parametrize(
    ("scheme", "target", "said", "kind", "words"),
    [
        ("socks5", V4, b"\x05\xff", ConnectError, "another way to know who we are"),
        ("socks5", V4, b"\x04\x00", ConnectError, "another way to know who we are"),
        ("socks5", V4, b"\x05\x00\x04\0\0\x01", ConnectError, "speaks no SOCKS5"),
        ("socks5", V4, b"\x05\x00\x05\x02\0\x01", PolicyError, "does not allow 10.0.0.5:21"),
        ("socks5", V4, b"\x05\x00\x05\x05\0\x01", ConnectError, "connection refused"),
        ("socks5", V4, b"\x05\x00\x05\x63\0\x01", ConnectError, "code 99"),
        ("socks5", V4, b"\x05\x00\x05\x00\0\x09", ConnectError, "speaks no SOCKS5"),
        ("socks4", V4, b"\x00\x5b" + bytes(6), ConnectError, "code 91"),
        ("socks4", V4, b"\x05\x5a" + bytes(6), ConnectError, "code 90"),
        ("http", V4, b"HTTP/1.1 403 Not you\r\n\r\n", PolicyError, "403 Not you"),
        ("http", V4, b"HTTP/1.1 407 Who\r\n\r\n", PolicyError, "407 Who"),
        ("http", V4, b"HTTP/1.1 502\r\n\r\n", ConnectError, "502"),
        ("http", V4, b"SSH-2.0 hello\r\n\r\n", ConnectError, "speaks no HTTP"),
        ("http", V4, b"HTTP/1.1 200 OK\r\n" + HEAD_LIMIT * b"x", ConnectError, "is longer than 16384 bytes"),
    ],
)
def test_what_is_no_connection(scheme: str, target: Endpoint, said: bytes, kind: type[AlgError], words: str) -> None:
    """A refusal is told from a failure; nothing is taken for a connection."""
    asking = client(scheme, target)
    with pytest.raises(kind) as caught:
        asking.receive(said)
    assert words in str(caught.value)
    assert not asking.done


def test_an_unknown_user() -> None:
    """RFC 1929: any status but 0 is a refusal; the password is not told."""
    asking = client("socks5", V4, "me")
    with pytest.raises(PolicyError) as caught:
        asking.receive(b"\x05\x02\x01\x01")
    assert str(caught.value) == "the proxy does not know me"


def test_socks4_knows_no_ipv6() -> None:
    """It is not asked for it."""
    with pytest.raises(ConnectError, match="SOCKS4 knows no IPv6"):
        client("socks4", V6)


def test_the_longest_head() -> None:
    """At the limit it passes."""
    asking = client("http", V4)
    head = b"HTTP/1.1 200 OK\r\nX: "
    head += (HEAD_LIMIT - len(head) - 4) * b"x" + b"\r\n\r\n"
    assert asking.receive(head + BEHIND) == HEAD_LIMIT
    assert asking.done

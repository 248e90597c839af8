"""SOCKS with user names and passwords (RFC 1929): nobody's request passes before they were right."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.doorway import Ask, Asked
from alg.core.errors import ConnectError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.core.socks import SocksDoorway
from tests.core.openings import feed, in_every_way, refused_at
from tests.core.test_socks import FAILED, NO_METHOD, NOWHERE, REJECTED, named, socks4a

USERS = {"bob": "alice", "x" * 255: "y" * 255}
REQUEST = named(b"ftp.example.org", 21)[3:]
ASKED = Asked(Ask.CONNECT, "ftp.example.org", 21)
DENIED = b"\x01\x01"


def guarded(users: Mapping[str, str] = USERS) -> SocksDoorway:
    """A doorway for these users."""
    return SocksDoorway(users)


def credentials(name: bytes, password: bytes) -> bytes:
    """The message of RFC 1929."""
    return bytes((1, len(name))) + name + bytes((len(password),)) + password


@pytest.mark.parametrize("hello", [b"\x05\x01\x02", b"\x05\x03\x00\x03\x02", b"\x05\xff" + b"\x80" * 254 + b"\x02"])
@pytest.mark.parametrize(("name", "password"), [(b"bob", b"alice"), (b"x" * 255, b"y" * 255)])
def test_who_proves_it_gets_in(hello: bytes, name: bytes, password: bytes) -> None:
    """In one segment, byte by byte, and in two anywhere. The second is what zeek's capture has of a real client."""
    doorway, error = in_every_way(guarded, hello + credentials(name, password) + REQUEST + b"early")
    assert error is None
    assert (doorway.asked, doorway.user) == (ASKED, name.decode())
    assert doorway.take_replies() == b"\x05\x02\x01\0"
    assert doorway.rest == b"early"


def test_step_by_step() -> None:
    """As a client does that waits for every answer."""
    doorway = guarded()
    doorway.receive(b"\x05\x01\x02")
    assert doorway.take_replies() == b"\x05\x02"
    doorway.receive(credentials(b"bob", b"alice"))
    assert doorway.take_replies() == b"\x01\0"
    assert (doorway.user, doorway.asked) == ("bob", None)
    doorway.receive(REQUEST)
    assert doorway.asked == ASKED
    assert doorway.take_replies() == b""
    assert doorway.granted(Endpoint.parse("192.0.2.7", 9)) == b"\x05\0\0\x01\xc0\0\x02\x07\0\x09"


@pytest.mark.parametrize(
    ("data", "at", "reason", "answer"),
    [
        (b"\x05\x01\0" + REQUEST, 3, "no_acceptable_method", NO_METHOD),
        (b"\x05\x02\0\x01" + REQUEST, 4, "no_acceptable_method", NO_METHOD),
        (b"\x05\x01\x02" + credentials(b"bob", b"alicf") + REQUEST, 14, "not_authenticated", DENIED),
        (b"\x05\x01\x02" + credentials(b"bob", b"") + REQUEST, 9, "not_authenticated", DENIED),
        (b"\x05\x01\x02" + credentials(b"", b"") + REQUEST, 6, "not_authenticated", DENIED),
        (b"\x05\x01\x02" + credentials(b"eve", b"alice") + REQUEST, 14, "not_authenticated", DENIED),
        (b"\x05\x02\0\x02" + REQUEST, 5, "bad_version", DENIED),  # without any
        (b"\x05\x01\x02\x05\x01\0", 4, "bad_version", DENIED),
        (b"\x05\x01\x02" + credentials(b"bob", b"alice") + b"\x04\x01", 15, "bad_version", FAILED),
        (socks4a(b"ftp.example.org", user=b"bob"), 1, "not_authenticated", REJECTED),
        (b"\x04", 1, "not_authenticated", REJECTED),
    ],
)
def test_who_does_not(data: bytes, at: int, reason: str, answer: bytes) -> None:
    """Nothing is asked for, however it is cut and whatever follows: not even the right password."""
    assert refused_at(guarded(), data) == at
    doorway, error = in_every_way(guarded, data + credentials(b"bob", b"alice") + REQUEST)
    assert error is not None
    assert error.reason == reason
    assert isinstance(error, ProtocolError if reason == "bad_version" else PolicyError)
    assert (doorway.asked, doorway.rest) == (None, b"")
    assert doorway.refused(error).endswith(answer)
    assert doorway.refused(error) == b""


def test_the_answers_that_were_not_taken_come_first() -> None:
    """A client that pipelines gets them all, in their order."""
    doorway = guarded()
    error = feed(doorway, [b"\x05\x01\x02" + credentials(b"bob", b"no") + REQUEST])
    assert error is not None
    assert doorway.refused(error) == b"\x05\x02" + DENIED
    doorway = guarded()
    doorway.receive(b"\x05\x01\x02" + credentials(b"bob", b"alice") + REQUEST)
    assert doorway.refused(ConnectError("", reason="connect_refused")) == b"\x05\x02\x01\0\x05\x05\0" + NOWHERE


def test_no_users_are_not_everybody() -> None:
    """An empty table lets nobody in."""
    for data in (b"\x05\x01\0" + REQUEST, b"\x05\x01\x02" + credentials(b"", b"") + REQUEST, socks4a(b"a")):
        doorway = guarded({})
        assert feed(doorway, [data]) is not None
        assert doorway.asked is None


def test_a_time_out_among_the_passwords() -> None:
    """It is a failure of that."""
    doorway = guarded()
    doorway.receive(b"\x05\x01\x02\x01\x03bo")
    assert doorway.refused(ProtocolError("", reason="too_slow")) == b"\x05\x02" + DENIED


@pytest.mark.parametrize("password", [b"alice", b"s3cret-of-somebody"])
def test_a_password_is_not_kept(password: bytes) -> None:
    """Neither right nor wrong, in the doorway or in its error."""
    doorway = guarded()
    error = feed(doorway, [b"\x05\x01\x02" + credentials(b"bob", password) + REQUEST])
    assert password.decode() not in f"{error} {error!r}"
    held = [each for each in gc.get_referents(doorway) if isinstance(each, bytes | bytearray | str)]
    assert held
    assert not [each for each in held if password in (each.encode() if isinstance(each, str) else each)]


@given(st.binary(max_size=255), st.binary(max_size=255), st.integers(0, 20))
def test_only_the_right_password(name: bytes, password: bytes, cut: int) -> None:
    """Of any."""
    doorway = guarded()
    data = b"\x05\x01\x02" + credentials(name, password) + REQUEST
    feed(doorway, [data[:cut], data[cut:]])
    assert (doorway.asked is not None) == ((name, password) == (b"bob", b"alice"))

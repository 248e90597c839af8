"""What a ClientHello asks for, however it is cut; and what is none, or a malformed one, refused as early as can be."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.client_hello import (
    HANDSHAKE_FAILURE,
    MAX_CLIENT_HELLO,
    MAX_RECORDS,
    NO_APPLICATION_PROTOCOL,
    UNRECOGNIZED_NAME,
    ClientHello,
    alert,
    parse_client_hello,
)
from alg.core.errors import ProtocolError
from tests.core import hellos

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

SPREAD = (hellos.server_name(b"ftp.example.org"), hellos.alpn(b"ftp", b"http/1.1"))
WANTED = ClientHello("ftp.example.org", ("ftp", "http/1.1"), (0x0303,))


def reason(data: bytes) -> str:
    """The reason for which these bytes are refused."""
    with pytest.raises(ProtocolError) as refusal:
        parse_client_hello(data)
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200
    return refusal.value.reason


def seen_at(data: bytes) -> tuple[int, str]:
    """How many bytes it took until they were refused, and for which reason."""
    for count in range(len(data) + 1):
        try:
            assert parse_client_hello(data[:count]) is None, count
        except ProtocolError as error:
            return count, error.reason
    pytest.fail("they were not refused")


# What real clients send.


@pytest.mark.parametrize("name", ["ftp.example.org", "a", "xn--mnchen-3ya.example", "FTP.Example.ORG", "under_score.x"])
@pytest.mark.parametrize("protocols", [(), ("ftp",), ("h2", "http/1.1"), tuple(f"p{n}" for n in range(200))])
def test_a_real_client_is_understood(name: str, protocols: tuple[str, ...]) -> None:
    """Name, protocols and versions; short, and longer than a network packet."""
    parsed = parse_client_hello(hellos.real_hello(name, protocols))
    assert parsed == ClientHello(name.lower(), protocols, (0x0304, 0x0303))


@pytest.mark.parametrize(
    ("lowest", "highest", "versions"),
    [(TLS12, TLS13, (0x0304, 0x0303)), (TLS12, TLS12, (0x0303,)), (TLS13, TLS13, (0x0304,))],
)
def test_real_versions(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, versions: tuple[int, ...]) -> None:
    """Those of supported_versions, or that of the message where there is no such extension."""
    parsed = parse_client_hello(hellos.real_hello(None, (), lowest, highest))
    assert parsed == ClientHello(None, (), versions)


@pytest.mark.parametrize("address", ["10.0.0.5", "2001:db8::5"])
def test_a_real_client_that_dials_an_address_names_no_host(address: str) -> None:
    """OpenSSL leaves the extension out, by RFC 6066."""
    parsed = parse_client_hello(hellos.real_hello(address))
    assert parsed is not None
    assert parsed.server_name is None


def test_a_real_hello_is_incomplete_until_its_last_byte() -> None:
    """Whatever comes first of it; and what comes after it does not matter."""
    whole = hellos.real_hello("ftp.example.org", ("ftp",))
    assert [count for count in range(len(whole)) if parse_client_hello(whole[:count])] == []
    assert parse_client_hello(bytearray(whole)) == parse_client_hello(whole + b"\x17\x03\x03\0\x05early")


# Records.


def test_two_records_cut_anywhere() -> None:
    """Inside the message's own header, too."""
    whole = hellos.message(hellos.body(*SPREAD))
    for cut in range(1, len(whole)):
        assert parse_client_hello(hellos.records(whole, [cut])) == WANTED, cut


def test_records_byte_by_byte_and_at_every_length() -> None:
    """None until the last byte, whichever record it is in."""
    whole = hellos.message(hellos.body(*SPREAD))
    data = hellos.records(whole, [1, 1, 1, 1, 1, 30, 1, 2])
    buffer = bytearray()
    for byte in data[:-1]:
        buffer.append(byte)
        assert parse_client_hello(buffer) is None
    assert parse_client_hello(data) == WANTED


@given(st.lists(st.integers(1, 60), max_size=MAX_RECORDS - 4), st.data())
def test_any_records_and_any_piece_of_them(sizes: list[int], draw: st.DataObject) -> None:
    """However it is spread, it is the same; and incomplete it is not refused."""
    data = hellos.records(hellos.message(hellos.body(*SPREAD)), sizes)
    assert parse_client_hello(data) == WANTED
    assert parse_client_hello(data[: draw.draw(st.integers(0, len(data) - 1))]) is None


def test_the_most_records_and_one_more() -> None:
    """At the limit, and one above: refused with the last record's header, before all of it has come."""
    whole = hellos.message(hellos.body(*SPREAD))
    assert parse_client_hello(hellos.records(whole, [1] * (MAX_RECORDS - 1))) == WANTED
    data = hellos.records(whole, [1] * MAX_RECORDS)
    assert seen_at(data) == (6 * (MAX_RECORDS - 1) + 5, "client_hello_too_long")


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 255])
def test_the_minor_version_of_a_record_is_ignored(minor: int) -> None:
    """RFC 8446 5.1."""
    data = hellos.records(hellos.message(hellos.body(*SPREAD)), version=0x0300 + minor)
    assert parse_client_hello(data) == WANTED


@pytest.mark.parametrize(
    ("start", "count"),
    [
        *((b"GET / HTTP/1.1\r\n", 1), (b"USER x\r\n", 1), (b"\x80\x2e\x01\x03\x01", 1), (b"\x17\x03\x03\0\x01x", 1)),
        *((b"\x15\x03\x01\0\x02\x02\x28", 1), (b"\x00", 1), (b"\x16\x02\x01\0\x05\x01", 2), (b"\x16\xfe\xfd\0\0", 2)),
        *((b"\x16\x03\x01\0\0", 5), (b"\x16\x03\x01\x40\x01\x01", 5), (b"\x16\x03\x01\xff\xff\x01", 5)),
        *((b"\x16\x03\x01\0\x30\x02\0", 6), (b"\x16\x03\x01\0\x30\0\0", 6), (b"\x16\x03\x01\0\x30\x0b", 6)),
        *((b"\x16\x03\x01\0\x01\x01\x17", 7), (b"\x16\x03\x01\0\x01\x01\x16\x03\x03\0\0", 11)),
    ],
)
def test_what_is_no_handshake_is_seen_with_its_first_wrong_byte(start: bytes, count: int) -> None:
    """Type and version of a record, its length, the type of the message; in a later record, too."""
    assert seen_at(start) == (count, "not_tls")


def test_the_longest_record() -> None:
    """At the limit; one above it is refused, see there."""
    whole = hellos.message(hellos.body(hellos.extension(21, bytes(20000))))
    assert parse_client_hello(hellos.records(whole, [16384])) == ClientHello(None, (), (0x0303,))
    assert reason(hellos.records(whole, [16385])) == "not_tls"


def test_the_longest_hello_and_one_byte_more() -> None:
    """At the limit; one above it is refused when it is announced."""
    assert parse_client_hello(hellos.records(b"\x01" + MAX_CLIENT_HELLO.to_bytes(3))) is None
    assert seen_at(hellos.records(b"\x01" + (MAX_CLIENT_HELLO + 1).to_bytes(3))) == (9, "client_hello_too_long")
    assert seen_at(hellos.records(b"\x01\xff\xff\xff", [1, 1, 1, 1])) == (24, "client_hello_too_long")
    filled = hellos.body(*SPREAD, hellos.extension(21, b""), session=bytes(32))
    padding = hellos.extension(21, bytes(MAX_CLIENT_HELLO - len(filled)))
    contents = hellos.body(*SPREAD, padding, session=bytes(32))
    assert len(contents) == MAX_CLIENT_HELLO
    whole = hellos.records(hellos.message(contents))
    assert parse_client_hello(whole[:-1]) is None
    assert parse_client_hello(whole) == WANTED
    assert reason(hellos.records(hellos.message(contents + b"\0"))) == "client_hello_too_long"


def test_nothing_follows_in_the_same_record() -> None:
    """Another reader might take it for a part of the ClientHello; seen before the record is complete."""
    whole = hellos.message(hellos.body(*SPREAD))
    assert seen_at(hellos.records(whole + b"\0")) == (9, "bad_client_hello")
    assert reason(hellos.records(whole + whole)) == "bad_client_hello"
    assert parse_client_hello(hellos.records(whole) + hellos.records(whole)) == WANTED


def test_an_incomplete_hello_is_not_copied() -> None:
    """A call with an incomplete record looks at the headers alone: the contents may be of any kind."""

    class Counted(bytearray):
        def __getitem__(self, key: object) -> bytearray:  # type: ignore[override]
            assert isinstance(key, slice)
            piece = bytearray(self).__getitem__(key)
            taken.append(len(piece))
            return piece

    taken: list[int] = []
    whole = hellos.records(hellos.message(hellos.body(hellos.extension(21, bytes(60000)))))
    assert parse_client_hello(Counted(whole[:-1])) is None
    assert sum(taken) == 4 * 5 + 4
    taken.clear()
    assert parse_client_hello(Counted(whole)) is not None
    assert sum(taken) == 4 * 5 + 4 + len(whole) - 4 * 5


# Alerts.


@pytest.mark.parametrize("description", [HANDSHAKE_FAILURE, UNRECOGNIZED_NAME, NO_APPLICATION_PROTOCOL])
def test_an_alert_is_seven_bytes(description: int) -> None:
    """RFC 8446 6: level fatal."""
    assert alert(description) == b"\x15\x03\x03\0\x02\x02" + bytes((description,))


@pytest.mark.parametrize(("lowest", "highest"), [(TLS12, TLS13), (TLS12, TLS12), (TLS13, TLS13)])
@pytest.mark.parametrize(
    ("description", "told"),
    [
        (HANDSHAKE_FAILURE, "handshake.failure"),
        (UNRECOGNIZED_NAME, "unrecognized.name"),
        (NO_APPLICATION_PROTOCOL, "no.application.protocol"),
    ],
)
def test_a_real_client_understands_an_alert(
    description: int, told: str, lowest: ssl.TLSVersion, highest: ssl.TLSVersion
) -> None:
    """Whichever versions it speaks."""
    incoming = ssl.MemoryBIO()
    client = hellos.make_client(incoming, ssl.MemoryBIO(), "x.example", ("ftp",), lowest, highest)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(alert(description))
    with pytest.raises(ssl.SSLError, match=f"(?i){told}"):
        client.do_handshake()


@pytest.mark.parametrize("description", [-1, 256])
def test_an_alert_is_one_byte(description: int) -> None:
    """A caller's mistake."""
    with pytest.raises(ValueError, match="256"):
        alert(description)

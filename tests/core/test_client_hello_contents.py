"""The fields of a ClientHello: server name, protocols, versions; odd clients; lengths that do not add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.client_hello import MAX_SERVER_NAME, ClientHello, parse_client_hello
from alg.core.errors import ProtocolError
from tests.core import hellos
from tests.core.hellos import ALPN, SERVER_NAME, SUPPORTED_VERSIONS, extension, hello, vector

PLAIN = ClientHello(None, (), (0x0303,))

# Whole hellos in hex, written down field by field.
ODD = {
    # SSL 3.0, as old scanners send it: no extensions, and not even their length.
    "ssl3": (
        "16 0300 002d 01 000029 0300 " + 32 * "11" + " 00 0002 000a 01 00",
        ClientHello(None, (), (0x0300,)),
    ),
    # TLS 1.0 with a session to resume, two compression methods, no extensions but their length.
    "tls10": (
        "16 0301 0052 01 00004e 0301 " + 32 * "22" + " 20 " + 32 * "33" + " 0004 0035 00ff 02 0100 0000",
        ClientHello(None, (), (0x0301,)),
    ),
    # As Chrome does: GREASE (RFC 8701) among the ciphers, the extensions (first and last) and the versions.
    "grease": (
        "16 0301 005c 01 000058 0303 " + 32 * "44" + " 00 0004 5a5a 1301 01 00 002b"
        " 8a8a 0000"
        " 0000 000a 0008 00 0005 612e746c64"
        " 0010 0005 0003 02 6832"
        " 002b 0007 06 2a2a 0304 0303"
        " 1a1a 0001 00",
        ClientHello("a.tld", ("h2",), (0x0304, 0x0303)),
    ),
    # The message's header alone in the first record, an address where a name belongs (lftp).
    "lftp": (
        "16 0301 0004 01 000040 16 0301 0040 0303 " + 32 * "55" + " 00 0002 c02f 01 00 0015"
        " 0000 0011 000f 00 000c 3139322e302e322e3133332e",
        None,
    ),
}


def reason(data: bytes) -> str:
    """The reason for which these bytes are refused."""
    with pytest.raises(ProtocolError) as refusal:
        parse_client_hello(data)
    assert str(refusal.value).isascii()
    assert len(str(refusal.value)) < 200
    return refusal.value.reason


def name_of(name: bytes) -> str | None:
    """What a server name is taken for."""
    parsed = parse_client_hello(hello(hellos.server_name(name)))
    assert parsed is not None
    return parsed.server_name


# The server name.


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        *((b"ftp.example.org", "ftp.example.org"), (b"FTP.Example.ORG", "ftp.example.org"), (b"a.b.", "a.b")),
        *((b"localhost", "localhost"), (b"x_y.z", "x_y.z"), (b"xn--mnchen-3ya.de", "xn--mnchen-3ya.de")),
        *((b"1and1.com", "1and1.com"), (b"10.0.0.5.nip.io", "10.0.0.5.nip.io"), (b"1.x0", "1.x0"), (b"0x.de", "0x.de")),
    ],
)
def test_a_server_name(sent: bytes, name: str) -> None:
    """In lower case, without a trailing dot."""
    assert name_of(sent) == name


@pytest.mark.parametrize(
    "sent",
    [
        *(
            b"10.0.0.5",
            b"10.0.0.5.",
            b"0.0.0.0",
            b"127.1",
            b"2130706433",
            b"0x7f000001",
            b"0X7F.1",
            b"010.0.0.1",
            b"0x",
        ),
        *(b"::1", b"2001:DB8::5", b"::ffff:10.0.0.5", b"[2001:db8::5]", b"fe80::1%eth0", b"a.1", b"1", b"256.1.1.1"),
    ],
)
def test_an_address_is_no_name(sent: bytes) -> None:
    """lftp sends it, against RFC 6066 3. Forms that only a resolver understands are addresses too."""
    assert name_of(sent) is None


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b".", b"..", b"a..b", b".a", b"a.b..", b"a b", b"a\0b", b"\0", b"a\0", b"\xc3\xa4.de", b"a\x80", b"a\n"),
        *(b"a/b", b"a:443", b"*.a", b"a%b", b"a\r\nb", b"\x1b[1m", b"10.0.0.5:21", b"[::1", b"::1::", b"a@b", b"1.\n1"),
    ],
)
def test_what_no_host_is_called(sent: bytes) -> None:
    """NUL, other scripts, blanks, what ends a name elsewhere."""
    assert reason(hello(hellos.server_name(sent))) == "bad_client_hello"


def test_the_longest_name_and_one_byte_more() -> None:
    """The trailing dot counts."""
    longest = b"a" * 63 + (b"." + b"b" * 63) * 3
    assert len(longest) == MAX_SERVER_NAME
    assert name_of(longest) == longest.decode()
    assert reason(hello(hellos.server_name(longest + b"."))) == "bad_client_hello"
    assert reason(hello(hellos.server_name(b"1" * 60000))) == "bad_client_hello"


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\0\0\0", vector(2, b"\0" + vector(2, b"a")) + b"\0"),
        vector(2, b"\1" + vector(2, b"a")),
        vector(2, b"\0" + vector(2, b"a") + b"\0" + vector(2, b"b")),
        vector(2, b"\0" + vector(2, b"a") + b"\1" + vector(2, b"b")),
        vector(2, b"\0\0\2a"),
        b"\0\x09\0\0\1a",
    ],
)
def test_the_extension_holds_one_host_name(value: bytes) -> None:
    """Two names, another type, lengths that do not add up."""
    assert reason(hello(extension(SERVER_NAME, value))) == "bad_client_hello"


@pytest.mark.parametrize("kind", [SERVER_NAME, ALPN, 0x1A1A])
def test_an_extension_comes_once(kind: int) -> None:
    """Or two readers may believe two different ones (RFC 8446 4.2)."""
    value = hellos.server_name(b"a")[4:] if kind == SERVER_NAME else hellos.alpn(b"a")[4:]
    assert parse_client_hello(hello(extension(kind, value))) is not None
    assert reason(hello(extension(kind, value), extension(99, b""), extension(kind, value))) == "bad_client_hello"


# Protocols and versions.


@pytest.mark.parametrize(
    "names", [(b"ftp",), (b"h2", b"http/1.1"), (b"\x0a\x0a", b"\xff\0"), (b"a" * 255,), tuple([b"x"] * 3000)]
)
def test_protocols(names: tuple[bytes, ...]) -> None:
    """In their order; any bytes."""
    parsed = parse_client_hello(hello(hellos.alpn(*names)))
    assert parsed == ClientHello(None, tuple(each.decode("latin-1") for each in names), (0x0303,))


@pytest.mark.parametrize(
    "value",
    [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\2\0\0", b"\0\4\1a\0\0", b"\0\2\2a", b"\0\2\1a\0", b"\0\3\1a", b"\0\3\1ab"],
)
def test_malformed_protocols(value: bytes) -> None:
    """An empty list, an empty name, lengths that do not add up."""
    assert reason(hello(extension(ALPN, value))) == "bad_client_hello"


@pytest.mark.parametrize(
    ("sent", "versions"),
    [
        *(((0x0304,), (0x0304,)), ((0x0303, 0x0302), (0x0303, 0x0302)), ((0x7F1C, 0x0304), (0x7F1C, 0x0304))),
        *(((0xFAFA, 0x0304, 0x0A0A), (0x0304,)), ((0x2A2A,), ()), ((0x0A1A, 0x1A0A), (0x0A1A, 0x1A0A))),
        (tuple(range(127)), tuple(range(127))),
    ],
)
def test_versions(sent: tuple[int, ...], versions: tuple[int, ...]) -> None:
    """Those of the extension, without GREASE."""
    assert parse_client_hello(hello(hellos.supported_versions(*sent))) == ClientHello(None, (), versions)


@pytest.mark.parametrize("value", [b"", b"\0", b"\1\3", b"\3\3\4\3", b"\2\3", b"\2\3\4\0", b"\4\3\4"])
def test_malformed_versions(value: bytes) -> None:
    """An empty list, half a version, lengths that do not add up."""
    assert reason(hello(extension(SUPPORTED_VERSIONS, value))) == "bad_client_hello"


# The whole.


@pytest.mark.parametrize("name", ODD)
def test_odd_clients(name: str) -> None:
    """Written by hand."""
    text, wanted = ODD[name]
    data = bytes.fromhex(text)
    assert parse_client_hello(data[:-1]) is None
    assert parse_client_hello(data) == (wanted or PLAIN)


def test_without_extensions() -> None:
    """Neither they nor their length need be there (RFC 5246 7.4.1.2); half a length is malformed."""
    contents = hellos.body()
    assert parse_client_hello(hellos.records(hellos.message(contents))) == PLAIN
    assert parse_client_hello(hellos.records(hellos.message(contents[:-2]))) == PLAIN
    assert reason(hellos.records(hellos.message(contents[:-1]))) == "bad_client_hello"


def test_a_post_quantum_hello() -> None:
    """X25519MLKEM768: a key share of 1216 bytes; more than one packet."""
    key_share = extension(51, vector(2, b"\x11\xec" + vector(2, bytes(1216)) + b"\0\x1d" + vector(2, bytes(32))))
    data = hello(key_share, hellos.server_name(b"pq.example"), hellos.supported_versions(0x0304))
    assert parse_client_hello(data) == ClientHello("pq.example", (), (0x0304,))


@pytest.mark.parametrize(
    "contents",
    [
        hellos.body(session=bytes(33)),
        hellos.body(ciphers=b""),
        hellos.body(ciphers=b"\x13\x01\x13"),
        hellos.body(compression=b""),
        hellos.body() + b"\0",
        hellos.body(b"\0"),
        hellos.body(extension(5, b"abc")[:-1]),
        hellos.body(b"\0\5\0"),
        b"",
        b"\3",
    ],
)
def test_malformed_contents(contents: bytes) -> None:
    """Lengths that do not add up, or may not be."""
    assert reason(hellos.records(hellos.message(contents))) == "bad_client_hello"


def test_the_longest_session_and_many_ciphers() -> None:
    """At the limits."""
    contents = hellos.body(session=bytes(32), ciphers=bytes(65000), compression=bytes(255))
    assert parse_client_hello(hellos.records(hellos.message(contents))) == PLAIN


def test_cut_short_anywhere_it_is_malformed() -> None:
    """The announced length is that of the part, so that nothing more is waited for."""
    contents = hellos.body(hellos.server_name(b"a.example"), hellos.alpn(b"ftp"), hellos.supported_versions(0x0304))
    extensions = len(contents) - len(hellos.body()) + 2
    for count in range(len(contents)):
        data = hellos.records(hellos.message(contents[:count]))
        if count == len(contents) - extensions:  # just before the length of the extensions
            assert parse_client_hello(data) == PLAIN
        else:
            assert reason(data) == "bad_client_hello", count


labels = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


@given(
    st.lists(labels, min_size=1, max_size=5).map(".".join),
    st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=20),
    st.lists(st.sampled_from([0x0301, 0x0302, 0x0303, 0x0304]), min_size=1, unique=True),
    st.dictionaries(st.integers(100, 65535), st.binary(max_size=100), max_size=5),
)
def test_what_was_written_is_read(name: str, names: list[bytes], versions: list[int], others: dict[int, bytes]) -> None:
    """Whatever else the client sends along."""
    known = [hellos.server_name(name.encode()), hellos.alpn(*names), hellos.supported_versions(*versions)]
    parsed = parse_client_hello(hello(*known, *(extension(*each) for each in others.items())))
    assert parsed == ClientHello(name, tuple(each.decode("latin-1") for each in names), tuple(versions))


@given(st.binary(max_size=200), st.integers(0, 160), st.integers(0, 255))
def test_nothing_else_is_ever_raised(noise: bytes, where: int, byte: int) -> None:
    """Of noise, of a hello with one byte changed, of noise for its extensions: a refusal, a result, or not yet."""
    good = bytearray(hello(hellos.server_name(b"a.example"), hellos.alpn(b"ftp"), hellos.supported_versions(0x0304)))
    good[where % len(good)] = byte
    for data in (noise, b"\x16\x03\x01" + noise, bytes(good), hello(noise), hello(extension(SERVER_NAME, noise))):
        try:
            parsed = parse_client_hello(data)
        except ProtocolError as error:
            assert error.reason in ("not_tls", "bad_client_hello", "client_hello_too_long")
        else:
            assert parsed is None or parsed.server_name is None or parsed.server_name.isascii()

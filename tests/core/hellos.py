"""Makes ClientHellos for tests: by hand, field by field, and by Python's ssl, as real clients send them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Sequence

SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43

LONGEST_RECORD = 16384


def vector(size: int, data: bytes) -> bytes:
    """The data after its length."""
    return len(data).to_bytes(size) + data


def extension(kind: int, data: bytes) -> bytes:
    """One extension."""
    return kind.to_bytes(2) + vector(2, data)


def server_name(name: bytes) -> bytes:
    """The extension that names a host."""
    return extension(SERVER_NAME, vector(2, b"\0" + vector(2, name)))


def alpn(*names: bytes) -> bytes:
    """The extension that names application protocols."""
    return extension(ALPN, vector(2, b"".join(vector(1, each) for each in names)))


def supported_versions(*versions: int) -> bytes:
    """The extension that lists versions."""
    return extension(SUPPORTED_VERSIONS, vector(1, b"".join(each.to_bytes(2) for each in versions)))


def body(
    *extensions: bytes,
    version: int = 0x0303,
    session: bytes = b"",
    ciphers: bytes = b"\x13\x01",
    compression: bytes = b"\0",
) -> bytes:
    """The contents of a ClientHello."""
    start = version.to_bytes(2) + bytes(range(32)) + vector(1, session) + vector(2, ciphers) + vector(1, compression)
    return start + vector(2, b"".join(extensions))


def message(contents: bytes) -> bytes:
    """The handshake message."""
    return b"\x01" + vector(3, contents)


def records(data: bytes, sizes: Iterable[int] = (), *, version: int = 0x0301) -> bytes:
    """The records that carry the data: the first of these sizes, the others as long as they may be."""
    result = b""
    rest = iter(sizes)
    while data:
        size = next(rest, LONGEST_RECORD)
        result += b"\x16" + version.to_bytes(2) + vector(2, data[:size])
        data = data[size:]
    return result


def hello(*extensions: bytes) -> bytes:
    """A ClientHello with these extensions, in as few records as may be."""
    return records(message(body(*extensions)))


def real_hello(
    name: str | None = None,
    protocols: Sequence[str] = (),
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> bytes:
    """What a client of Python's ssl sends first."""
    outgoing = ssl.MemoryBIO()
    client = make_client(ssl.MemoryBIO(), outgoing, name, protocols, lowest, highest)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def make_client(
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    name: str | None = None,
    protocols: Sequence[str] = (),
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> ssl.SSLObject:
    """A client of Python's ssl between two buffers; it has not spoken yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = lowest, highest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context.wrap_bio(incoming, outgoing, server_hostname=name)

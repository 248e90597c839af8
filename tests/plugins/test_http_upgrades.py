"""T24, T25, T27, T74, T87, T88: what becomes of upgrades, true and fake, and of frames that are read."""

from __future__ import annotations

import zlib

import pytest
from alg_http import HttpConfig
from alg_http.config import Frames

from alg.testing import Playbook, Side
from tests.plugins.http_talk import KEY, UPGRADE, UPGRADED, get, talk

INTERNAL = get(b"/internal")

FAKES = {
    "wrong accept": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    "HTTP/1.0": UPGRADED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
    "no accept": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "no Upgrade": UPGRADED.replace(b"Upgrade: websocket\r\n", b"") + b"\r\n",
    "another Upgrade": UPGRADED.replace(b"websocket\r\n", b"foo\r\n", 1) + b"\r\n",
    "no Connection": UPGRADED.replace(b"Connection: Upgrade\r\n", b"") + b"\r\n",
    "a body": UPGRADED + b"Content-Length: 5\r\n\r\nhello",
    "a chunked body": UPGRADED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a subprotocol that nobody offered": UPGRADED + b"Sec-WebSocket-Protocol: evil\r\n\r\n",
    "an extension that nobody offered": UPGRADED + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "two accepts": UPGRADED + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
}


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_101_is_no_tunnel(name: str) -> None:
    """The client is told 502, and what it says down the tunnel that it believes in goes nowhere."""
    book = talk()
    book.client(UPGRADE + b"\r\n")
    asked = book.to_server
    book.server(FAKES[name])
    assert book.to_client.startswith(b"HTTP/1.1 502 ")
    book.client(INTERNAL)
    assert book.to_server == asked
    assert (book.closed, book.reasons) == (True, ["fake_upgrade"])


@pytest.mark.parametrize("status", [b"426 Upgrade Required", b"200 OK", b"403 Forbidden", b"302 Found"])
def test_a_server_that_refuses_gets_no_further_request(status: bytes) -> None:
    """Its answer passes, and the connection ends with it: there is no tunnel, and no second request in its place."""
    book = talk()
    book.client(UPGRADE + b"\r\n")
    asked = book.to_server
    book.server(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nno" % status)
    assert book.to_client.startswith(b"HTTP/1.1 " + status)
    assert book.to_client.endswith(b"Connection: close\r\n\r\nno")
    book.client(INTERNAL)
    assert book.to_server == asked
    assert book.closed


WRONG = {
    "POST": UPGRADE.replace(b"GET", b"POST"),
    "HTTP/1.0": UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no Connection": UPGRADE.replace(b"Connection: Upgrade\r\n", b""),
    "no key": UPGRADE.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""),
    "a short key": UPGRADE.replace(KEY, b"AAAA"),
    "two keys": UPGRADE + b"Sec-WebSocket-Key: " + KEY + b"\r\n",
    "a body": UPGRADE + b"Content-Length: 5\r\n",
    "two protocols": UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    "a subprotocol twice": UPGRADE + b"Sec-WebSocket-Protocol: a, a\r\n",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_handshake_never_reaches_the_server(name: str) -> None:
    """It is told 400, and that is the end."""
    book = talk()
    book.client(WRONG[name] + b"\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 400 ")
    assert (book.to_server, book.closed) == (b"", True)
    assert book.reasons[-1] == "bad_upgrade"


@pytest.mark.parametrize("version", [b"0", b"8", b"12", b"1337", b"13, 8", b"+13", b"013"])
def test_another_version_is_told_ours(version: bytes) -> None:
    """RFC 6455 section 4.4."""
    book = talk()
    book.client(UPGRADE.replace(b"Version: 13", b"Version: " + version) + b"\r\n" + INTERNAL)
    assert book.to_client.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in book.to_client
    assert (book.to_server, book.closed) == (b"", True)


@pytest.mark.parametrize("late", [False, True])
def test_nothing_may_be_said_before_the_server_has_agreed(late: bool) -> None:
    """It would be a further request to a server that refuses, and a frame to one that agrees."""
    book = talk()
    if late:
        book.client(UPGRADE + b"\r\n")
        book.client(INTERNAL)
        book.server(UPGRADED + b"\r\n")
        assert book.to_server.count(b"HTTP/1.1\r\n") == 1
    else:
        book.client(UPGRADE + b"\r\n" + INTERNAL)
        assert book.to_server == b""
    assert book.to_client.startswith(b"HTTP/1.1 400 ")
    assert book.reasons == ["bytes_before_upgrade"]


@pytest.mark.parametrize("fields", [(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), (b"Upgrade: foo",)])
def test_other_upgrades_are_not_passed_on(fields: tuple[bytes, ...]) -> None:
    """T27: the request is an ordinary one then; a server that switches all the same is refused."""
    book = talk()
    book.client(get(b"/", b"Connection: Upgrade, HTTP2-Settings", *fields))
    assert b"pgrade" not in book.to_server
    assert b"HTTP2" not in book.to_server
    assert book.reasons == ["not_offered"]
    book.server(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 502 ")
    assert book.reasons[-1] == "fake_upgrade"


ORIGIN = b"https://good.example"
FOREIGN = (
    *(
        b"https://good.example.evil",
        b"http://good.example",
        b"https://good.example:444",
        b"https://GOOD.example",
        b"null",
    ),
    *(b"https://evil.example", b"https://good.example/", b"", b"https://good.example, https://evil.example"),
)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_opens_no_websocket(origin: bytes) -> None:
    """T74: the server hears nothing of it."""
    book = talk(HttpConfig(allowed_origins=(ORIGIN.decode(),)))
    book.client(UPGRADE + b"Origin: " + origin + b"\r\n\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 403 ")
    assert (book.to_server, book.reasons, book.closed) == (b"", ["origin_refused"], True)


def test_the_page_that_may_does() -> None:
    """Exactly that one; without an origin nobody does, and a plain request needs none."""
    config = HttpConfig(allowed_origins=(ORIGIN.decode(),))
    book = talk(config)
    book.client(UPGRADE + b"Origin: " + ORIGIN + b"\r\n\r\n")
    book.server(UPGRADED + b"\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 101 ")
    book = talk(config)
    book.client(UPGRADE + b"\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 403 ")
    book = talk(config)
    book.client(get())
    assert book.to_server


# Frames that are read.


def masked(first: int, payload: bytes, length: bytes | None = None) -> bytes:
    """A frame of a client, masked with zeros."""
    size = length or (
        bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    )
    return bytes((first,)) + size + b"\0\0\0\0" + payload


def opened(config: HttpConfig | None = None, *fields: bytes, answer: bytes = b"") -> tuple[Playbook, int, int]:
    """A WebSocket whose frames are read, and how much both sides have received so far."""
    book = talk(config or HttpConfig(frames=Frames.READ))
    book.client(UPGRADE + b"".join(fields) + b"\r\n")
    book.server(UPGRADED + answer + b"\r\n")
    assert book.to_client.startswith(b"HTTP/1.1 101 ")
    return book, len(book.to_client), len(book.to_server)


BAD = {
    "raw HTTP": (b"GET /internal HTTP/1.1\r\n\r\n", 1002),
    "not masked": (b"\x81\x02hi", 1002),
    "RSV1": (masked(0xC1, b"hi"), 1002),
    "RSV2": (masked(0xA1, b"hi"), 1002),
    "RSV3": (masked(0x91, b"hi"), 1002),
    "opcode 3": (masked(0x83, b"hi"), 1002),
    "opcode 11": (masked(0x8B, b"hi"), 1002),
    "fragmented ping": (masked(0x09, b"hi"), 1002),
    "length in more bytes than it needs": (masked(0x81, b"hi", b"\xfe\x00\x02"), 1002),
    "continuation of nothing": (masked(0x80, b"hi"), 1002),
    "bad UTF-8": (masked(0x81, b"\xff"), 1007),
    "close with one byte": (masked(0x88, b"\x03"), 1002),
    "close with 1005": (masked(0x88, b"\x03\xed"), 1002),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames_end_it_on_both_sides(name: str) -> None:
    """T25: with a close frame that says why; nothing of the frame goes on."""
    frame, code = BAD[name]
    book, to_client, to_server = opened()
    book.client(frame)
    assert book.closed
    assert book.to_client[to_client:][:1] == b"\x88"
    assert book.to_client[to_client + 2 :][:2] == code.to_bytes(2, "big")
    heard = book.to_server[to_server:]
    assert heard[:1] == b"\x88"
    assert bytes(a ^ b for a, b in zip(heard[6:8], heard[2:4], strict=True)) == code.to_bytes(2, "big")


def test_a_bomb_is_not_inflated() -> None:
    """T87: 4 MiB in 4 KiB, where 1 MiB is the limit."""
    deflate = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    book, to_client, _ = opened(HttpConfig(frames=Frames.READ, max_message=1 << 20), deflate, answer=deflate)
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(4 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    book.client(masked(0xC2, bomb))
    assert book.closed
    assert book.to_client[to_client + 2 :][:2] == (1009).to_bytes(2, "big")


def test_tiny_fragments_have_an_end() -> None:
    """T88."""
    book, to_client, _ = opened(HttpConfig(frames=Frames.READ, max_frames=100))
    book.client(masked(0x01, b"") + masked(0x00, b"") * 1000)
    assert book.closed
    assert book.to_client[to_client + 2 :][:2] == (1008).to_bytes(2, "big")


def test_frames_behind_the_101() -> None:
    """What the server says in the same breath is read as all the rest: a good frame passes, a bad one is closed for."""
    for frame, heard in ((b"\x81\x02hi", b"\x81\x02hi"), (b"\x83\x00", b"\x88")):
        book = talk(HttpConfig(frames=Frames.READ))
        book.client(UPGRADE + b"\r\n")
        asked = len(book.to_server)
        book.server(UPGRADED + b"\r\n" + frame)
        assert book.to_client.partition(b"\r\n\r\n")[2].startswith(heard)
        assert (book.to_server[asked:][:1] == b"\x88") == (heard == b"\x88")


def test_nobody_is_told_twice() -> None:
    """Who has had a close frame gets no other."""
    book, to_client, to_server = opened()
    book.client(masked(0x88, b"\x03\xe8"))
    told = len(book.to_server)
    book.server(b"\x83\x00")
    assert book.to_client[to_client:][:1] == b"\x88"
    assert (len(book.to_server), book.closed) == (told, True)
    book, to_client, to_server = opened()
    book.server(b"\x88\x02\x03\xe8")
    told = len(book.to_client)
    book.client(b"\x83\x00")
    assert book.to_server[to_server:][:1] == b"\x88"
    assert (len(book.to_client), book.closed) == (told, True)


def test_a_closing_handshake_ends_it() -> None:
    """Both close frames pass, then the flow is over; a second close frame that never comes has a deadline."""
    book, to_client, _ = opened()
    book.client(masked(0x88, b"\x03\xe8"))
    assert not book.closed
    book.server(b"\x88\x02\x03\xe8")
    assert book.to_client[to_client:] == b"\x88\x02\x03\xe8"
    assert (book.closed, book.error) == (True, None)
    book, to_client, _ = opened()
    book.client(masked(0x88, b"\x03\xe8"))
    book.wait(11)
    assert book.reasons == ["too_slow"]


def test_a_client_that_says_close_and_hangs_up() -> None:
    """The server's last word still reaches it: its end is that of one direction only."""
    book, to_client, _ = opened()
    book.client(masked(0x88, b"\x03\xe8"))
    book.end(Side.CLIENT)
    assert not book.closed
    book.server(b"\x88\x02\x03\xe8")
    assert book.to_client[to_client:] == b"\x88\x02\x03\xe8"
    assert book.closed


@pytest.mark.parametrize("side", Side)
def test_an_end_without_a_close_frame_ends_it(side: Side) -> None:
    """It is the end for both."""
    book, _, _ = opened()
    book.end(side)
    assert book.closed

"""A server that misbehaves, each path in its own way, in the handshake or behind it.

python -m tests.peers.ws.rogue_server PORT
"""

from __future__ import annotations

import base64
import hashlib
import re
import socketserver
import sys
import time
from contextlib import suppress

from tests.peers.namespaces import SERVER

from .frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

HELLO = frame(TEXT, b"hi", mask=None)
BYE = frame(CLOSE, b"\x03\xe8", mask=None)
AGREED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPTED = "Sec-WebSocket-Accept: {accept}\r\n"
USUAL = f"{AGREED}{ACCEPTED}\r\n"


def plain(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as servers send them: not masked."""
    return frame(opcode, payload, fin, rsv, mask=None)


# What is said behind an ordinary handshake; all but the first is wrong.
FRAMES = {
    "well": HELLO + BYE,
    "masked": frame(TEXT, b"hi") + BYE,
    "masked-close": HELLO + frame(CLOSE, b"\x03\xe8"),
    "rsv1": plain(TEXT, b"hi", rsv=4),
    "rsv2": plain(TEXT, b"hi", rsv=2),
    "rsv3": plain(TEXT, b"hi", rsv=1),
    "opcode3": plain(3, b"hi"),
    "opcode11": plain(11),
    "utf8": plain(TEXT, b"\xff"),
    "utf8-parted": plain(TEXT, b"\xe2", fin=False) + plain(CONTINUATION, b"\x28"),
    "ping-126": plain(PING, b"x" * 126),
    "ping-fragmented": plain(PING, b"x", fin=False),
    "continuation": plain(CONTINUATION, b"x"),
    "text-in-text": plain(TEXT, b"a", fin=False) + plain(TEXT, b"b"),
    "close-1005": plain(CLOSE, b"\x03\xed"),
    "close-0": plain(CLOSE, b"\0\0"),
    "close-byte": plain(CLOSE, b"\x03"),
    "close-utf8": plain(CLOSE, b"\x03\xe8\xff"),
    "length-encoding": frame(TEXT, b"hi", mask=None, width=8) + BYE,
    "length-bit": frame(BINARY, b"hi", mask=None, width=8, announced=1 << 63),
    "half-a-frame": HELLO[:3],
    "nothing": b"",
}
# Answers to the handshake that are wrong or unusual; HELLO and BYE follow.
HEADS = {
    "accept-wrong": f"{AGREED}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    "accept-missing": f"{AGREED}\r\n",
    "accept-twice": f"{AGREED}{ACCEPTED}{ACCEPTED}\r\n",
    "upgrade-missing": f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{ACCEPTED}\r\n",
    "upgrade-h2c": f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n{ACCEPTED}\r\n",
    "connection-missing": f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{ACCEPTED}\r\n",
    "protocol-other": f"{AGREED}{ACCEPTED}Sec-WebSocket-Protocol: other\r\n\r\n",
    "protocol-unasked": f"{AGREED}{ACCEPTED}Sec-WebSocket-Protocol: lab.v1\r\n\r\n",
    "extension-other": f"{AGREED}{ACCEPTED}Sec-WebSocket-Extensions: x-other\r\n\r\n",
    "deflate-parameter": f"{AGREED}{ACCEPTED}Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n\r\n",
    "deflate-window": f"{AGREED}{ACCEPTED}Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=20\r\n\r\n",
    "deflate-twice": f"{AGREED}{ACCEPTED}Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n\r\n",
    "http-1.0": USUAL.replace("HTTP/1.1", "HTTP/1.0"),
    "no-reason": USUAL.replace(" Switching Protocols", ""),
    "line-feeds": USUAL.replace("\r\n", "\n"),
    "100-first": f"HTTP/1.1 100 Continue\r\n\r\n{USUAL}",
    "103-first": f"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n{USUAL}",
    "length": f"{AGREED}{ACCEPTED}Content-Length: 5\r\n\r\n",
    "chunked": f"{AGREED}{ACCEPTED}Transfer-Encoding: chunked\r\n\r\n",
    "header-1-MiB": f"{AGREED}{ACCEPTED}X-Long: {'x' * (1 << 20)}\r\n\r\n",
    "header-nonsense": f"{AGREED}{ACCEPTED}Nonsense\r\n\r\n",
    "status-200": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "status-200-upgrade": USUAL.replace("101 Switching Protocols", "200 OK"),
    "status-404": "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n",
    "status-401": 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 2\r\n\r\n',
    "status-500": "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n",
    "no-http": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "half": USUAL[:60],
    "end": "",
}
# Right, but cut into segments in odd ways: how many bytes go out at a time.
PIECES = {"glued": 1 << 20, "byte-by-byte": 1, "pieces-of-7": 7}
PATHS = (*FRAMES, *HEADS, *PIECES)
PAGE = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n<!doctype html><title>lab</title>\n    "


class Client(socketserver.BaseRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Read the request, answer as its path says, and let the client end."""
        request = b""
        while b"\r\n\r\n" not in request:
            if not (got := self.request.recv(65536)):
                return
            request += got
        path = request.split()[1].decode().removeprefix("/")
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
        digest = hashlib.sha1((key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest).decode()
        with suppress(OSError):
            self._answer(path, accept)

    def _answer(self, path: str, accept: str) -> None:
        usual = USUAL.format(accept=accept).encode()
        if path in PIECES:
            whole, size = usual + HELLO + BYE, PIECES[path]
            for at in range(0, len(whole), size):
                self.request.sendall(whole[at : at + size])
                time.sleep(0.001)
        elif path in FRAMES:
            self.request.sendall(usual)
            self.request.sendall(FRAMES[path])
        elif path in HEADS:
            head = HEADS[path].replace("{accept}", accept).encode()
            self.request.sendall(head)
            if path not in ("half", "end"):
                self.request.sendall(HELLO + BYE)
        else:
            self.request.sendall(PAGE.encode())
        self._end(wait=path not in ("half", "end", "nothing", "half-a-frame"))

    def _end(self, wait: bool) -> None:
        """Let the client end first where it may have something to say, for a while."""
        self.request.settimeout(1)
        with suppress(OSError):
            while wait and self.request.recv(65536):
                pass


class Server(socketserver.ThreadingTCPServer):
    """All clients, a thread each."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server((SERVER[4], int(sys.argv[1])), Client).serve_forever()

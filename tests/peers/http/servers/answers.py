"""What the lab's own HTTP servers share: requests are read whole, answers are bytes, each request leaves one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    """A request that was read whole. `port` is the server's own."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    port: int


class Answer(NamedTuple):
    """What the server says to it."""

    body: bytes = b""
    kind: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value: object, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(value).encode(), status=status, headers=headers)


class Handler(BaseHTTPRequestHandler):
    """One connection; every method goes to one function."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Request], Answer]
    # Whether a client that asks before it sends a body hears that it may.
    wants_bodies = True

    def handle_expect_100(self) -> bool:
        """Let the client go on, or answer it at once and end the connection, where the body will not be sent."""
        if self.wants_bodies:
            return super().handle_expect_100()
        del self.headers["Content-Length"]
        self.close_connection = True
        return True

    def handle_any(self) -> None:
        """Read a request, print it, answer it."""
        url = urlsplit(self.path)
        port: int = self.connection.getsockname()[1]
        request = Request(self.command, url.path, dict(parse_qsl(url.query)), self.read_body(), port)
        print(f"{port} {self.command} {self.path} {len(request.body)}", flush=True)
        answer = type(self).answer(request)
        self.send_response(answer.status)
        for name, value in (("Content-Type", answer.kind), *answer.headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the library looks for these names

    def read_body(self) -> bytes:
        """The body, whether its length is known before or it comes in chunks."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """The line of the request is enough."""


def serve(host: str, ports: dict[int, Callable[[Request], Answer]], without_bodies: tuple[int, ...] = ()) -> None:
    """Listen at each port until the process ends."""
    for port, answer in ports.items():
        members = {"answer": staticmethod(answer), "wants_bodies": port not in without_bodies}
        kind = type("Bound", (Handler,), members)
        server = ThreadingHTTPServer((host, port), kind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()

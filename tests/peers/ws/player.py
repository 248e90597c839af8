"""Plays a case over a socket of its own, and records the verdict."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from contextlib import suppress

from tests.peers.namespaces import Namespace

from .cases.case import FINISH, HOST, KEY, Case, verdict
from .frames import Deflater, Reader, close

PATIENCE = 3.0
ANSWER_PATIENCE = 2.0
LIMIT = 30.0
HEAD_END = b"\r\n\r\n"
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


class Player:
    """One connection that plays one case."""

    def __init__(self, case: Case, connection: socket.socket, host: str) -> None:
        self._case = case
        self._connection = connection
        self._opening = case.opening.replace(HOST, host).encode("latin-1")
        self._reader = Reader()
        self._over = False
        self._news = threading.Condition()
        self._deadline = time.monotonic() + LIMIT
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _receive(self) -> bytes | None:
        """What comes next: nothing at the end of the connection, None if there is silence."""
        if time.monotonic() > self._deadline:
            return None
        try:
            return self._connection.recv(1 << 18)
        except TimeoutError:
            return None
        except OSError:
            # Which of a reset and an ordinary end it is depends on what is under way at that moment.
            return b""

    def verdict(self) -> str:
        """Play, and tell what happened."""
        sender = threading.Thread(target=self._send, args=(self._opening,))
        sender.start()
        head = self._head()
        sender.join()
        if isinstance(head, str):
            return head
        status, headers, rest = head
        if status != "101":
            return f"http {status}"
        return verdict(*self._handshake(headers), *self._frames(headers, rest))

    def _head(self) -> str | tuple[str, dict[str, str], bytes]:
        """The server's answer to the handshake: status, headers and what is behind them, or how it failed to answer."""
        data = b""
        while HEAD_END not in data:
            if not (got := self._receive()):
                return "silence" if got is None else verdict(*(["half an answer"] if data else []), "end")
            data += got
        head, _, rest = data.partition(HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return first.split()[1], headers, rest

    def _handshake(self, headers: dict[str, str]) -> list[str]:
        """What of the handshake belongs to the verdict."""
        told = ["101"]
        if headers.get("sec-websocket-accept") != ACCEPT:
            told.append("wrong accept")
        if protocol := headers.get("sec-websocket-protocol"):
            told.append(f"protocol {protocol}")
        if extensions := headers.get("sec-websocket-extensions"):
            told.append(f"extensions {re.sub(r'; *', '; ', extensions)}")
        return [" ".join(told)]

    def _frames(self, headers: dict[str, str], rest: bytes) -> list[str]:
        """What comes behind the handshake, up to the end of the connection."""
        extensions = headers.get("sec-websocket-extensions", "")
        inflater = Deflater("server_no_context_takeover" not in extensions) if extensions else None
        self._reader = Reader(inflater)
        sender = threading.Thread(target=self._send_all)
        sender.start()
        answered = self._case.finish
        got: bytes | None = rest
        while got is not None:
            with self._news:
                self._reader.feed(got)
                self._news.notify()
            if self._reader.closed and not answered:
                answered = True
                self._send(close(1000))
            if not (got := self._receive()):
                break
        with self._news:
            self._over = True
            self._news.notify()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        sender.join()
        return [*self._reader.items, "silence" if got is None else "end"]

    def _send_all(self) -> None:
        for piece in self._case.sends:
            if isinstance(piece, bytes):
                self._send(piece)
            else:
                self._await(piece)
        if self._case.finish:
            self._send(FINISH)
        if self._case.half_close:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)

    def _await(self, answers: int) -> None:
        """Wait until so many answers are there, or no more will come."""
        with self._news:
            self._news.wait_for(lambda: self._over or len(self._reader.items) >= answers, ANSWER_PATIENCE)

    def _send(self, data: bytes) -> None:
        """The server may be gone before it has read all."""
        with suppress(OSError):
            self._connection.sendall(data)


def play(case: Case, namespace: Namespace, host: str, port: int) -> str:
    """Play a case from a namespace."""
    with namespace.connect(host, port) as connection:
        return Player(case, connection, f"{host}:{port}").verdict()

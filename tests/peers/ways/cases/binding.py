"""BIND by hand and by npm's `socks`: the server connects to the gateway, and nobody else may."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

from tests.peers.extras.stage import check, until
from tests.peers.install import CHECKOUT
from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER
from tests.peers.processes import Process
from tests.peers.ways import raw
from tests.peers.ways.install import MODULES, module
from tests.peers.ways.places import FORBIDDEN, SOCKS
from tests.peers.ways.stage import SOCKET_SECONDS, Case, Stage

from .datagrams import NODE_CLIENT
from .gaps import CONNECT_ONLY

SIZE = 256 * 1024
PORT = 20
GRANTED = {4: raw.GRANTED4, 5: 0}


def asked(connection: socket.socket, version: int, command: int, host: str, port: int) -> raw.Reply:
    """Make a request in either version."""
    if version == 4:
        return raw.ask4(connection, command, host, port)
    check(raw.greet(connection) == raw.NO_LOGIN, "the proxy should want no password")
    return raw.ask5(connection, command, host, port)


def bound(connection: socket.socket, version: int, family: int) -> tuple[str, int]:
    """Ask the gateway to listen for the server; return where it does."""
    first = asked(connection, version, raw.BIND, SERVER[family], PORT)
    check(first.code == GRANTED[version], f"the proxy refuses with {first.code}")
    check(first.port >= 1024, f"the proxy listens at port {first.port}")
    unnamed = first.host in ("0.0.0.0", "::")
    return GATEWAY_OUTSIDE[family] if unnamed else first.host, first.port


def second(connection: socket.socket, version: int) -> raw.Reply:
    """The answer that tells who connected."""
    return raw.reply4(connection) if version == 4 else raw.reply5(connection)


def exchange(one: socket.socket, other: socket.socket) -> None:
    """As many bytes each way at once; both must come."""
    for sender, receiver, byte in ((one, other, b"a"), (other, one, b"b")):
        thread = threading.Thread(target=sender.sendall, args=(byte * SIZE,))
        thread.start()
        data = raw.read(receiver, SIZE)
        thread.join()
        check(data == byte * SIZE, "other bytes came")


def joins(stage: Stage, version: int, family: int = 4) -> None:
    """The server connects; the second answer names it, and bytes flow both ways until either ends."""
    with stage.connection() as connection:
        where = bound(connection, version, family)
        with stage.bench.lab.server.connect(*where) as server:
            reply = second(connection, version)
            check(reply.code == GRANTED[version], f"the second answer is {reply.code}")
            source = server.getsockname()[:2]
            check(
                (reply.host, reply.port) == source, f"the second answer names {reply.host}:{reply.port}, not {source}"
            )
            exchange(connection, server)
            server.shutdown(socket.SHUT_WR)
            check(raw.at_end(connection), "the client should see the server's end")


def third_party(stage: Stage) -> None:
    """Who is not the server that the client named gets nothing, and neither does the client of it."""
    with stage.connection() as connection:
        where = bound(connection, 5, 4)
        with stage.bench.lab.server.entered():
            other = socket.socket()
        with other:
            other.settimeout(SOCKET_SECONDS)
            other.bind((FORBIDDEN, 0))
            try:
                other.connect(where)
                other.sendall(b"not yours")
                check(raw.at_end(other), "the third party should be turned away")
            except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError):
                pass
        connection.settimeout(0.5)
        try:
            reply = raw.reply5(connection)
        except (TimeoutError, EOFError, ConnectionResetError):
            return
        check(reply.code != 0, f"the client was joined with {reply.host}")


def unused(stage: Stage) -> None:
    """The gateway listens no longer than the connection that asked for it."""
    with stage.connection() as connection:
        host, port = bound(connection, 5, 4)
    until(lambda: stage.bench.lab.server.knock(host, port) is not None, "the gateway still listens")


def npm_socks(stage: Stage) -> None:
    """npm's `socks` tells where it was bound, then sends back what comes from there."""
    where = (GATEWAY_INSIDE[4], str(stage.way.port), SERVER[4], str(PORT))
    path = f"NODE_PATH={module(MODULES, 'socks')}"
    command = stage.bench.lab.client.command("env", path, "node", NODE_CLIENT, "bind", *where)
    with Process(command, "npm socks", cwd=CHECKOUT) as client:
        try:
            client.wait_for_lines("^(bound|failed): ", 1, SOCKET_SECONDS)
            match = re.search(r"bound: (.*):(\d+)", client.tail())
            check(match is not None, f"the client says {client.tail()}")
            assert match is not None
            host = GATEWAY_OUTSIDE[4] if match[1] == "0.0.0.0" else match[1]
            with stage.bench.lab.server.connect(host, int(match[2])) as server:
                server.sendall(b"npm" * 1000)
                check(raw.read(server, 3000) == b"npm" * 1000, "other bytes came back")
            client.wait_for_lines(f"^joined: {SERVER[4]}:", 1, SOCKET_SECONDS)
        finally:
            stage.note("\n".join(client.lines))


def cases() -> Iterator[Case]:
    """Both versions and families, and who is turned away."""

    def case(name: str, play: Callable[[Stage], None]) -> Case:
        return Case(f"bind, {name}", SOCKS, play, CONNECT_ONLY)

    yield case("SOCKS4", partial(joins, version=4))
    yield case("SOCKS5", partial(joins, version=5))
    yield case("SOCKS5, IPv6", partial(joins, version=5, family=6))
    yield case("npm socks", npm_socks)
    yield case("a third party is turned away", third_party)
    yield case("nothing listens afterwards", unused)

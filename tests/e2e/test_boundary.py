"""The boundary with real addresses, in network namespaces: a canary that nobody may be led to, and thieves of data
connections. C is the client, A an attacker beside it, S the server (also the evil one), K the canary."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alg.core.model import Endpoint
from tests.daemons import Daemon
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Lab, Namespace
from tests.relay.rig import endpoint_in

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and the command `ip`"
)

C, S, INSIDE, OUTSIDE = CLIENT[4], SERVER[4], GATEWAY_INSIDE[4], GATEWAY_OUTSIDE[4]
A, A_OUTSIDE, K = "10.77.1.3", "10.77.2.3", "10.77.2.9"
QUIET = 0.2
"""Seconds that a canary is watched after the gateway has answered what was asked of it."""
BLOB = os.urandom(1 << 20)


@dataclass
class World:
    """The lab with the gateway in it, the server's socket, and the canaries."""

    lab: Lab
    gateway: Daemon
    server: socket.socket
    canaries: list[socket.socket]
    open: list[socket.socket] = field(default_factory=list)

    def listeners(self) -> set[str]:
        """All TCP sockets that listen in the gateway's namespace."""
        lines = Path(f"/proc/{self.gateway.pid}/net/tcp").read_text().splitlines()[1:]
        return {line.split()[1] for line in lines if line.split()[3] == "0A"}

    def session(self, strict: bool = False) -> Session:
        """An FTP session of C with S."""
        at = self.gateway.listens[1 if strict else 0]
        client = self.connect(self.lab.client, at, C)
        server, _ = self.server.accept()
        server.settimeout(5)
        self.open += [client, server]
        server.sendall(b"220 hello\r\n")
        session = Session(self, client, server)
        assert session.client_line() == b"220 hello\r\n"
        return session

    def connect(self, where: Namespace, to: Endpoint, source: str) -> socket.socket:
        """Connect in a namespace from one of its addresses."""
        with where.entered():
            sock = socket.create_connection((str(to.address), to.port), 5, (source, 0))
        self.open.append(sock)
        return sock

    def quiet(self) -> bool:
        """NOCONN: no canary was called, and none is within a while."""
        return not select.select(self.canaries, [], [], QUIET)[0]

    def turned_away(self, where: Namespace, to: Endpoint, source: str) -> bool:
        """Whether somebody who connects there gets a reset, and not one byte."""
        try:
            self.connect(where, to, source).recv(100)
        except ConnectionResetError:
            return True
        return False


@dataclass
class Session:
    """Both ends of a control connection."""

    world: World
    client: socket.socket
    server: socket.socket

    def client_line(self) -> bytes:
        """What the client gets next."""
        return line_of(self.client)

    def refused(self, command: bytes) -> bytes:
        """The client says something that must not go up; return the answer. Nothing comes up but the NOOP behind it."""
        self.client.sendall(command + b"\r\n")
        answer = self.client_line()
        assert self.say(b"NOOP", b"200 usable") == b"200 usable\r\n"
        return answer

    def say(self, command: bytes, reply: bytes) -> bytes:
        """The client says something, the server answers; return what the client gets."""
        self.client.sendall(command + b"\r\n")
        assert line_of(self.server) == command + b"\r\n"
        self.server.sendall(reply + b"\r\n")
        return self.client_line()


def line_of(sock: socket.socket) -> bytes:
    """One line."""
    line = b""
    while not line.endswith(b"\n"):
        piece = sock.recv(1)
        assert piece, line
        line += piece
    return line


def numbers(address: str, port: int) -> bytes:
    """h1,h2,h3,h4,p1,p2."""
    return b"%s,%d,%d" % (address.replace(".", ",").encode(), *divmod(port, 256))


@pytest.fixture(scope="module")
def lab_and_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Daemon, socket.socket]]:
    """The namespaces, and a gateway with two routes: one by default, one that refuses foreign addresses."""
    with Lab(forwarding=False, server_etc={}) as lab:
        lab.client.ip("address", "add", f"{A}/24", "dev", "eth0")
        for address in (A_OUTSIDE, K):
            lab.server.ip("address", "add", f"{address}/24", "dev", "eth0")
        with lab.server.listen(S) as server:
            server.settimeout(5)
            upstream = f"ftp://{S}:{server.getsockname()[1]}@{INSIDE}:0"
            config = tmp_path_factory.mktemp("boundary") / "alg.toml"
            config.write_text(
                f'[routes.usual]\nroute = "{upstream}"\n'
                f'[routes.strict]\nroute = "{upstream}"\noptions = {{ foreign_passive = "refuse" }}\n'
            )
            prefix = lab.gateway.command()
            with Daemon("--log-format", "json", "-c", str(config), prefix=prefix, ready=2) as gateway:
                yield lab, gateway, server
            assert gateway.exit_code() == 0
            assert not any("Traceback" in line for line in gateway.lines)


@pytest.fixture
def world(lab_and_gateway: tuple[Lab, Daemon, socket.socket]) -> Iterator[World]:
    """With canaries at K, and at the gateway itself: on loopback and at both of its addresses."""
    lab, gateway, server = lab_and_gateway
    canaries = [lab.server.listen(K), *(lab.gateway.listen(host) for host in ("127.0.0.1", INSIDE, OUTSIDE))]
    made = World(lab, gateway, server, canaries)
    yield made
    for sock in made.open + canaries:
        sock.close()


def test_client_cannot_name_a_third_party(world: World) -> None:
    """T01: PORT and EPRT to another host: 5xx, nothing goes up, nobody is called, nothing is opened, the session lives."""
    session, before = world.session(), len(world.gateway.records("third_party_address"))
    listeners = world.listeners()
    port = world.canaries[0].getsockname()[1]
    for command in (
        b"PORT " + numbers(K, port),
        b"EPRT |1|%s|%d|" % (K.encode(), port),
        b"PORT " + numbers(K, 25),
        b"PORT " + numbers(A, 4000),
        b"PORT " + numbers(S, 4000),
    ):
        assert session.refused(command).startswith(b"5"), command
    assert world.listeners() == listeners
    assert world.quiet()
    records = world.gateway.records("third_party_address")[before:]
    assert len(records) == 5
    assert {record["session"] for record in records} == {records[0]["session"]}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "0.0.0.0", INSIDE, OUTSIDE])
def test_client_cannot_name_the_gateway(world: World, address: str) -> None:
    """T03: nor this host, in any of its addresses: neither its control port nor whatever else listens there."""
    session, listeners = world.session(), world.listeners()
    for port in (world.gateway.at.port, *(canary.getsockname()[1] for canary in world.canaries)):
        assert session.refused(b"PORT " + numbers(address, port)).startswith(b"5")
        assert session.refused(b"EPRT |1|%s|%d|" % (address.encode(), port)).startswith(b"5")
    assert world.listeners() == listeners
    assert world.quiet()


@pytest.mark.parametrize(
    "spelling", ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::", "::1"]
)
def test_client_cannot_name_the_gateway_in_ipv6(world: World, spelling: str) -> None:
    """T03: nor in a spelling that hides it."""
    session = world.session()
    for port in (world.gateway.at.port, world.canaries[1].getsockname()[1]):
        assert session.refused(b"EPRT |2|%s|%d|" % (spelling.encode(), port)).startswith(b"5")
    assert world.quiet()


@pytest.mark.parametrize("address", [K, "127.0.0.1", "0.0.0.0", INSIDE, OUTSIDE, C])
def test_server_that_names_somebody_else_is_called_itself(world: World, address: str) -> None:
    """T06: by default an evil 227 leads to the evil server itself: the gateway dials nobody but the server."""
    session = world.session()
    port = world.canaries[0].getsockname()[1]
    with world.lab.server.listen(S, port) as data:
        data.settimeout(5)
        told = endpoint_in(session.say(b"PASV", b"227 Entering Passive Mode (%s)." % numbers(address, port)))
        assert str(told.address) == INSIDE
        client = world.connect(world.lab.client, told, C)
        server, _ = data.accept()
        world.open.append(server)
        server.sendall(b"from the server itself")
        assert client.recv(100) == b"from the server itself"
    assert world.quiet()


@pytest.mark.parametrize("address", [K, "127.0.0.1", INSIDE, OUTSIDE, C])
def test_server_that_names_somebody_else_is_refused_where_asked_for(world: World, address: str) -> None:
    """T06: with `foreign_passive = "refuse"` the client gets 425, nothing is opened, nobody is called."""
    session, listeners = world.session(strict=True), world.listeners()
    told = session.say(b"PASV", b"227 Entering Passive Mode (%s)." % numbers(address, 4000))
    assert told.startswith(b"425 ")
    assert world.listeners() == listeners
    assert session.say(b"NOOP", b"200 ok") == b"200 ok\r\n"
    assert world.quiet()


def test_passive_data_connection_cannot_be_stolen(world: World) -> None:
    """T16: A dials the leased port before C: reset and no byte; C then gets everything."""
    session, before = world.session(), len(world.gateway.records("wrong_peer"))
    with world.lab.server.listen(S) as data:
        data.settimeout(5)
        told = endpoint_in(session.say(b"PASV", b"227 (%s)" % numbers(S, data.getsockname()[1])))
        assert world.turned_away(world.lab.client, told, A)
        client = world.connect(world.lab.client, told, C)
        server, _ = data.accept()
        assert transferred(server, client) == hashlib.sha256(BLOB).hexdigest()
    records = world.gateway.records("wrong_peer")[before:]
    assert [str(record["peer"]).partition(":")[0] for record in records] == [A]
    assert world.quiet()


def test_active_data_connection_cannot_be_stolen(world: World) -> None:
    """T17: somebody beside the server dials the lease on the server's side: reset; the server then delivers everything."""
    session, before = world.session(), len(world.gateway.records("wrong_peer"))
    with world.lab.client.listen(C) as data:
        data.settimeout(5)
        session.client.sendall(b"PORT " + numbers(C, data.getsockname()[1]) + b"\r\n")
        told = endpoint_in(line_of(session.server))
        assert str(told.address) == OUTSIDE
        assert world.turned_away(world.lab.server, told, A_OUTSIDE)
        server = world.connect(world.lab.server, told, S)
        client, peer = data.accept()
        assert peer[0] == INSIDE
        assert transferred(server, client) == hashlib.sha256(BLOB).hexdigest()
    assert len(world.gateway.records("wrong_peer")) == before + 1


def transferred(source: socket.socket, sink: socket.socket) -> str:
    """Send a megabyte; return the SHA-256 of what comes out. Both sockets are closed."""
    digest = hashlib.sha256()
    with source, sink:
        at = 0
        while at < len(BLOB):
            at += source.send(BLOB[at : at + 65536])
            digest.update(sink.recv(1 << 20))
        source.shutdown(socket.SHUT_WR)
        while piece := sink.recv(1 << 20):
            digest.update(piece)
    return digest.hexdigest()

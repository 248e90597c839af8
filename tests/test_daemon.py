"""The daemon as a process: it says when it is ready, finishes what runs, and its exit code tells how it ended."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alg.core.model import Endpoint
from tests.daemons import Daemon

SIZE = 16 << 20
TERM = signal.SIGTERM


@contextmanager
def upstream() -> Iterator[socket.socket]:
    """A listening host."""
    with socket.create_server(("127.0.0.5", 0), backlog=2048) as server:
        server.settimeout(10)
        yield server


def route(server: socket.socket, scheme: str = "tcp") -> str:
    """The route to it, from a port that the system chooses."""
    host, port = server.getsockname()
    return f"{scheme}://{host}:{port}@127.0.0.1:0"


def connect(at: Endpoint) -> socket.socket:
    """A client."""
    return socket.create_connection((str(at.address), at.port), 10, ("127.0.0.2", 0))


def accept(server: socket.socket) -> socket.socket:
    """Its other end, at the host."""
    sock, _ = server.accept()
    sock.settimeout(10)
    return sock


def read_all(sock: socket.socket) -> bytes:
    """All that comes until the end."""
    pieces = []
    while piece := sock.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


def pour(sock: socket.socket, blob: bytes) -> None:
    """Send it, and then the end."""
    sock.sendall(blob)
    sock.shutdown(socket.SHUT_WR)


def test_sigterm_without_sessions_ends_at_once() -> None:
    """Nothing runs: exit code 0 at once, and the port is free again."""
    with upstream() as server, Daemon(route(server)) as daemon:
        daemon.send_signal(TERM)
        assert daemon.exit_code() == 0
        with pytest.raises(ConnectionRefusedError):
            connect(daemon.at)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_transfer_is_finished(number: signal.Signals) -> None:
    """F20: a transfer that runs when the signal comes is finished, complete; nobody new gets in; exit code 0."""
    blob = os.urandom(SIZE)
    with upstream() as server, Daemon(route(server)) as daemon:
        with connect(daemon.at) as client, accept(server) as far:
            sending = threading.Thread(target=pour, args=(far, blob))
            sending.start()
            head = client.recv(100)
            daemon.send_signal(number)
            wait_unlistened(daemon.at)
            got = head + read_all(client)
            sending.join()
            assert hashlib.sha256(got).digest() == hashlib.sha256(blob).digest()
        assert daemon.exit_code() == 0


def wait_unlistened(at: Endpoint) -> None:
    """Return when nobody listens there any more, by the kernel's table: to knock would begin sessions."""
    entry = f":{at.port:04X} 00000000:0000 0A "
    deadline = time.monotonic() + 5
    while entry in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline, f"somebody still listens at {at}"
    with pytest.raises(ConnectionRefusedError):
        connect(at)


def test_session_that_does_not_end_is_cut_off() -> None:
    """F20: at the end of the drain time what still runs is cut, with a record, and exit code 1 tells so."""
    with upstream() as server, Daemon("--drain", "0.3", route(server)) as daemon:
        with connect(daemon.at) as client, accept(server) as far:
            far.sendall(b"half")
            assert client.recv(10) == b"half"
            began = time.monotonic()
            daemon.send_signal(TERM)
            with pytest.raises(ConnectionResetError):
                client.recv(10)
            assert 0.25 < time.monotonic() - began < 3
        assert daemon.exit_code() == 1
        assert any(" stopped " in line and "the gateway stops" in line for line in daemon.lines)


def test_second_signal_ends_at_once() -> None:
    """F20: who asks twice does not want to wait; an FTP client still gets its last word; exit code 1."""
    with upstream() as server, Daemon("--drain", "60", route(server, "ftp")) as daemon:
        with connect(daemon.at) as client, accept(server) as far:
            far.sendall(b"220 hello\r\n")
            assert client.recv(100) == b"220 hello\r\n"
            daemon.send_signal(TERM)
            wait_unlistened(daemon.at)
            daemon.send_signal(TERM)
            assert read_all(client) == b"421 Service not available, closing control connection.\r\n"
        assert daemon.exit_code(3) == 1


def test_service_manager_is_told(tmp_path: Path) -> None:
    """systemd's protocol: READY=1 once it listens, STOPPING=1 when asked to stop; path or abstract name."""
    for name in (str(tmp_path / "notify"), f"@alg-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, upstream() as server:
            manager.bind("\0" + name[1:] if name.startswith("@") else name)
            manager.settimeout(10)
            with Daemon(route(server), env={"NOTIFY_SOCKET": name}) as daemon:
                assert manager.recv(100) == b"READY=1"
                daemon.send_signal(TERM)
                assert manager.recv(100) == b"STOPPING=1"
                assert daemon.exit_code() == 0


def test_missing_service_manager_does_no_harm(tmp_path: Path) -> None:
    """Nobody listens at NOTIFY_SOCKET, or it is no path: the daemon runs."""
    for name in (str(tmp_path / "none"), "nonsense"):
        with upstream() as server, Daemon(route(server), env={"NOTIFY_SOCKET": name}) as daemon:
            daemon.send_signal(TERM)
            assert daemon.exit_code() == 0


def test_killed_daemon_leaves_nothing_behind() -> None:
    """F24: after SIGKILL in the middle of a transfer the same port can be listened at again at once."""
    with upstream() as server:
        with Daemon(route(server)) as daemon, connect(daemon.at) as client, accept(server) as far:
            far.sendall(b"half")
            assert client.recv(10) == b"half"
            daemon.send_signal(signal.SIGKILL)
            assert daemon.exit_code() == -signal.SIGKILL
            at = daemon.at
        again = route(server).rpartition(":")[0] + f":{at.port}"
        with Daemon(again) as daemon, connect(daemon.at) as client, accept(server) as far:
            far.sendall(b"again")
            assert client.recv(10) == b"again"
            client.close()


def test_without_uvloop_it_runs_on_asyncio(tmp_path: Path) -> None:
    """The extra `speed` is an extra: where uvloop cannot be found, asyncio does."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'uvloop' else find(name, *rest)\n"
    )
    root = Path(__file__).parents[1]
    path = os.pathsep.join(map(str, (tmp_path, root, root / "plugins")))
    with upstream() as server, Daemon(route(server), env={"PYTHONPATH": path}) as daemon:
        assert "uvloop" not in Path(f"/proc/{daemon.pid}/maps").read_text()
        with connect(daemon.at) as client, accept(server) as far:
            client.sendall(b"hello")
            assert far.recv(10) == b"hello"
        daemon.send_signal(TERM)
        assert daemon.exit_code() == 0


def test_few_descriptors_are_shared_out() -> None:
    """T82: with 256 descriptors, of 200 clients as many are served as there is room for; the others get 421 soon."""
    few = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    with upstream() as server, Daemon("--log-format", "json", route(server, "ftp"), prefix=few) as daemon:
        clients, served, refused = [], 0, 0
        for _ in range(200):
            began = time.monotonic()
            client = connect(daemon.at)
            clients.append(client)
            if served < 56:
                far = accept(server)
                clients.append(far)
                far.sendall(b"220 hello\r\n")
            word = client.recv(100)
            served += word.startswith(b"220")
            refused += word == b"421 Too many connections; try again later.\r\n"
            assert time.monotonic() - began < 1.0
        assert (served, refused) == (56, 144)
        clients[0].sendall(b"NOOP\r\n")  # those inside are not affected
        assert clients[1].recv(100) == b"NOOP\r\n"
        assert daemon.descriptors() <= 256 - 64
        for sock in clients:
            sock.close()
        daemon.send_signal(TERM)
        assert daemon.exit_code() == 0
        assert 1 <= len(daemon.records("no_descriptors")) < 20
        assert not any("Traceback" in line for line in daemon.lines)

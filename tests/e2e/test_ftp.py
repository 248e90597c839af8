"""ftplib and pyftpdlib through the real daemon: all four modes, both ways, and what happens in the middle of a transfer."""

from __future__ import annotations

import ftplib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest

from tests.e2e.conftest import Site

CLIENT = "127.0.0.2"
SIZE = 16 << 20
HUGE = 1 << 30
"""As sparse file: far more than sockets and pipes hold, so a transfer of it stands still when nobody reads."""

PASV, EPSV, PORT, EPRT = "PASV", "EPSV", "PORT", "EPRT"
every_mode = pytest.mark.parametrize("mode", [PASV, EPSV, PORT, EPRT])


class Client(ftplib.FTP):
    """ftplib in one of the four modes; by itself it uses the extended commands on IPv6 only."""

    def __init__(self, mode: str) -> None:
        super().__init__(timeout=10, source_address=(CLIENT, 0), encoding="utf-8")
        self.mode = mode
        self.set_pasv(mode in (PASV, EPSV))

    def makepasv(self) -> tuple[str, int]:
        """Ask for an endpoint."""
        if self.mode != EPSV:
            return super().makepasv()
        assert self.sock
        host, port = ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        return host, port

    def sendport(self, host: str, port: int) -> str:
        """Announce one."""
        return str(self.sendeprt(host, port) if self.mode == EPRT else super().sendport(host, port))

    def raw(self) -> socket.socket:
        """The control connection's socket."""
        assert self.sock
        return self.sock


@pytest.fixture
def client(site: Site) -> Iterator[Callable[[str], Client]]:
    """Make logged-in clients; they are closed at the end, and the gateway then has no session left."""
    made: list[Client] = []

    def make(mode: str = PASV) -> Client:
        ftp = Client(mode)
        made.append(ftp)
        ftp.connect(str(site.gateway.at.address), site.gateway.at.port)
        ftp.login("demo", "secret")
        ftp.voidcmd("TYPE I")
        return ftp

    before = len(site.gateway.records("session_close"))
    yield make
    for ftp in made:
        ftp.close()
    site.gateway.wait_for('"reason": "session_close"', before + len(made))


def put_file(site: Site, name: str, size: int = SIZE) -> str:
    """Make a file at the server; return its SHA-256."""
    blob = os.urandom(size)
    (site.folder / name).write_bytes(blob)
    return hashlib.sha256(blob).hexdigest()


def put_huge(site: Site) -> None:
    """Make the file that nobody will fetch whole."""
    with (site.folder / "huge.bin").open("wb") as file:
        file.truncate(HUGE)


@every_mode
def test_download(site: Site, client: Callable[[str], Client], mode: str) -> None:
    """RETR: all bytes arrive, in every mode, and the counts in the record are right."""
    expected = put_file(site, "down.bin")
    digest = hashlib.sha256()
    before = len(site.gateway.records("flow_close"))
    ftp = client(mode)
    ftp.retrbinary("RETR down.bin", digest.update, blocksize=1 << 18)
    assert digest.hexdigest() == expected
    site.gateway.wait_for('"reason": "flow_close"', before + 1)
    record = site.gateway.records("flow_close")[-1]
    assert (record["bytes_up"], record["bytes_down"]) == (0, SIZE)
    assert ftp.quit().startswith("221")


@every_mode
def test_upload(site: Site, client: Callable[[str], Client], mode: str) -> None:
    """STOR: all bytes arrive, in every mode."""
    blob = os.urandom(SIZE)
    ftp = client(mode)
    ftp.storbinary(f"STOR up-{mode}.bin", BytesIO(blob), blocksize=1 << 18)
    assert (site.folder / f"up-{mode}.bin").read_bytes() == blob
    assert ftp.quit().startswith("221")


@every_mode
def test_listing(site: Site, client: Callable[[str], Client], mode: str) -> None:
    """NLST and LIST: many small data connections on one session."""
    put_file(site, "listed.bin", 10)
    ftp = client(mode)
    for _ in range(10):
        assert "listed.bin" in ftp.nlst()
        lines: list[str] = []
        ftp.dir(lines.append)
        assert any(line.endswith("listed.bin") for line in lines)


def test_resumed_download(site: Site, client: Callable[[str], Client]) -> None:
    """REST: the rest of a file fits the part that was there."""
    expected = put_file(site, "resumed.bin")
    got = BytesIO()
    ftp = client(PASV)
    with ftp.transfercmd("RETR resumed.bin") as data:
        while got.tell() < SIZE // 3:
            got.write(data.recv(65536))
    second = client(EPSV)
    second.retrbinary("RETR resumed.bin", got.write, rest=got.tell())
    assert hashlib.sha256(got.getvalue()).hexdigest() == expected


@every_mode
def test_abort_with_urgent_signals(site: Site, client: Callable[[str], Client], mode: str) -> None:
    """F35, T31: ABOR behind telnet's IP and DM, the latter urgent, ends a transfer; the session goes on."""
    put_huge(site)
    put_file(site, "after.bin", 1000)
    ftp = client(mode)
    with ftp.transfercmd("RETR huge.bin") as data:
        assert data.recv(100)
        ftp.raw().sendall(b"\xff\xf4\xff")
        ftp.raw().send(b"\xf2", socket.MSG_OOB)
        ftp.raw().sendall(b"ABOR\r\n")
        received = drain(data)
    assert received < HUGE
    assert ftp.getmultiline().startswith("426 ")
    assert ftp.getresp().startswith(("225 ", "226 "))
    got = BytesIO()
    ftp.retrbinary("RETR after.bin", got.write)
    assert len(got.getvalue()) == 1000


def drain(data: socket.socket) -> int:
    """Read to the end, orderly or not; return how much came."""
    count = 0
    try:
        while piece := data.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count


def test_status_during_a_transfer(site: Site, client: Callable[[str], Client]) -> None:
    """STAT is answered while data stands still, and the transfer is complete afterwards."""
    expected = put_file(site, "status.bin", 4 * SIZE)
    ftp = client(PASV)
    digest = hashlib.sha256()
    with ftp.transfercmd("RETR status.bin") as data:
        digest.update(data.recv(1000))
        ftp.putcmd("STAT")
        assert ftp.getmultiline().startswith("211-")
        while piece := data.recv(1 << 18):
            digest.update(piece)
    assert digest.hexdigest() == expected
    assert ftp.voidresp().startswith("226")


def test_quit_during_a_transfer(site: Site, client: Callable[[str], Client]) -> None:
    """QUIT while data is on its way: the transfer is completed by the server, or cut; nothing hangs, nothing is left."""
    put_file(site, "quit.bin", 4 * SIZE)
    ftp = client(EPSV)
    with ftp.transfercmd("RETR quit.bin") as data:
        assert data.recv(1000)
        ftp.putcmd("QUIT")
        assert drain(data) <= 4 * SIZE
    replies = []
    try:
        while True:
            replies.append(ftp.getmultiline())
    except (EOFError, OSError):
        pass
    assert any(reply.startswith(("226", "221")) for reply in replies), replies


def test_multi_line_replies(client: Callable[[str], Client]) -> None:
    """FEAT and HELP come with all their lines; FEAT does not offer what does not pass."""
    ftp = client(PASV)
    assert len(ftp.sendcmd("HELP").splitlines()) > 5
    features = ftp.sendcmd("FEAT").splitlines()
    assert features[0].startswith("211-")
    assert any(line.strip() == "EPSV" for line in features)
    assert not any("AUTH" in line for line in features)


def test_names_in_eight_bits(site: Site, client: Callable[[str], Client]) -> None:
    """T64: names outside of ASCII are bytes that pass unchanged, in commands and in listings."""
    ftp = client(PASV)
    for name in ("sm\xf6rg\xe5s 1.bin", "\u65e5\u672c\u8a9e", "\u0130\u202e.txt", "a'b\"c(1,2,3,4,5,6)"):
        ftp.storbinary(f"STOR {name}", BytesIO(name.encode()))
        assert (site.folder / name).read_text() == name
        assert name in ftp.nlst()
        got = BytesIO()
        ftp.retrbinary(f"RETR {name}", got.write)
        assert got.getvalue() == name.encode()
        ftp.delete(name)


def test_clients_that_vanish_in_the_middle(site: Site, client: Callable[[str], Client]) -> None:
    """T86: clients that close or reset data and control in the middle of a transfer leave no descriptor behind."""
    put_huge(site)
    client(PASV).quit()
    site.gateway.wait_for('"reason": "session_close"')
    baseline = site.gateway.descriptors()
    before = {reason: len(site.gateway.records(reason)) for reason in ("session_close", "flow_close")}
    # All at once: pyftpdlib was seen not to read a client that comes in the same moment as others vanish.
    transfers = []
    for number in range(20):
        ftp = client(PASV if number % 2 else EPRT)
        transfers.append((ftp, ftp.transfercmd("RETR huge.bin")))
    for number, (ftp, data) in enumerate(transfers):
        assert data.recv(100)
        if number % 4 < 2:
            for sock in (data, ftp.raw()):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        data.close()
        ftp.close()
    for reason, count in before.items():
        site.gateway.wait_for(f'"reason": "{reason}"', count + 20)
    assert site.gateway.descriptors() <= baseline + 40  # idle pipes, two descriptors each

"""Both ends of FTP with TLS, as small as can be: a server that answers by itself, and a client that transfers one file."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from alg.core.model import Endpoint
from tests import pki
from tests.relay.peers import CLIENT, SERVER, Host, Peer
from tests.relay.rig import Rig, endpoint_in, port_line
from tests.relay.tls_peer import TlsPeer

FILE = bytes(range(256)) * 1000


def eprt_line(endpoint: Endpoint) -> bytes:
    """The EPRT command for an endpoint."""
    return b"EPRT |1|%s|%d|\r\n" % (str(endpoint.address).encode(), endpoint.port)


@dataclass
class Server:
    """Serves FILE; what is stored is kept. It shakes hands where it was told PROT P."""

    control: Peer
    context: ssl.SSLContext
    demands_reuse: bool = False
    said: list[bytes] = field(default_factory=list)
    """All commands, without their line ends."""
    cuts: bool = False
    """Whether data connections end in the middle, without close_notify where they are TLS."""
    stored: bytes = b""
    resumed: list[bool] = field(default_factory=list)
    """Whether each data connection resumed a TLS session."""
    _protected: bool = False
    _passive: Host | None = None
    _active: Endpoint | None = None

    async def run(self) -> None:
        """Answer until the end."""
        with contextlib.suppress(ConnectionResetError):
            while line := await self.control.line():
                self.said.append(line.rstrip(b"\r\n"))
                await self._answer(line)
        if self._passive:
            self._passive.close()

    async def _answer(self, line: bytes) -> None:
        verb, _, argument = line.rstrip(b"\r\n").partition(b" ")
        if verb == b"AUTH":
            await self.control.send(b"234 go\r\n")
            self.control = await TlsPeer.serve(self.control, self.context)
            self._protected = False
        elif verb in (b"PASV", b"EPSV"):
            if self._passive:
                self._passive.close()
            self._passive, self._active = Host(SERVER), None
            port = self._passive.endpoint.port
            numbers = b"227 (127,0,0,5,%d,%d)\r\n" % divmod(port, 256)
            await self.control.send(numbers if verb == b"PASV" else b"229 (|||%d|)\r\n" % port)
        elif verb in (b"RETR", b"STOR"):
            await self._transfer(verb)
        else:
            if verb == b"PROT":
                self._protected = argument == b"P"
            elif verb in (b"PORT", b"EPRT"):
                self._active = endpoint_in(line) if verb == b"PORT" else Endpoint.parse(*argument.split(b"|")[2:4])
            await self.control.send(b"200 ok\r\n")

    async def _transfer(self, verb: bytes) -> None:
        await self.control.send(b"150 here it comes\r\n")
        data = await Peer.connect(self._active, SERVER) if self._active else await self._accept()
        if self._protected:
            data = tls = await TlsPeer.serve(data, self.context)
            self.resumed.append(bool(tls.tls.session_reused))
            if self.demands_reuse and not tls.tls.session_reused:
                data.close()
                await self.control.send(b"522 SSL connection failed: session reuse required\r\n")
                return
        with data:
            if self.cuts:
                await data.send(FILE[:1000])
                data.cut() if isinstance(data, TlsPeer) else data.reset()
                return
            if verb == b"STOR":
                self.stored = await data.rest()
            else:
                await data.send(FILE)
        await self.control.send(b"226 done\r\n")

    async def _accept(self) -> Peer:
        assert self._passive
        return await self._passive.accept()


@asynccontextmanager
async def ftps(
    rig: Rig,
    client: bool,
    server: bool,
    *,
    version: ssl.TLSVersion | None = None,
    context: ssl.SSLContext | None = None,
    demands_reuse: bool = False,
) -> AsyncIterator[tuple[Peer, Server]]:
    """A session through the relay, with TLS on the control connection where that is said; a client without, with an
    upstream that has it, is for routes that require it.
    """
    near, far = await rig.pair()
    running = Server(far, context or pki.server(version=version), demands_reuse)
    await far.send(b"220 hello\r\n")
    task = asyncio.ensure_future(running.run())
    assert await near.line() == b"220 hello\r\n"
    if client:
        await near.send(b"AUTH TLS\r\n")
        assert (await near.line()).startswith(b"234 ")
        near = await TlsPeer.cover(near, pki.client(version=version))
    try:
        yield near, running
    finally:
        near.close()
        await task
        running.control.close()
    assert isinstance(running.control, TlsPeer) is server


async def say(control: Peer, line: bytes) -> bytes:
    """Say a line; return the answer."""
    await control.send(line + b"\r\n")
    return await control.line()


async def protect(control: Peer, level: bytes) -> None:
    """PBSZ and PROT."""
    assert (await say(control, b"PBSZ 0")).startswith(b"200 ")
    assert (await say(control, b"PROT " + level)).startswith(b"200 ")


async def transfer(control: Peer, mode: str, verb: bytes, *, protected: bool) -> bytes:
    """Transfer FILE over a data connection of that mode; return what was received."""
    session = control.tls.session if isinstance(control, TlsPeer) else None
    context = control.tls.context if isinstance(control, TlsPeer) else None
    with Host(CLIENT) as host:
        if mode in ("PORT", "EPRT"):
            await control.send((port_line if mode == "PORT" else eprt_line)(host.endpoint))
            assert (await control.line()).startswith(b"200 ")
            await control.send(verb + b" file\r\n")
            data = await host.accept()
        else:
            told = await say(control, mode.encode("ascii"))
            assert told[:4] in (b"227 ", b"229 "), told
            address = control.sock.getpeername()[0]
            to = endpoint_in(told) if mode == "PASV" else Endpoint.parse(address, told.split(b"|")[3])
            data = await Peer.connect(to)
            await control.send(verb + b" file\r\n")
        if protected:
            data = await TlsPeer.cover(data, context, session=session)
        with data:
            if verb == b"STOR":
                await data.send(FILE)
                data.fin()
            got = await data.rest()
    assert await control.line() == b"150 here it comes\r\n"
    assert await control.line() == b"226 done\r\n"
    return got

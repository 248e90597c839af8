"""What tests of TLS in the relay share: routes with good certificates, and a look at what passed in the clear."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from alg.core.model import TlsPolicy
from alg.core.plugin import StreamPlugin
from alg.settings import ClientTls, ServerTls, Times
from tests import pki
from tests.relay.peers import Peer
from tests.relay.rig import Rig, relaying
from tests.relay.tls_peer import TlsPeer
from tests.relay.toys import ToyPlugin

VERSIONS = pytest.mark.parametrize("version", [pki.V12, pki.V13], ids=["1.2", "1.3"])


def client_tls(*, implicit: bool = False, resumption: bool = False) -> ClientTls:
    """Toward clients: a good certificate."""
    return ClientTls(
        TlsPolicy.REQUIRE if implicit else TlsPolicy.CLIENT,
        implicit,
        certificate=pki.file(pki.good()),
        resumption=resumption,
    )


def server_tls(*, implicit: bool = False, policy: TlsPolicy = TlsPolicy.CLIENT) -> ServerTls:
    """Toward the server: our CA is trusted."""
    return ServerTls(policy, implicit, ca=pki.ca_file())


@asynccontextmanager
async def covering(
    client: bool,
    server: bool,
    plugin: type[StreamPlugin[object]] | None = None,
    *,
    times: Times | None = None,
    receive_buffer: int = 0,
    tls: ServerTls | None = None,
    asked: ClientTls | None = None,
) -> AsyncIterator[Rig]:
    """A relay whose legs are TLS from the first byte, where that is said."""
    async with relaying(
        plugin,
        times=times,
        receive_buffer=receive_buffer,
        client_tls=asked or (client_tls(implicit=True) if client else ClientTls()),
        server_tls=replace(tls or server_tls(), implicit=server),
    ) as rig:
        yield rig


async def pair(rig: Rig, client: bool, server: bool, version: ssl.TLSVersion | None = None) -> tuple[Peer, Peer]:
    """Connect a client through the relay, with TLS where that is said; return both ends."""
    near = await Peer.connect(rig.at)
    far = await rig.host.accept()
    if server:
        far = await TlsPeer.serve(far, pki.server(version=version))
    if client:
        near = await TlsPeer.cover(near, pki.client(version=version))
    return near, far


@asynccontextmanager
async def asking(*, client: bool = True, server: bool = True, times: Times | None = None) -> AsyncIterator[Rig]:
    """A relay with the toy plugin: TLS begins when the client says so."""
    async with relaying(
        ToyPlugin, times=times, client_tls=client_tls() if client else ClientTls(), server_tls=server_tls()
    ) as rig:
        yield rig


async def secure_server(near: Peer, far: Peer, context: ssl.SSLContext | None = None) -> TlsPeer:
    """Have the toy plugin begin TLS toward the server."""
    await near.send(b"tls server\n")
    covered = await TlsPeer.serve(far, context)
    assert await near.line() == b"done\n"
    return covered


async def secure_client(near: Peer, context: ssl.SSLContext | None = None) -> TlsPeer:
    """Have the toy plugin begin TLS toward the client."""
    await near.send(b"tls client\n")
    assert await near.line() == b"go ahead\n"
    covered = await TlsPeer.cover(near, context)
    assert await covered.line() == b"done\n"
    return covered

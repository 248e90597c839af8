"""TLS through mitmproxy, between the peers of the relay's own tests: its CA is theirs, and so is the server's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from alg.core.model import Endpoint
from tests import pki
from tests.mitm.rig import Mitm, proxying
from tests.relay.peers import SERVER, Host, Peer


@dataclass
class TlsMitm:
    """A mitmproxy before a server that the test plays."""

    mitm: Mitm
    host: Host

    @property
    def at(self) -> Endpoint:
        """Where clients connect."""
        return Endpoint.parse("127.0.0.1", self.mitm.ports[0])

    async def pair(self) -> tuple[Peer, Peer]:
        """A client of a reverse proxy, and the server's end."""
        client = await Peer.connect(self.at)
        return client, await self.host.accept()


@contextlib.asynccontextmanager
async def covering(
    tmp_path: Path, *modes: str, options: Mapping[str, object] | None = None, config: str = ""
) -> AsyncIterator[TlsMitm]:
    """A mitmproxy (default: a reverse proxy to the server) whose certificates clients trust; it trusts the server's."""
    tmp_path.joinpath("mitmproxy-ca.pem").write_bytes(pki.ca().both)
    tmp_path.joinpath("alg.toml").write_text(config)
    with Host(SERVER) as host:
        port = host.endpoint.port
        trust = {"ssl_verify_upstream_trusted_ca": str(pki.ca_file()), "alg_config": str(tmp_path / "alg.toml")}
        async with proxying(
            *(modes or (f"reverse:tcp://{SERVER}:{port}@127.0.0.1:0",)),
            server_port=port,
            folder=str(tmp_path),
            options={**trust, **(options or {})},
        ) as mitm:
            yield TlsMitm(mitm, host)

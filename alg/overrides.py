"""`Overrides`: what the command line says; it stands above the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alg.core.addresses import Address, Network
from alg.core.model import PortRange
from alg.settings import LogFormat, LogLevel


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says; it stands above the file."""

    routes: tuple[str, ...] = ()
    ports: PortRange | None = None
    advertise_client: Address | None = None
    advertise_server: Address | None = None
    drain: float | None = None
    log_format: LogFormat | None = None
    log_level: LogLevel | None = None
    tls: str | None = None
    """`mint`, a certificate file, `pass` or `never`."""
    upstream_tls: str | None = None
    upstream_ca: Path | None = None
    upstream_insecure: bool = False
    allow_upstream: tuple[str, ...] = ()
    proxy_protocol: str | None = None
    accept_proxy_protocol: tuple[Network, ...] = ()
    plugins: tuple[str, ...] = ()
    """`PORT[-PORT]=SCHEME`."""
    proxy_auth: str | None = None
    """`USER:PASSWORD`, or `@FILE`."""
    allow_client: tuple[Network, ...] = ()
    keep_client_address: bool = False
    via: str | None = None
    profiles: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """`KEY=VALUE` of the plugin's table; VALUE as in TOML, or plain text."""
    targets_server: tuple[Network, ...] = ()
    xferlog: Path | None = None

"""The tables of a configuration file, as they stand there: their keys, types and defaults. What becomes of them is in
`alg.config`.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from alg.core.addresses import Address, Network, parse_address
from alg.core.errors import ConfigError, ProtocolError
from alg.core.model import PortRange
from alg.routes import parse_allowed, parse_pin, parse_ports, parse_proxy
from alg.settings import AllowedUpstream, LogFormat, LogLevel, Proxy


def _from_text(parse: Callable[[str], object]) -> PlainValidator:
    """A validator that takes text only, and says what is wrong with it."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {type(value).__name__}")  # noqa: TRY004 - pydantic collects ValueErrors
        try:
            return parse(value)
        except (ProtocolError, ConfigError) as error:
            raise ValueError(str(error)) from None

    return PlainValidator(validate)


_Address = Annotated[Address, _from_text(parse_address)]
_Network = Annotated[Network, _from_text(ip_network)]
_Ports = Annotated[PortRange, _from_text(parse_ports)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]
_Allowed = Annotated[AllowedUpstream, _from_text(parse_allowed)]
_Proxy = Annotated[Proxy, _from_text(parse_proxy)]
_Pin = Annotated[str, _from_text(parse_pin)]


class Table(BaseModel):
    """A table that knows its keys and their types, and takes no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class SideTable(Table):
    """What `[routes.NAME.client]` and `.server` have in common."""

    bind: _Address | None = None
    advertise: _Address | None = None
    ports: _Ports | None = None
    targets: tuple[_Network, ...] = ()
    min_port: Annotated[int, Field(ge=0, le=65535)] = 1024


class ClientTlsTable(Table):
    """`tls` of `[routes.NAME.client]`; see `alg.settings.ClientTls`."""

    certificate: str | None = None
    key: str | None = None
    policy: Literal["client", "require", "never", "pass"] | None = None
    implicit: bool | None = None
    names: tuple[str, ...] = ()
    resumption: bool = False


class ServerTlsTable(Table):
    """`tls` of `[routes.NAME.server]`; see `alg.settings.ServerTls`."""

    policy: Literal["client", "require", "never"] | None = None
    implicit: bool | None = None
    verify: bool | None = None
    ca: str | None = None
    pin: tuple[_Pin, ...] = ()
    name: str | None = None
    certificate: str | None = None
    key: str | None = None
    resume: bool = True


def client_tls_table(value: object) -> object:
    """`tls = "mint"`, `"CERT.pem"`, `"pass"`, `"never"`: the short forms of the table."""
    if isinstance(value, str):
        return {"policy": value} if value in ("pass", "never") else {"certificate": value}
    return _with_tuples(value)


def server_tls_table(value: object) -> object:
    """`tls = "client"`, `"require"`, `"never"`: the short forms of the table."""
    return {"policy": value} if isinstance(value, str) else _with_tuples(value)


def _with_tuples(table: object) -> object:
    """A table as pydantic wants it once it has been through a function: strict no longer takes a list for a tuple."""
    if not isinstance(table, dict):
        return table
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


class ClientTable(SideTable):
    """`[routes.NAME.client]`."""

    tls: Annotated[ClientTlsTable, BeforeValidator(client_tls_table)] = ClientTlsTable()
    proxy_protocol: tuple[_Network, ...] = ()


class ServerTable(SideTable):
    """`[routes.NAME.server]`."""

    tls: Annotated[ServerTlsTable, BeforeValidator(server_tls_table)] = ServerTlsTable()
    proxy_protocol: Literal["v1", "v2"] | None = None
    via: _Proxy | None = None


class RouteTable(Table):
    """`[routes.NAME]`."""

    route: str
    upstreams: tuple[_Allowed, ...] = ()
    plugins: dict[str, str | list[str]] = Field(default_factory=dict)
    users: dict[str, str] = Field(default_factory=dict)
    clients: tuple[_Network, ...] = ()
    keep_client_address: bool = False
    idle: _Seconds | None = None
    client: ClientTable = ClientTable()
    server: ServerTable = ServerTable()
    options: dict[str, object] = Field(default_factory=dict)


class TimesTable(Table):
    """`[times]`, in seconds; see `alg.settings.Times`."""

    connect: _Seconds = 10.0
    handshake: _Seconds = 30.0
    idle: _Seconds = 900.0
    resolve: _Seconds = 30.0


class LimitsTable(Table):
    """`[limits]`; see `alg.settings.Limits`."""

    sessions: _Count = 100_000
    sessions_per_client: _Count = 10_000
    flows_per_session: _Count = 64
    records_per_session: _Count = 100
    datagram_flows: _Count = 8192
    datagram_flows_per_client: _Count = 1024
    leases: _Count = 4096
    leases_per_client: _Count = 256
    leases_per_session: _Count = 16
    shared_listeners: _Count = 256


class FileTable(Table):
    """The whole file."""

    ports: _Ports | None = None
    advertise_client: _Address | None = None
    advertise_server: _Address | None = None
    drain: _Seconds | None = None
    log_format: LogFormat | None = None
    log_level: LogLevel | None = None
    xferlog: str | None = None
    times: TimesTable = TimesTable()
    limits: LimitsTable = LimitsTable()
    routes: dict[str, RouteTable] = Field(default_factory=dict)

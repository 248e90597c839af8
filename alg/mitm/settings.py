"""What the options under `alg_` say, as values: which plugin treats which connection, and under which rules."""

from __future__ import annotations

import enum
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationError

from alg.core.addresses import Address, parse_address
from alg.core.errors import ConfigError, PluginError, ProtocolError
from alg.core.machines import make_plugin
from alg.core.model import PortRange, Realm, Side, TlsPolicy
from alg.core.plugin import Need, StreamPlugin
from alg.core.policy import TargetRules
from alg.plugin_config import explain_errors, plugin_config
from alg.registry import Registry
from alg.routes import parse_ports
from alg.settings import Limits, Times
from alg.tables import SideTable, Table

_NO_SHARING = "HTTP goes through mitmproxy's own hooks: use --mode reverse:http://HOST:PORT"
"""What to do instead of sharing listeners between sessions."""


class Policy(enum.Enum):
    """What becomes of a passive reply, whose listener the client reaches through us anyway or not."""

    AUTO = "auto"
    """Rewritten in reverse mode; left as it is in all others, where the coming connection is claimed."""
    REWRITE = "rewrite"
    OBSERVE = "observe"


class ClientTable(SideTable):
    """`[NAME.client]`."""

    tls: Literal["client", "require", "never", "pass"] = "client"


class ServerTable(SideTable):
    """`[NAME.server]`."""

    tls: Literal["client", "require", "never"] = "client"


class PluginTable(Table):
    """`[NAME]`, by the name of a plugin."""

    client: ClientTable = ClientTable()
    server: ServerTable = ServerTable()
    options: dict[str, object] = Field(default_factory=dict)


class FileTable(Table):
    """The file that `alg_config` names: a table for each plugin."""

    plugins: Annotated[dict[str, PluginTable], Field(default_factory=dict)]


@dataclass(frozen=True, slots=True)
class Treatment:
    """How the connections of one plugin are treated."""

    plugin: type[StreamPlugin[object]]
    config: object
    realms: Mapping[Side, Realm]
    targets: Mapping[Side, TargetRules]
    tls: Mapping[Side, TlsPolicy]
    implicit: bool = False
    """Whether both legs are TLS from the first byte."""

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plugin.name


Choice: TypeAlias = tuple[str, str, int | None]
"""An entry of `alg_plugins`: a host or `` for any, a plugin, a port or None for any."""


@dataclass(frozen=True, slots=True)
class MitmSettings:
    """All options, validated."""

    by_port: Mapping[int, Treatment] = field(default_factory=dict)
    any_port: Treatment | None = None
    policy: Policy = Policy.AUTO
    preview: int | None = 65536
    """Bytes of each side of an opaque flow that are kept and shown; None: all."""
    ports: PortRange = field(default_factory=lambda: Realm().ports)
    times: Times = field(default_factory=Times)
    limits: Limits = field(default_factory=Limits)
    lifetime: float | None = None
    """Seconds that a listener waits at most; None: as the plugin says."""

    def treatment(self, port: int) -> Treatment | None:
        """How a connection to that port of a server is treated; None: it is not ours."""
        return self.by_port.get(port, self.any_port)


def find_plugin(scheme: str, registry: Registry) -> type[StreamPlugin[object]]:
    """The plugin of that scheme.

    Raises:
        ConfigError: there is none, or it is for datagrams, which mitmproxy offers us no way to treat.
    """
    plugin = registry.find(scheme)
    if not issubclass(plugin, StreamPlugin):
        raise ConfigError(
            f"plugin {plugin.name} is for UDP, which cannot be done in mitmproxy; use alg run {scheme}://…"
        )
    return plugin


def parse_choice(text: str, registry: Registry) -> tuple[int | None, str]:
    """Parse `PORT=PLUGIN` (`21=ftp`, `*=package.module:Class`).

    Raises:
        ConfigError: it is none, or there is no such plugin.
    """
    port, equals, scheme = text.partition("=")
    if not equals or not scheme or not (port == "*" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise ConfigError(
            f"alg_plugins: {text!r} is not PORT=PLUGIN; write the port of the server, e.g. 2100=ftp, or *=module:Class"
        )
    find_plugin(scheme, registry)
    return (None if port == "*" else int(port)), scheme


def well_known_ports(registry: Registry) -> dict[int, str]:
    """The schemes of all installed plugins by the ports that are theirs; without those for which mitmproxy has its own
    way, since nobody has asked for them."""
    ports: dict[int, str] = {}
    for name in registry.names():
        plugin = registry.find(name)
        if not issubclass(plugin, StreamPlugin) or (not is_for_http(plugin) and _needs_sharing(plugin)):
            continue
        if plugin.default_port is not None and name == plugin.name:
            ports.setdefault(plugin.default_port, name)
        if plugin.tls_scheme is not None and plugin.tls_scheme[1] is not None:
            ports.setdefault(plugin.tls_scheme[1], plugin.tls_scheme[0])
    return ports


def is_for_http(plugin: type[StreamPlugin[object]]) -> bool:
    """Whether a plugin has something to say where mitmproxy parses HTTP."""
    return plugin.http is not StreamPlugin.http


def _needs_sharing(plugin: type[StreamPlugin[object]]) -> bool:
    try:
        return Need.SHARED in make_plugin(plugin).needs()
    except PluginError:  # it cannot be made without being configured
        return False


@dataclass(frozen=True, slots=True)
class Common:
    """What the options say about all plugins."""

    bind: Address | None
    advertise: Mapping[Side, Address | None]
    ports: PortRange


def make_treatment(scheme: str, registry: Registry, table: PluginTable, common: Common) -> Treatment:
    """How a plugin, named by its scheme, treats its connections.

    Raises:
        ConfigError: it is for UDP, an option of it is wrong, or it needs what mitmproxy cannot do.
    """
    plugin = find_plugin(scheme, registry)
    sides = {Side.CLIENT: table.client, Side.SERVER: table.server}
    try:
        config = plugin_config(plugin, table.options)
    except ConfigError as error:
        lines = [f"alg_config: {plugin.name}.{line}" for line in str(error).splitlines()]
        raise ConfigError("\n".join(lines)) from None
    made = make_plugin(plugin, config)
    if (needed := made.needs()) and not is_for_http(plugin):  # of HTTP, mitmproxy's hooks do the most
        names = ", ".join(sorted(need.value for need in needed))
        instead = _NO_SHARING if Need.SHARED in needed else "see its options"
        raise ConfigError(f"plugin {plugin.name} needs what cannot be done in mitmproxy: {names}; {instead}")
    return Treatment(
        plugin=plugin,
        config=config,
        realms={
            side: Realm(each.bind or common.bind, each.advertise or common.advertise[side], each.ports or common.ports)
            for side, each in sides.items()
        },
        targets={side: TargetRules(each.targets, each.min_port) for side, each in sides.items()},
        tls={Side.CLIENT: TlsPolicy(table.client.tls), Side.SERVER: TlsPolicy(table.server.tls)},
        implicit=plugin.tls_scheme is not None and scheme == plugin.tls_scheme[0],
    )


def read_file(path: str) -> dict[str, PluginTable]:
    """Read the file that `alg_config` names.

    Raises:
        ConfigError: with all that is wrong, one line each.
    """
    try:
        table = tomllib.loads(Path(path).expanduser().read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"alg_config: {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"alg_config: {path} is no TOML: {error}") from None
    try:
        # As JSON: strict about types, yet an array may become a tuple and a text an enumeration.
        return FileTable.model_validate_json(json.dumps({"plugins": table}, default=str)).plugins
    except ValidationError as error:
        lines = explain_errors(error, lambda location: _known_keys(location))
        raise ConfigError("\n".join(f"{path}: {line.removeprefix('plugins.')}" for line in lines)) from None


def _known_keys(location: Sequence[int | str]) -> list[str]:
    if len(location) <= 3:
        return list(PluginTable.model_fields)
    return list((ClientTable if location[2] == "client" else ServerTable).model_fields)


def parse_option_ports(text: str) -> PortRange:
    """Parse the option `alg_data_ports`.

    Raises:
        ConfigError: it is no range.
    """
    try:
        return parse_ports(text)
    except ValueError as error:
        raise ConfigError(f"alg_data_ports: {error}") from None


def parse_option_address(name: str, text: str | None) -> Address | None:
    """Parse an option that is an address.

    Raises:
        ConfigError: it is none.
    """
    if not text:
        return None
    try:
        return parse_address(text)
    except ProtocolError as error:
        raise ConfigError(f"{name}: {error}") from None

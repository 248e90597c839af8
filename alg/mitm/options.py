"""The options under `alg_`: their names, defaults and help, and the settings that they make."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from mitmproxy.addonmanager import Loader
from mitmproxy.optmanager import OptManager

from alg.core.errors import ConfigError
from alg.core.model import DEFAULT_PORTS, Side
from alg.core.plugin import StreamPlugin
from alg.mitm import compat
from alg.mitm.settings import (
    Common,
    MitmSettings,
    PluginTable,
    Policy,
    Treatment,
    find_plugin,
    make_treatment,
    parse_choice,
    parse_option_address,
    parse_option_ports,
    read_file,
    well_known_ports,
)
from alg.registry import Registry


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    kind: object
    default: object
    help: str
    choices: Sequence[str] | None = field(default=None)


_TEXT = Optional[str]  # noqa: UP045 - mitmproxy 11 knows `str | None` by this name only

OPTIONS = (
    _Option(
        "alg_plugins",
        Sequence[str],
        [],
        "Which plugin treats connections to which port of a server, as PORT=PLUGIN (2121=ftp, 990=ftps, *=module:Class). "
        "Without any, each installed plugin gets its well-known port.",
    ),
    _Option(
        "alg_policy",
        str,
        "auto",
        "What becomes of addresses that a server announces: rewrite them to listeners of ours, or observe, which leaves "
        "them and claims the connection that comes through the proxy; auto rewrites in reverse mode only.",
        [policy.value for policy in Policy],
    ),
    _Option("alg_bind", _TEXT, None, "The address where data channels listen (default: that of the control channel)."),
    _Option("alg_advertise_client", _TEXT, None, "The address to write into what clients get, if it is another one."),
    _Option("alg_advertise_server", _TEXT, None, "The address to write into what servers get, if it is another one."),
    _Option("alg_data_ports", str, str(DEFAULT_PORTS), "Where data channels listen: LOW-HIGH."),
    _Option(
        "alg_lease_lifetime", int, 0, "Seconds that a data channel's listener waits at most (0: as the plugin says)."
    ),
    _Option(
        "alg_data_preview",
        int,
        65536,
        "Bytes of each side of a data channel that are kept, shown and handed to other addons; the rest passes unseen.",
    ),
    _Option("alg_keep_data", bool, False, "Keep and show all bytes of data channels, and hand all to other addons."),
    _Option(
        "alg_config",
        _TEXT,
        None,
        "A TOML file with a table for each plugin: [ftp.options], [ftp.client], [ftp.server].",
    ),
)


def declare(loader: Loader) -> None:
    """Make the options known to mitmproxy."""
    for each in OPTIONS:
        loader.add_option(each.name, each.kind, each.default, each.help, each.choices)  # type: ignore[arg-type]


def unknown(options: OptManager) -> list[str]:
    """What was set under `alg_` and is none of ours: mitmproxy takes that for an option of a script that is yet to come."""
    lines = []
    for name in compat.deferred_options(options):
        if name.startswith("alg_"):
            near = difflib.get_close_matches(name, [each.name for each in OPTIONS], n=1)
            lines.append(f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else ""))
    return lines


def parse(options: OptManager, registry: Registry) -> MitmSettings:
    """Make settings of the options.

    Raises:
        ConfigError: with what is wrong.
    """
    if options.alg_policy not in [policy.value for policy in Policy]:
        raise ConfigError(f"alg_policy: {options.alg_policy!r} is none of auto, rewrite, observe")
    for name in ("alg_lease_lifetime", "alg_data_preview"):
        if getattr(options, name) < 0:
            raise ConfigError(f"{name}: {getattr(options, name)} is below 0")
    tables = read_file(options.alg_config) if options.alg_config else {}
    common = Common(
        bind=parse_option_address("alg_bind", options.alg_bind),
        advertise={
            Side.CLIENT: parse_option_address("alg_advertise_client", options.alg_advertise_client),
            Side.SERVER: parse_option_address("alg_advertise_server", options.alg_advertise_server),
        },
        ports=parse_option_ports(options.alg_data_ports),
    )
    chosen = [parse_choice(text, registry) for text in options.alg_plugins]
    plugins = [registry.find(name) for name in (*registry.names(), *(scheme for _, scheme in chosen))]
    names = sorted({plugin.name for plugin in plugins if issubclass(plugin, StreamPlugin)})
    for name in tables:
        if name in names:
            continue
        if name in registry.names():
            own = find_plugin(name, registry).name
            raise ConfigError(f"alg_config: {name} is {own} under TLS; write [{own}.options] and the like")
        raise ConfigError(f"alg_config: there is no plugin {name!r}; known are {', '.join(names)}")
    schemes: dict[int | None, str] = dict(chosen or well_known_ports(registry).items())
    by_port: dict[int | None, Treatment] = {
        port: make_treatment(scheme, registry, tables.get(registry.find(scheme).name, PluginTable()), common)
        for port, scheme in schemes.items()
    }
    return MitmSettings(
        by_port={port: treatment for port, treatment in by_port.items() if port is not None},
        any_port=by_port.get(None),
        policy=Policy(options.alg_policy),
        preview=None if options.alg_keep_data else options.alg_data_preview,
        lifetime=options.alg_lease_lifetime or None,
    )

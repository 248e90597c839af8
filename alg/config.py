"""The configuration: TOML and command line into frozen values, strictly. All errors come at once, each with its path.

An unknown key, a wrong type or a bad value never becomes a default: the file is taken whole or not at all.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import get_args, get_type_hints

import pydantic
from pydantic import BaseModel, TypeAdapter, ValidationError

from alg.core.addresses import Address, Network
from alg.core.errors import ConfigError
from alg.core.model import PortRange, Realm, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import LeaseLimits, TargetRules
from alg.core.proxy_protocol import ProxyVersion
from alg.registry import Registry
from alg.routes import parse_allowed, parse_route
from alg.settings import Limits, LogFormat, LogLevel, Route, Settings, Times
from alg.tables import STRICT, FileTable, RouteTable
from alg.tls_options import client_tls, server_tls


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
    profiles: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """`KEY=VALUE` of the plugin's table; VALUE as in TOML, or plain text."""
    targets_server: tuple[Network, ...] = ()
    xferlog: Path | None = None


def load(path: Path | None, registry: Registry, overrides: Overrides) -> Settings:
    """Read the file, if one is named, and put the command line on top of it.

    Raises:
        ConfigError: with all that is wrong, one line each.
    """
    errors: list[str] = []
    file = _read(path, errors) if path else FileTable()
    tables = {f"{path}: routes.{name}": table for name, table in file.routes.items()}
    routes: list[Route] = []
    for where, table in [*((None, RouteTable(route=text)) for text in overrides.routes), *tables.items()]:
        try:
            routes.append(_route(table, file, overrides, registry, (path.parent if where and path else Path())))
        except ConfigError as error:
            errors += [f"{where}.{line}" if where else line.removeprefix("route: ") for line in str(error).splitlines()]
    if not routes and not errors:
        errors.append("there is no route; name one on the command line or in the file")
    errors += _clashes(routes)
    if errors:
        raise ConfigError("\n".join(errors))
    limits = file.limits
    return Settings(
        routes=tuple(routes),
        times=Times(
            connect=file.times.connect,
            handshake=file.times.handshake,
            idle=file.times.idle,
            drain=overrides.drain or file.drain or Times().drain,
            resolve=file.times.resolve,
        ),
        limits=Limits(
            limits.sessions,
            limits.sessions_per_client,
            limits.flows_per_session,
            limits.records_per_session,
            LeaseLimits(limits.leases_per_session, limits.leases_per_client, limits.leases, limits.shared_listeners),
        ),
        log_format=overrides.log_format or file.log_format or "text",
        log_level=overrides.log_level or file.log_level or "info",
        xferlog=overrides.xferlog or (path.parent / file.xferlog if path and file.xferlog else None),
    )


def _read(path: Path, errors: list[str]) -> FileTable:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from None
    try:
        # As JSON: strict about types, yet an array may become a tuple and a text an enumeration.
        return FileTable.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        errors += [f"{path}: {line}" for line in explain_errors(error, _known_keys)]
        return FileTable(routes=_good_routes(table))


def _good_routes(table: dict[str, object]) -> dict[str, RouteTable]:
    """The routes of a file that is wrong elsewhere, so that what is wrong within them is told too."""
    routes = table.get("routes")
    good = {}
    for name, route in routes.items() if isinstance(routes, dict) else ():
        with contextlib.suppress(ValidationError):  # those have been told already
            good[name] = RouteTable.model_validate_json(json.dumps(route, default=str))
    return good


def _route(table: RouteTable, file: FileTable, overrides: Overrides, registry: Registry, folder: Path) -> Route:
    """Make a route of its table; errors begin with the key within the table. Files are named as seen from `folder`."""
    try:
        route = parse_route(table.route, registry)
        allowed = tuple(map(parse_allowed, overrides.allow_upstream)) or table.upstreams
    except ConfigError as error:
        raise ConfigError(f"route: {error}") from None
    if route.upstream is None and not allowed:
        raise ConfigError("upstreams: the client chooses its server here, but none is allowed; list those that are")
    if route.upstream is not None and allowed:
        raise ConfigError(f"upstreams: {route.upstream} is the only one; write * in its place to let clients choose")
    advertise = {
        Side.CLIENT: overrides.advertise_client or table.client.advertise or file.advertise_client,
        Side.SERVER: overrides.advertise_server or table.server.advertise or file.advertise_server,
    }
    tables = {Side.CLIENT: table.client, Side.SERVER: table.server}
    ports = overrides.ports, file.ports, Realm().ports
    proxy_protocol = overrides.proxy_protocol or table.server.proxy_protocol
    return replace(
        route,
        client_tls=client_tls(route, table.client.tls, overrides.tls, folder),
        server_tls=server_tls(
            route,
            table.server.tls,
            policy=overrides.upstream_tls,
            ca=overrides.upstream_ca,
            insecure=overrides.upstream_insecure,
            folder=folder,
        ),
        allowed=allowed,
        proxy_protocol=ProxyVersion(proxy_protocol) if proxy_protocol else None,
        config=plugin_config(route.plugin, _options(route.plugin, table.options, overrides)),
        realms={
            side: Realm(each.bind, advertise[side], ports[0] or each.ports or ports[1] or ports[2])
            for side, each in tables.items()
        },
        targets={
            Side.CLIENT: TargetRules(table.client.targets, table.client.min_port),
            Side.SERVER: TargetRules(overrides.targets_server or table.server.targets, table.server.min_port),
        },
    )


def _options(plugin: type[StreamPlugin[object]], table: dict[str, object], overrides: Overrides) -> dict[str, object]:
    """The plugin's table with what the command line says on top of it."""
    said = dict(map(_option, overrides.options))
    profiles = overrides.profiles
    if not profiles:
        return {**table, **said}
    if plugin.config_type is None or "profiles" not in (each.name for each in fields(plugin.config_type)):
        raise ConfigError(f"options: plugin {plugin.name} has no profiles, but {', '.join(profiles)} is asked for")
    return {**table, **said, "profiles": list(profiles)}


def _option(text: str) -> tuple[str, object]:
    """Parse `KEY=VALUE` of the command line."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"options: {text!r} is not KEY=VALUE, e.g. 'allowed_hosts=[\"gw.example\"]'")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def plugin_config(plugin: type[StreamPlugin[object]], table: dict[str, object]) -> object:
    """Turn a plugin's table into its configuration, a frozen dataclass.

    Raises:
        ConfigError: an option is unknown, or its value wrong; one line each, beginning with `options.`.
    """
    config_type = plugin.config_type
    if config_type is None:
        if table:
            raise ConfigError(f"options: plugin {plugin.name} has none, but {', '.join(table)} is set")
        return None
    if not is_dataclass(config_type):
        raise ConfigError(f"options: plugin {plugin.name} is at fault: its config_type is no dataclass")
    try:
        return _adapter(config_type).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError("\n".join(explain_errors(error, partial(_known_options, config_type), "options"))) from None
    except ConfigError as error:  # from the dataclass itself
        raise ConfigError(f"options.{error}") from None


@cache
def _adapter(config_type: type) -> TypeAdapter[object]:
    """What checks a plugin's table; to make it takes longer than to use it."""
    return TypeAdapter(pydantic.dataclasses.dataclass(frozen=True, config=STRICT)(config_type))


def _known_options(config_type: type, location: tuple[int | str, ...]) -> list[str]:
    """The options of a plugin's table, or of the table within it in which an unknown one was found."""
    for part in location[:-1]:
        if isinstance(part, str):
            hint = get_type_hints(config_type).get(part)
            config_type = next(
                (each for each in (hint, *get_args(hint)) if isinstance(each, type) and is_dataclass(each)), config_type
            )
    return [each.name for each in fields(config_type)]


def explain_errors(
    error: ValidationError, known_keys: Callable[[tuple[int | str, ...]], Iterable[str]], *prefix: str
) -> list[str]:
    """One line for each error: path, what is wrong, what would be right."""
    lines = []
    for problem in error.errors(include_url=False):
        parts = (*prefix, *problem["loc"])
        path = ".".join(str(part) for part in parts if not str(part).startswith("function-"))
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = sorted(known_keys(problem["loc"]))
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            lines.append(f"{path}: unknown key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            message = message.replace("a valid array", "a list").replace("a valid dictionary", "a table")
            message = message.replace("a valid ", "a ").replace("a integer", "an integer")
            said = problem["type"] == "value_error"
            lines.append(f"{path}: {message}" if said else f"{path}: must be {message}, not {problem['input']!r}")
    return lines


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table in which an unknown key was found."""
    table: type[BaseModel] = FileTable
    if location[0] == "routes" and len(location) > 2:
        table, location = RouteTable, location[2:]
    for part in location[:-1]:
        kind = table.model_fields[str(part)].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            table = kind
    return list(table.model_fields)


def _clashes(routes: Iterable[Route]) -> list[str]:
    """Routes that listen at one place."""
    seen: dict[object, Route] = {}
    errors = []
    for route in routes:
        if route.listen.port and route.listen in seen:
            errors.append(f"routes {seen[route.listen]} and {route} listen at the same place; change one of the ports")
        seen[route.listen] = route
    return errors

"""The configuration: TOML and command line into frozen values, strictly. All errors come at once, each with its path.

An unknown key, a wrong type or a bad value never becomes a default: the file is taken whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError

from alg.core.errors import ConfigError
from alg.core.policy import LeaseLimits
from alg.overrides import Overrides
from alg.plugin_config import explain_errors
from alg.registry import Registry
from alg.route_config import routes_of
from alg.settings import Limits, Route, Settings, Times
from alg.tables import FileTable, RouteTable


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
            routes += routes_of(table, file, overrides, registry, (path.parent if where and path else Path()))
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
            limits.datagram_flows,
            limits.datagram_flows_per_client,
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
        place = route.plugin.transport, route.listen
        if route.listen.port and place in seen:
            errors.append(f"routes {seen[place]} and {route} listen at the same place; change one of the ports")
        seen[place] = route
    return errors

"""A plugin's table in the configuration: into its frozen dataclass, strictly; and what is wrong with a table, in words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import get_args, get_type_hints

import pydantic
from pydantic import TypeAdapter, ValidationError

from alg.core.errors import ConfigError
from alg.core.plugin import Plugin
from alg.tables import STRICT


def plugin_config(plugin: type[Plugin[object]], table: dict[str, object]) -> object:
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

"""Plugin settings from TOML tables, for tests: strings become enumerations, arrays tuples. No checks."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import get_args, get_origin, get_type_hints


def make_config(config_type: type | None, table: Mapping[str, object]) -> object:
    """Make a frozen dataclass from the table of a conversation."""
    if config_type is None:
        assert not table, "this plugin has no settings"
        return None
    hints = get_type_hints(config_type)
    return config_type(**{key: _convert(value, hints[key]) for key, value in table.items()})


def _convert(value: object, hint: object) -> object:
    if isinstance(value, list):
        return tuple(_convert(each, get_args(hint)[0]) for each in value)
    if isinstance(value, dict):
        assert get_origin(hint) is Mapping
        return {key: _convert(each, get_args(hint)[1]) for key, each in value.items()}
    return hint(value) if isinstance(hint, type) and issubclass(hint, enum.Enum) else value

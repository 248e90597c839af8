"""Finds plugins: by entry point (group `alg.plugins`), or by `module:Class` for one that is not packaged yet."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import sys
from collections import defaultdict
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points

from alg.core.datagrams import DatagramPlugin
from alg.core.errors import ConfigError
from alg.core.plugin import Plugin, StreamPlugin

GROUP = "alg.plugins"
_NAME = re.compile(r"[a-zA-Z][\w.+-]*", re.ASCII)
_COROUTINES = ("from_client", "from_server")


class Registry:
    """The plugins of this installation, by name. They are loaded when they are asked for."""

    def __init__(self) -> None:
        self._entries: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in entry_points(group=GROUP):
            self._entries[entry.name].append(entry)
        self._loaded: dict[str, type[Plugin[object]]] = {}

    def names(self) -> list[str]:
        """The names of all installed plugins, sorted."""
        return sorted(self._entries)

    def origin(self, name: str) -> str:
        """The distribution that offers a plugin, with its version."""
        distribution = self._entries[name][0].dist
        return f"{distribution.name} {distribution.version}" if distribution else "unknown"

    def find(self, name: str) -> type[Plugin[object]]:
        """Return the plugin class of that name, or of that `module:Class`.

        Raises:
            ConfigError: there is none, several distributions offer it, or it cannot be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = self._check(name, self._load(name))
        return self._loaded[name]

    def _load(self, name: str) -> object:
        module, colon, attribute = name.partition(":")
        entries = self._entries.get(name, [])
        if len(entries) > 1:
            offers = " and ".join(sorted(str(entry.dist and entry.dist.name) for entry in entries))
            raise ConfigError(f"plugin {name!r} is offered by {offers}; uninstall one of them")
        if colon and (here := os.getcwd()) not in sys.path:
            sys.path.append(here)  # a plugin in the making lies where its author stands; last, so that it hides nothing
        if not entries and not colon:
            raise ConfigError(f"there is no plugin {name!r}; installed are {', '.join(self.names()) or 'none'}")
        try:
            return entries[0].load() if entries else getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"plugin {name!r} cannot be loaded: {error}") from None

    def _check(self, name: str, plugin: object) -> type[Plugin[object]]:
        if not (isinstance(plugin, type) and issubclass(plugin, StreamPlugin | DatagramPlugin)):
            raise ConfigError(f"plugin {name!r} is no subclass of alg.plugin.StreamPlugin, nor of DatagramPlugin")
        if not _NAME.fullmatch(str(getattr(plugin, "name", ""))):
            raise ConfigError(f"plugin {name!r} needs a class attribute 'name' of letters, digits, '.', '+' and '-'")
        for attribute in dir(plugin):
            if attribute in _COROUTINES:
                if not inspect.iscoroutinefunction(getattr(plugin, attribute)):
                    raise ConfigError(f"plugin {name!r}: {attribute} must be an 'async def'")
            elif attribute.startswith("from_") and difflib.get_close_matches(attribute, _COROUTINES, cutoff=0.8):
                raise ConfigError(
                    f"plugin {name!r}: nobody calls {attribute}; the methods are {' and '.join(_COROUTINES)}"
                )
        _check_config_type(name, plugin.config_type)
        return plugin


def _check_config_type(name: str, config_type: type | None) -> None:
    if config_type is None:
        return
    if not (is_dataclass(config_type) and config_type.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise ConfigError(f"plugin {name!r}: its config_type must be a frozen dataclass")
    for each in fields(config_type):
        if each.init and each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(f"plugin {name!r}: option {each.name} of its config_type needs a default")

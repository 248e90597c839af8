"""Finds plugins: by entry point (group `alg.plugins`), or by `module:Class` for one that is not packaged yet."""

from __future__ import annotations

import importlib
from collections import defaultdict
from importlib.metadata import EntryPoint, entry_points

from alg.core.errors import ConfigError
from alg.core.plugin import StreamPlugin

GROUP = "alg.plugins"


class Registry:
    """The plugins of this installation, by name. They are loaded when they are asked for."""

    def __init__(self) -> None:
        self._entries: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in entry_points(group=GROUP):
            self._entries[entry.name].append(entry)
        self._loaded: dict[str, type[StreamPlugin[object]]] = {}

    def names(self) -> list[str]:
        """The names of all installed plugins, sorted."""
        return sorted(self._entries)

    def origin(self, name: str) -> str:
        """The distribution that offers a plugin, with its version."""
        distribution = self._entries[name][0].dist
        return f"{distribution.name} {distribution.version}" if distribution else "unknown"

    def find(self, name: str) -> type[StreamPlugin[object]]:
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
        if not entries and not colon:
            raise ConfigError(f"there is no plugin {name!r}; installed are {', '.join(self.names()) or 'none'}")
        try:
            return entries[0].load() if entries else getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"plugin {name!r} cannot be loaded: {error}") from None

    def _check(self, name: str, plugin: object) -> type[StreamPlugin[object]]:
        if not (isinstance(plugin, type) and issubclass(plugin, StreamPlugin)):
            raise ConfigError(f"plugin {name!r} is no subclass of alg.plugin.StreamPlugin")
        if not isinstance(getattr(plugin, "name", None), str):
            raise ConfigError(f"plugin {name!r} has no class attribute 'name'")
        return plugin

"""Who may import whom, by the syntax trees: the rooms of the design's section 3. And what pure code must not do."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Modules of the standard library without I/O, clock, randomness or environment.
PURE = frozenset(
    {
        *(
            "__future__",
            "abc",
            "base64",
            "binascii",
            "collections",
            "collections.abc",
            "contextlib",
            "dataclasses",
            "enum",
            "fnmatch",
        ),
        *(
            "functools",
            "hashlib",
            "hmac",
            "ipaddress",
            "itertools",
            "json",
            "math",
            "operator",
            "re",
            "string",
            "struct",
        ),
        *("types", "typing", "zlib"),
    }
)
ANY = frozenset(sys.stdlib_module_names)
CODECS = frozenset({"h11", "websockets"})  # sans-IO

# For each place, the first that fits: what it may import besides itself.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "alg/__init__.py": frozenset(),
    "alg/core/http_connect.py": PURE | {"h11"},
    "alg/core/": PURE,
    "alg/plugin.py": PURE | {"alg.core"},
    "alg/testing.py": PURE | {"alg.core"},
    "alg/conversation.py": PURE | {"alg.core", "alg.testing", "tomllib", "pathlib"},
    "alg/player.py": PURE | {"alg.core", "alg.testing", "alg.conversation"},
    "alg/xferlog.py": PURE | {"datetime"},  # a value that it is handed; `datetime.now` is never called
    "alg/transfer_log.py": ANY | {"alg.core", "alg.xferlog"},
    "alg/registry.py": ANY | {"alg.core", "alg.plugin"},
    "alg/settings.py": PURE | {"alg.core", "pathlib"},
    "alg/route_ranges.py": PURE | {"alg.core"},
    "alg/routes.py": PURE | {"alg.core", "alg.registry", "alg.route_ranges", "alg.settings", "urllib.parse"},
    "alg/tables.py": ANY | {"alg.core", "alg.routes", "alg.settings", "pydantic"},
    "alg/tls_options.py": ANY | {"alg.core", "alg.certificates", "alg.settings", "alg.tables"},
    "alg/ways.py": ANY | {"alg.core", "alg.registry", "alg.settings"},
    "alg/overrides.py": PURE | {"alg.core", "alg.settings", "pathlib"},
    "alg/plugin_config.py": ANY | {"alg.core", "alg.tables", "pydantic"},
    "alg/route_config.py": ANY
    | {"alg", "alg.core", "alg.overrides", "alg.plugin_config", "alg.registry", "alg.routes", "alg.settings"}
    | {"alg.tables", "alg.tls_options", "alg.ways"},
    "alg/config.py": ANY
    | {"alg.core", "alg.overrides", "alg.plugin_config", "alg.registry", "alg.route_config", "alg.settings"}
    | {"alg.tables", "pydantic"},
    "alg/explain.py": PURE
    | {"alg.core", "alg.testing", "alg.conversation", "alg.player", "alg.registry", "alg.plugin_config"},
    "alg/explain_settings.py": PURE | {"alg", "alg.core", "alg.certificates", "alg.settings"},
    "alg/own_address.py": ANY | {"alg.core"},
    "alg/dynamic_ports.py": ANY | {"alg.core"},
    "alg/relay/": ANY
    | {
        "alg",
        "alg.own_address",
        "alg.dynamic_ports",
        "alg.core",
        "alg.registry",
        "alg.settings",
        "alg.certificates",
        "alg.authority",
    },
    "alg/mitm/wrappers.py": ANY,  # imported by the daemon's command line, so mitmproxy is imported by its functions only
    "alg/mitm/compat.py": ANY | {"alg.core", "mitmproxy", "OpenSSL"},
    "alg/mitm/": ANY
    | {
        "alg",
        "alg.own_address",
        "alg.dynamic_ports",
        "alg.core",
        "alg.registry",
        "alg.plugin_config",
        "alg.settings",
        "alg.routes",
        "alg.tables",
        "pydantic",
    }
    | {f"mitmproxy.{name}" for name in ("addonmanager", "connection", "flow", "hooks", "optmanager", "tcp")}
    | {f"mitmproxy.{name}" for name in ("command", "contentviews", "ctx", "exceptions", "http")},  # documented ones
    "alg/notify.py": ANY,
    "alg/nft.py": PURE | {"alg.core", "alg.settings"},
    "alg/interception.py": ANY | {"alg.core", "alg.nft"},
    "alg/certificates.py": ANY | {"alg.core", "alg.x509"},
    "alg/x509.py": PURE | {"alg.core", "alg.certificates", "cryptography", "datetime"},
    "alg/authority.py": ANY | {"alg.core", "alg.certificates", "alg.x509"},
    "alg/daemon.py": ANY | {"alg.notify", "alg.registry", "alg.relay", "alg.settings", "uvloop"},
    "alg/__main__.py": frozenset({"alg.cli"}),
    "alg/cli_options.py": ANY | {"alg.core", "alg.routes", "click"},
    "alg/cli.py": ANY
    | {"alg", "alg.core", "alg.cli_options", "alg.config", "alg.conversation", "alg.explain", "alg.explain_settings"}
    | {"alg.overrides", "alg.registry"}
    | {
        "alg.routes",
        "alg.interception",
        "alg.nft",
        "alg.mitm.wrappers",
        "alg.settings",
        "alg.daemon",
        "alg.relay",
        "alg.authority",
        "alg.certificates",
        "alg.transfer_log",
        "click",
    },
    "plugins/": PURE | CODECS | {"alg.plugin", "urllib.parse", "xml.parsers.expat"},
}
PURE_PLACES = ("alg/core/", "alg/plugin.py", "alg/testing.py", "alg/xferlog.py", "plugins/")

FILES = sorted(path.relative_to(ROOT).as_posix() for top in ("alg", "plugins") for path in (ROOT / top).rglob("*.py"))
PURE_FILES = [path for path in FILES if path.startswith(PURE_PLACES)]


def tree(path: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / path).read_text("utf-8"), path)


def imports(module: ast.Module) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            # `from alg import testing` imports a module too
            whole = node.module in ("alg", "alg.mitm", "mitmproxy")
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if whole else (node.module,)


def own_room(path: str) -> str:
    """The package that a file may import freely: its own."""
    parts = path.removesuffix(".py").split("/")
    return parts[1] if parts[0] == "plugins" else ".".join(parts[: 2 if len(parts) > 2 else 3])


def forbidden(path: str, module: ast.Module) -> list[str]:
    """What a file imports and may not."""
    allowed = next(names for place, names in MAY_IMPORT.items() if path.startswith(place)) | {own_room(path)}

    def fits(name: str) -> bool:
        if name == "alg" or name.startswith("alg.__"):
            return "alg" in allowed
        prefixes = [name.rsplit(".", count)[0] for count in range(name.count(".") + 1)]
        return any(prefix in allowed and prefix != "alg" for prefix in prefixes)

    return [name for name in imports(module) if not fits(name)]


@pytest.mark.parametrize("path", FILES)
def test_a_file_imports_only_what_its_room_may(path: str) -> None:
    """Plugins know `alg.plugin`, the core knows nothing, relay and mitm do not know each other."""
    assert forbidden(path, tree(path)) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        *(
            ("plugins/alg_x/plugin.py", "import asyncio"),
            ("plugins/alg_x/plugin.py", "from alg.core.flow import FlowMachine"),
        ),
        *(("plugins/alg_x/plugin.py", "from alg import relay"), ("plugins/alg_x/plugin.py", "import alg_ftp.wire")),
        *(("plugins/alg_x/plugin.py", "from alg.testing import Playbook"), ("plugins/alg_x/plugin.py", "import time")),
        *(("alg/core/x.py", "import socket"), ("alg/core/x.py", "import random"), ("alg/core/x.py", "import os.path")),
        *(
            ("alg/core/x.py", "from alg.plugin import Side"),
            ("alg/core/x.py", "import logging"),
            ("alg/core/x.py", "import alg"),
            ("alg/core/x.py", "import h11"),
            ("alg/core/http_connect.py", "import http.client"),
        ),
        *(
            ("alg/testing.py", "import pytest"),
            ("alg/xferlog.py", "import time"),
            ("alg/relay/x.py", "from alg.mitm import addon"),
            ("alg/cli.py", "import alg_ftp"),
        ),
        *(
            ("alg/mitm/x.py", "import alg.relay.server"),
            ("alg/relay/x.py", "from alg import cli"),
            ("alg/cli.py", "import mitmproxy"),
            ("alg/mitm/x.py", "from mitmproxy.proxy import layer"),
            ("alg/certificates.py", "import cryptography"),
            ("alg/x509.py", "import os"),
        ),
    ],
)
def test_the_table_refuses(path: str, line: str) -> None:
    """The check itself: each of these lines would be found."""
    assert forbidden(path, ast.parse(line))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        *(
            ("plugins/alg_x/plugin.py", "from alg_x import wire"),
            ("plugins/alg_x/plugin.py", "from alg.plugin import Side"),
        ),
        *(("alg/core/x.py", "from alg.core.model import Side"), ("alg/core/x.py", "from collections import abc")),
        *(
            ("alg/xferlog.py", "from datetime import datetime"),
            ("alg/relay/x.py", "import asyncio"),
            ("alg/cli.py", "from alg import __version__"),
            ("alg/cli.py", "import click"),
        ),
        *(
            ("alg/mitm/compat.py", "import mitmproxy.proxy.layer"),
            ("alg/mitm/x.py", "from mitmproxy.tcp import TCPFlow"),
            ("alg/mitm/x.py", "from alg.core.flow import FlowMachine"),
        ),
    ],
)
def test_the_table_accepts(path: str, line: str) -> None:
    """And these would not."""
    assert forbidden(path, ast.parse(line)) == []


@pytest.mark.parametrize("path", PURE_FILES)
def test_pure_code_has_no_asynchronous_generators(path: str) -> None:
    """asyncio adopts those when it finds them running, and complains when we drop them."""
    for function in ast.walk(tree(path)):
        if isinstance(function, ast.AsyncFunctionDef):
            assert not [node for node in ast.walk(function) if isinstance(node, ast.Yield | ast.YieldFrom)], (
                function.name
            )


@pytest.mark.parametrize("path", PURE_FILES)
def test_pure_code_does_nothing_behind_our_back(path: str) -> None:
    """No files, no clock, no evaluation, no output, no import at run time; no `splitlines`, which splits at far too much (T29)."""
    banned = {"open", "eval", "exec", "compile", "print", "input", "__import__", "breakpoint", "splitlines", "readline"}
    banned |= {"now", "today", "utcnow"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            name = node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr != "compile" else name
            assert name not in banned, f"line {node.lineno}"


@pytest.mark.parametrize("path", PURE_FILES)
def test_patterns_mean_ascii_and_the_whole_text(path: str) -> None:
    r"""No `\d`, `\w`, `\s` (digits of other scripts), no `$` (matches before a final line end): T93."""
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func) == "re.compile"
        ):
            for text in (each.value for each in ast.walk(node) if isinstance(each, ast.Constant)):
                written = text.decode("latin-1") if isinstance(text, bytes) else str(text)
                assert not [banned for banned in ("\\d", "\\w", "\\s", "$") if banned in written], f"line {node.lineno}"

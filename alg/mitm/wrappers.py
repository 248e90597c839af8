"""`alg-mitmdump`, `alg-mitmweb`, `alg-mitmproxy`: mitmproxy's own programs, with the gateway loaded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec


def script_path() -> str:
    """The file that mitmproxy is to load.

    Raises:
        SystemExit: mitmproxy is not installed; the message says how to.
    """
    if find_spec("mitmproxy") is None:
        sys.exit("alg: mitmproxy is not installed here; pip install 'alg-gateway[mitmproxy]'")
    spec = find_spec("alg.mitm.script")
    assert spec is not None and spec.origin is not None, "it lies beside this file"
    return spec.origin


def _run(tool: str) -> int:
    script = script_path()
    main: Callable[[list[str]], int | None] = getattr(importlib.import_module("mitmproxy.tools.main"), tool)
    return main(["-s", script, *sys.argv[1:]]) or 0


def mitmdump() -> int:
    """The console script `alg-mitmdump`."""
    return _run("mitmdump")


def mitmweb() -> int:
    """The console script `alg-mitmweb`."""
    return _run("mitmweb")


def mitmproxy() -> int:
    """The console script `alg-mitmproxy`."""
    return _run("mitmproxy")

"""mitmproxy with the gateway's addon, or without it, as the gateway under test: what `alg-mitmdump` is told."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .gateway import GATEWAY_PORT, Orders
from .namespaces import GATEWAY_INSIDE, SERVER, bracketed
from .processes import LabError
from .servers import FTP_PORT

CONFIGURATION = "mitmproxy"
READY = r"\blistening at "
AUTHORITY = "mitmproxy-ca-cert.pem"


def program(name: str) -> str:
    """The path of one of mitmproxy's programs, or of ours for it, beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise LabError(f"{name} is not there: install the extra mitmproxy")
    return str(path)


def reverse(family: int) -> str:
    """The mode of a reverse proxy before the lab's server; the host it listens at goes without brackets."""
    return f"reverse:tcp://{bracketed(SERVER[family])}:{FTP_PORT}@{GATEWAY_INSIDE[family]}:{GATEWAY_PORT}"


def mitm_orders(scratch: Path, *options: str, tool: str = "alg-mitmdump") -> Orders:
    """A reverse proxy per IP version with its own folder of certificates; `options` as `--set` takes them."""
    arguments = [word for family in GATEWAY_INSIDE for word in ("--mode", reverse(family))]
    for option in (f"confdir={scratch / CONFIGURATION}", *options):
        arguments += ["--set", option]
    return Orders(tuple(arguments), len(GATEWAY_INSIDE), program=(program(tool),), ready=READY)


def web_orders(
    ports: Iterable[tuple[str, int]], scratch: Path, *options: str, table: str = "", run: Sequence[str] = ()
) -> Orders:
    """A reverse proxy for each scheme and port of the server, at the same port; `table` is what `alg_config` names.

    Without a table there is no addon. `run` starts another mitmdump than the one beside this interpreter.
    """
    arguments: list[str] = []
    count = 0
    for scheme, port in ports:
        arguments += ["--mode", f"reverse:{scheme}://{SERVER[4]}:{port}@{GATEWAY_INSIDE[4]}:{port}"]
        count += 1
    # Its log is for what goes wrong; thousands of messages would bury that.
    settings = [f"confdir={scratch / CONFIGURATION}", "flow_detail=0", *options]
    if table:
        file = scratch / "mitmproxy.toml"
        file.write_text(table)
        settings.append(f"alg_config={file}")
    for setting in settings:
        arguments += ["--set", setting]
    tool = "alg-mitmdump" if table else "mitmdump"
    return Orders(tuple(arguments), count, program=tuple(run) or (program(tool),), ready=READY)

"""mitmproxy with the gateway's addon, as the gateway under test: what `alg-mitmdump` is told."""

from __future__ import annotations

import sys
from pathlib import Path

from .gateway import GATEWAY_PORT, Orders
from .namespaces import GATEWAY_INSIDE, SERVER, bracketed
from .processes import LabError
from .servers import FTP_PORT

CONFIGURATION = "mitmproxy"
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
    return Orders(tuple(arguments), len(GATEWAY_INSIDE), program=(program(tool),), ready=r"\blistening at ")

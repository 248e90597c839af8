"""The SOCKS5 proxies that are compared: ALG, Dante and microsocks; configurations and command lines.

Each stands at the same port, asks for no password, and lets clients reach the server's network (microsocks: everything).
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, BenchError, Lab
from tests.bench.tools import DANTE, MICROSOCKS

SOCKS, SOCKS_PORT = "socks", 1080
_ALLOWED = f"{SERVER.rsplit('.', 1)[0]}.0/24"


def _alg(lab: Lab) -> list[str]:
    listen = f"socks@{GATEWAY_INSIDE}:{SOCKS_PORT}"
    return [sys.executable, "-m", "alg", "run", listen, "--allow-upstream", _ALLOWED, "--log-level", "warning"]


def _dante(lab: Lab) -> list[str]:
    """Without a log. It starts with a pool of processes, and makes and ends more by itself."""
    text = f"""\
logoutput: /dev/null
internal: {GATEWAY_INSIDE} port = {SOCKS_PORT}
external: {GATEWAY_OUTSIDE}
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
}}
socks pass {{
  from: 0.0.0.0/0 to: {_ALLOWED}
  command: connect
}}
"""
    return [_there(DANTE), "-f", lab.write("danted.conf", text), "-p", str(lab.folder / "danted.pid")]


def _microsocks(lab: Lab) -> list[str]:
    """A thread for each client, no rules. It has no switch for its line about each session, so nobody gets that."""
    command = f"exec {shlex.quote(_there(MICROSOCKS))} -i {GATEWAY_INSIDE} -p {SOCKS_PORT} 2>/dev/null"
    return ["sh", "-c", command]


def _there(program: Path) -> str:
    if not program.exists():
        raise BenchError(f"{program.name}: {program} is missing: run again with --install")
    return str(program)


COMMANDS: dict[str, Callable[[Lab], list[str]]] = {"alg-socks": _alg, "dante": _dante, "microsocks": _microsocks}

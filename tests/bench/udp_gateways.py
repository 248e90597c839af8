"""The gateways that carry datagrams: ALG, socat and nginx; configurations and command lines.

Each stands at the same port, before the same echo server, in a laboratory of its own.
"""

import sys
from collections.abc import Callable

from tests.bench.namespaces import GATEWAY_INSIDE, SERVER, BenchError, Lab
from tests.bench.tools import NGINX, NGINX_MODULES

UDP, UDP_PORT = "udp", 5000
_UPSTREAM, _LISTEN = f"{SERVER}:{UDP_PORT}", f"{GATEWAY_INSIDE}:{UDP_PORT}"


def _alg(lab: Lab) -> list[str]:
    return [sys.executable, "-m", "alg", "run", f"udp://{_UPSTREAM}@{_LISTEN}", "--log-level", "warning"]


def _socat(lab: Lab) -> list[str]:
    """A process for each flow. `UDP4-RECVFROM`, its other way, takes one for each datagram."""
    listen = f"UDP4-LISTEN:{UDP_PORT},bind={GATEWAY_INSIDE},reuseaddr,fork"
    return ["socat", "-T", "600", listen, f"UDP4:{_UPSTREAM}"]


def _nginx(lab: Lab) -> list[str]:
    """One worker. A session is a flow, which stays as long as a run."""
    module = NGINX_MODULES / "ngx_stream_module.so"
    if not module.exists():
        raise BenchError("nginx is not unpacked: run again with --install")
    text = f"""\
load_module {module};
daemon off;
master_process on;
worker_processes 1;
user root;
pid {lab.folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 8192; }}
stream {{
    server {{
        listen {_LISTEN} udp;
        proxy_pass {_UPSTREAM};
        proxy_timeout 10m;
    }}
}}
"""
    return [str(NGINX), "-e", "stderr", "-c", lab.write("nginx.conf", text)]


COMMANDS: dict[str, Callable[[Lab], list[str]]] = {"alg-udp": _alg, "socat": _socat, "nginx-udp": _nginx}

"""The gateways that carry WebSocket: ALG in three ways, HAProxy, nginx and mitmproxy; configurations and command lines.

Each stands at the same port, before the same echo server, in a laboratory of its own.
"""

import sys
from collections.abc import Callable
from functools import partial

from tests.bench import mitm
from tests.bench.namespaces import GATEWAY_INSIDE, SERVER, BenchError, Lab
from tests.bench.tools import NGINX, NGINX_MODULES

WEBSOCKET, WEBSOCKET_PORT = "websocket", 7080
_UPSTREAM, _LISTEN = f"{SERVER}:{WEBSOCKET_PORT}", f"{GATEWAY_INSIDE}:{WEBSOCKET_PORT}"


def _alg(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "alg", "run", *arguments, "--log-level", "warning"]


def _alg_route(scheme: str, lab: Lab) -> list[str]:
    """`tcp`: ALG without looking. `ws`: the upgrade is read, and what follows is opaque."""
    return _alg(f"{scheme}://{_UPSTREAM}@{_LISTEN}")


def _alg_frames(lab: Lab) -> list[str]:
    """Every frame is parsed."""
    text = f"""\
[routes.bench]
route = "ws://{_UPSTREAM}@{_LISTEN}"
[routes.bench.options]
frames = "read"
"""
    return _alg("-c", lab.write("alg.toml", text))


def _haproxy(splice: bool, lab: Lab) -> list[str]:
    """HTTP mode, one thread, no log. With splice forced large messages are fastest, without it small ones, one in
    flight; neither is HAProxy's best for both, so both are measured."""
    options = "    option splice-request\n    option splice-response\n" if splice else ""
    text = f"""\
global
    nbthread 1
    maxconn 6000
    maxpipes 1000
    tune.pipesize 1048576
defaults
    mode http
{options}    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout http-request 10s
    timeout tunnel 10m
listen websocket
    bind {_LISTEN} backlog 4096
    server s {_UPSTREAM}
"""
    return ["haproxy", "-db", "-f", lab.write("haproxy.cfg", text)]


_NGINX_MAIN = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
user nobody nogroup;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
"""

# An upgraded connection passes through proxy_buffer_size from the server, and from the client through the buffer
# that its request was read into.
_NGINX_HTTP = """\
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' close;
    }}
    server {{
        listen {listen} backlog=4096;
        {buffers}
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_read_timeout 10m;
            proxy_send_timeout 10m;
        }}
    }}
}}
"""
_NGINX_BUFFERS = "client_header_buffer_size 256k; proxy_buffer_size 256k; proxy_buffers 8 256k;"

_NGINX_STREAM = """\
stream {{
    server {{
        listen {listen} backlog=4096;
        proxy_pass {upstream};
        proxy_buffer_size 256k;
        proxy_timeout 10m;
        tcp_nodelay on;
    }}
}}
"""


def _nginx(text: str, buffers: str, lab: Lab) -> list[str]:
    if not NGINX.exists():
        raise BenchError(f"nginx: {NGINX} is missing: run again with --install")
    module = f"load_module {NGINX_MODULES}/ngx_stream_module.so;\n" if text == _NGINX_STREAM else ""
    places = {"folder": str(lab.folder), "listen": _LISTEN, "upstream": _UPSTREAM, "buffers": buffers}
    config = lab.write("nginx.conf", module + (_NGINX_MAIN + text).format(**places))
    return [str(NGINX), "-p", str(lab.folder), "-e", "stderr", "-c", config]


def _mitmproxy(lab: Lab) -> list[str]:
    """A reverse proxy that prints nothing: every message is a part of a flow that is kept."""
    return mitm.reverse("quiet", lab, "http", {WEBSOCKET_PORT: WEBSOCKET_PORT})


COMMANDS: dict[str, Callable[[Lab], list[str]]] = {
    "alg-ws": partial(_alg_route, "ws"),
    "alg-frames": _alg_frames,
    "alg-tcp": partial(_alg_route, "tcp"),
    "haproxy-splice": partial(_haproxy, True),
    "haproxy-copy": partial(_haproxy, False),
    "nginx-http": partial(_nginx, _NGINX_HTTP, ""),
    "nginx-256k": partial(_nginx, _NGINX_HTTP, _NGINX_BUFFERS),
    "nginx-stream": partial(_nginx, _NGINX_STREAM, ""),
    "mitm-http": _mitmproxy,
}

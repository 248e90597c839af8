"""The only place that touches names which mitmproxy does not document: they are checked here when it is imported, so an
unknown version is refused with a clear message, and not in the middle of a connection.

The rest of `alg.mitm` imports them from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import re
import socket
import struct
import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import mitmproxy.version
from mitmproxy import addonmanager, connection, ctx, flow, http
from mitmproxy.proxy import commands, events, layer, mode_servers, mode_specs, server, server_hooks, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers import tcp as tcp_layer
from mitmproxy.proxy.layers import tls as tls_layer
from mitmproxy.proxy.layers import websocket as websocket_layer
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from OpenSSL import SSL

from alg.core.errors import ConfigError

if TYPE_CHECKING:
    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.optmanager import OptManager

__all__ = [
    "SSL",
    "Asking",
    "ClientTLSLayer",
    "ConnectionIO",
    "Context",
    "Layer",
    "NextLayer",
    "ProxyConnectionHandler",
    "ServerTLSLayer",
    "TcpEndHook",
    "TcpErrorHook",
    "TcpMessageHook",
    "TcpMessageInjected",
    "TcpStartHook",
    "TlsClienthelloHook",
    "TunnelState",
    "commands",
    "events",
    "mode_specs",
    "server_hooks",
]

Layer = layer.Layer
NextLayer = layer.NextLayer
TunnelState = tunnel.TunnelState
ClientTLSLayer = tls_layer.ClientTLSLayer
ServerTLSLayer = tls_layer.ServerTLSLayer
TlsClienthelloHook = tls_layer.TlsClienthelloHook
TcpStartHook = tcp_layer.TcpStartHook
TcpMessageHook = tcp_layer.TcpMessageHook
TcpEndHook = tcp_layer.TcpEndHook
TcpErrorHook = tcp_layer.TcpErrorHook
TcpMessageInjected = tcp_layer.TcpMessageInjected
ConnectionIO = server.ConnectionIO

T = TypeVar("T")
Asking: TypeAlias = Generator[commands.Command, object, T]
"""A layer's generator that gives commands, and returns what came of them."""

OLDEST, NEXT_MAJOR = (11, 0, 2), 13
"""The versions that this was written for and tried with."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

# What is overridden, called or read here and in the modules that import from here: owner, name, parameters.
NEEDED: Sequence[tuple[object, str, tuple[str, ...] | None]] = (
    (layer.Layer, "handle_event", ("self", "event")),
    (layer.Layer, "_handle_event", ("self", "event")),
    (layer.NextLayer, "__init__", ("self", "context", "ask_on_start")),
    (tunnel.TunnelLayer, "event_to_child", ("self", "event")),
    (tunnel.TunnelLayer, "_handshake_finished", ("self", "err")),
    (tunnel.TunnelLayer, "on_handshake_error", ("self", "err")),
    (tunnel.TunnelLayer, "receive_close", ("self",)),
    (tunnel.TunnelLayer, "send_close", ("self", "command")),
    (tls_layer.TLSLayer, "start_tls", ("self",)),
    (tls_layer.TLSLayer, "tls_interact", ("self",)),
    (tls_layer.ClientTLSLayer, "start_server_tls", ("self",)),
    (tls_layer.ClientTLSLayer, "receive_handshake_data", ("self", "data")),
    (tls_layer.ServerTLSLayer, "start_handshake", ("self",)),
    (server.ConnectionHandler, "open_connection", ("self", "command")),
    (server.ConnectionHandler, "handle_connection", ("self", "connection")),
    (server.ConnectionHandler, "handle_client", ("self",)),
    (server.ConnectionHandler, "handle_hook", ("self", "hook")),
    (server.ConnectionHandler, "server_event", ("self", "event")),
    (server.TimeoutWatchdog, "register_activity", ("self",)),
    (http_layer.HttpStream, "check_body_size", ("self", "request")),
    (websocket_layer.Fragmentizer, "FRAGMENT_SIZE", None),
    (mode_servers.ProxyConnectionHandler, "__init__", ("self", "master", "r", "w", "options", "mode")),
    (mode_servers.ServerInstance, "make", None),
    (mode_servers.ServerInstance, "handle_stream", ("self", "reader", "writer")),
    (mode_specs, "ReverseMode", None),
    (mode_specs, "RegularMode", None),
    (mode_specs, "UpstreamMode", None),
    (events, "OpenConnectionCompleted", None),
    (commands, "RequestWakeup", None),
    (commands, "CloseTcpConnection", None),
)


def check(needed: Sequence[tuple[object, str, tuple[str, ...] | None]]) -> None:
    """Refuse a version that lacks what we need.

    Raises:
        ConfigError: with the names that are missing, and what to do.
    """
    missing = []
    for owner, name, parameters in needed:
        found = inspect.getattr_static(owner, name, None)
        where = f"{getattr(owner, '__name__', owner)}.{name}"
        if found is None:
            missing.append(where)
        elif parameters is not None and tuple(inspect.signature(found).parameters)[: len(parameters)] != parameters:
            missing.append(f"{where}({', '.join(parameters)})")
    if missing:
        raise ConfigError(
            f"mitmproxy {mitmproxy.version.VERSION} is not one that alg knows ({', '.join(missing)} is not there); "
            f"install one of 'mitmproxy>={'.'.join(map(str, OLDEST))},<{NEXT_MAJOR}'"
        )


check(NEEDED)


def version_warning(version: str = mitmproxy.version.VERSION) -> str | None:
    """What to tell about a version that has all we need but was never tried; None for one that was."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if OLDEST <= numbers < (NEXT_MAJOR,):
        return None
    oldest = ".".join(map(str, OLDEST))
    return f"mitmproxy {version} was never tried with alg; known to work are {oldest} and later, below {NEXT_MAJOR}"


def deferred_options(options: OptManager) -> list[str]:
    """The names of options that were set and that nobody has declared."""
    return list(getattr(options, "deferred", ()))


# Connections and their handlers.


def stands_for_servers(mode: mode_specs.ProxyMode) -> bool:
    """Whether clients do not know of us, so that our end of a client's connection has the address of its server."""
    asked = mode_specs.ReverseMode, mode_specs.RegularMode, mode_specs.UpstreamMode, mode_specs.Socks5Mode
    return not isinstance(mode, asked)


def proxyserver() -> Proxyserver:
    """mitmproxy's addon that holds the listeners and the open connections."""
    addon: Proxyserver = ctx.master.addons.get("proxyserver")
    return addon


def keeps_host() -> bool:
    """Whether a reverse proxy tells its server what the client said in Host."""
    return bool(ctx.options.keep_host_header)


def server_instance(mode: mode_specs.ProxyMode) -> mode_servers.ServerInstance[mode_specs.ProxyMode]:
    """What handles connections in that mode; who calls `handle_stream` listens himself."""
    return mode_servers.ServerInstance.make(mode, proxyserver())


def go_before_next_layer(addon: object) -> None:
    """Have an addon be asked before mitmproxy's own choice of layers; one that is loaded by `-s` is anyway."""
    chain: list[object] = ctx.master.addons.chain
    guess = ctx.master.addons.get("nextlayer")
    if addon in chain and guess in chain and chain.index(addon) > chain.index(guess):
        chain.remove(addon)
        chain.insert(chain.index(guess), addon)


def handler_of(client: connection.Client) -> ProxyConnectionHandler | None:
    """What handles a client's connection, as long as it is open."""
    return proxyserver().connections.get(client.id)


def tunnel_of(handler: ProxyConnectionHandler | None, conn: connection.Connection) -> connection.Connection:
    """The connection to the upstream proxy through which that one goes; itself if there is none."""
    others = [each for each in handler.transports if isinstance(each, connection.Server)] if handler else []
    return next((each for each in others if each.peername), conn)


def _writer(handler: ProxyConnectionHandler | None, conn: connection.Connection) -> asyncio.StreamWriter | None:
    """What writes to a connection, if mitmproxy still has it and it is TCP."""
    transport = handler.transports.get(conn) if handler else None
    writer = transport.writer if transport else None
    return writer if isinstance(writer, asyncio.StreamWriter) else None


def say(handler: ProxyConnectionHandler | None, conn: connection.Connection, data: bytes) -> None:
    """Send bytes past all layers: for the last words to a client that has no layer of ours."""
    if (writer := _writer(handler, conn)) is not None:
        writer.write(data)


def closes_wholly(client: connection.Client) -> bool:
    """Whether half a close is a whole one: within an HTTP CONNECT tunnel mitmproxy knows no other."""
    return isinstance(client.proxy_mode, mode_specs.RegularMode | mode_specs.UpstreamMode)


def lacks_end(handler: ProxyConnectionHandler | None, conn: connection.Connection) -> bool:
    """Whether nobody has read the end of a connection that mitmproxy still has. Of one that is said to be closed: it
    was broken, or cut off by mitmproxy as idle, which takes both for an end."""
    transport = handler.transports.get(conn) if handler else None
    reader = transport.reader if transport else None
    return isinstance(reader, asyncio.StreamReader) and not reader.at_eof()


def reset(handler: ProxyConnectionHandler | None, conn: connection.Connection) -> None:
    """Have the peer see a reset once the connection is closed, and no orderly end; what is queued is dropped."""
    if (writer := _writer(handler, conn)) is not None:
        reset_stream(writer)


def reset_stream(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset; what is queued is dropped."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def close(handler: ProxyConnectionHandler | None, conn: connection.Connection) -> None:
    """Close a connection whose handler is over: mitmproxy leaves it open where that was cancelled while it ended."""
    if (writer := _writer(handler, conn)) is not None:
        writer.close()


def let_go_if_killed(held: flow.Flow) -> None:
    """Have a flow that is held back go on to its end, if it was killed: mitmproxy alone would wait for ever."""
    resumed = getattr(held, "_resume_event", None)
    if resumed is not None and held.error is not None and held.error.msg == flow.Error.KILLED_MESSAGE:
        resumed.set()


def set_reading(handler: ProxyConnectionHandler | None, conn: connection.Connection, *, on: bool) -> None:
    """Read a connection or not: mitmproxy itself reads on whatever a layer does."""
    writer = _writer(handler, conn)
    if writer is not None and isinstance(writer.transport, asyncio.Transport):
        with contextlib.suppress(RuntimeError):  # it is closed
            writer.transport.resume_reading() if on else writer.transport.pause_reading()


def ask_at_start(top: layer.Layer) -> None:
    """Have the next layer be chosen before the first byte: a server that speaks first, or nobody, may come next."""
    child = getattr(top, "child_layer", None)
    while isinstance(child, tunnel.TunnelLayer):
        child = child.child_layer
    if isinstance(child, layer.NextLayer):
        child._ask_on_start = True


def http_stream(handler: ProxyConnectionHandler, flow: http.HTTPFlow) -> layer.Layer | None:
    """The layer of an HTTP request; that of CONNECT is above what will be tunnelled."""
    for each in handler.layer.context.layers:
        for stream in getattr(each, "streams", {}).values():
            if getattr(stream, "flow", None) is flow:
                return stream  # type: ignore[no-any-return]
    return None


def keep_messages_whole() -> None:
    """Have a WebSocket message of another length be one frame: mitmproxy cuts it every so many bytes, and what is cut
    through a character is no text any more."""
    websocket_layer.Fragmentizer.FRAGMENT_SIZE = sys.maxsize


class _WithoutStreaming:
    """mitmproxy's options for one request, as if nobody had asked for bodies to be streamed."""

    stream_large_bodies = None

    def __init__(self, options: object) -> None:
        self._options = options

    def __getattr__(self, name: str) -> object:
        return getattr(self._options, name)


def hold_bodies(flow: http.HTTPFlow) -> None:
    """Have the bodies of a request that has just begun, and of its answer, be held until they are whole."""
    handler = handler_of(flow.client_conn)
    stream = http_stream(handler, flow) if handler else None
    if stream is not None:
        stream.context.options = _WithoutStreaming(stream.context.options)  # type: ignore[assignment]
    flow.request.stream = False


def is_resumed(tls: SSL.Connection) -> bool:
    """Whether an earlier TLS session was resumed. pyOpenSSL has no word for it."""
    lib: Any = vars(SSL)["_lib"]
    return bool(lib.SSL_session_reused(vars(tls)["_ssl"]))


def inject(event: TcpMessageInjected) -> bool:
    """Hand an event to the layer of its flow, through all that lie below; return whether that is still there."""
    try:
        proxyserver().inject_event(event)
    except ValueError:
        return False
    return True


# Exceptions in hooks: mitmproxy logs them and goes on with what was to be judged. We do not.

_hook_failed: contextvars.ContextVar[bool] = contextvars.ContextVar("alg_hook_failed", default=False)


class _FailureFilter(logging.Filter):
    """Notes in the context of a hook's task that an addon raised. It lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.levelno >= logging.ERROR:
            _hook_failed.set(True)
        return True


logging.getLogger(addonmanager.__name__).addFilter(_FailureFilter())


def forget_failures() -> None:
    """To be called before a hook is triggered: its task begins with a copy of this context."""
    _hook_failed.set(False)


def hook_failed() -> bool:
    """Whether an addon raised in the hook that has just been completed."""
    return _hook_failed.get()

"""HTTP/1.1 and WebSocket: a plugin that relays requests and maps the addresses inside."""

from alg_http.config import HttpConfig
from alg_http.plugin import HttpPlugin, WebSocketPlugin

__all__ = ["HttpConfig", "HttpPlugin", "WebSocketPlugin"]

"""HTTP/1.1 and WebSocket: a plugin that relays requests and maps the addresses inside."""

"""The WebSocket lab: real servers, clients and a browser, and a table of RFC 6455 and RFC 7692 cases."""

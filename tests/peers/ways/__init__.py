"""The lab of the explicit ways in: SOCKS4, 4a and 5, HTTP CONNECT, the PROXY protocol, and proxies behind the gateway."""

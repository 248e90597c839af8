"""The relay: the host that does real I/O, with asyncio's event loop and raw non-blocking sockets."""

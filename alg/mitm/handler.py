"""`RelatedHandler`: runs a related flow on sockets that did not come to one of mitmproxy's own listeners."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from mitmproxy import ctx
from mitmproxy.connection import ConnectionState

from alg.core.model import Endpoint
from alg.mitm import compat
from alg.mitm.compat import ConnectionIO, ProxyConnectionHandler, commands, events, mode_specs, server_hooks
from alg.mitm.legs import endpoint_of


@dataclass(slots=True)
class Stream:
    """A connected socket of a related flow."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def peer(self) -> Endpoint:
        """Who is at the other end."""
        return endpoint_of(self.writer.get_extra_info("peername"))

    def drop(self) -> None:
        """Close it with a reset, unless it is being closed already."""
        if not self.writer.is_closing():
            compat.reset_stream(self.writer)


def _mode(target: Endpoint) -> mode_specs.ReverseMode:
    """The mode to be shown: as if there were a reverse proxy. Made without `parse`, which remembers each for ever."""
    data = f"tcp://{target}"
    return mode_specs.ReverseMode(
        full_spec=f"reverse:{data}", data=data, custom_listen_host=None, custom_listen_port=None
    )


class RelatedHandler(ProxyConnectionHandler):
    """The client's side is a connected socket; the server's is another one, or is dialled like any of mitmproxy's."""

    def __init__(self, client: Stream, server: Stream | None, target: Endpoint) -> None:
        super().__init__(ctx.master, client.reader, client.writer, ctx.options, _mode(target))  # type: ignore[no-untyped-call]
        self._adopted = server
        self.layer.context.server.address = (str(target.address), target.port)

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """Take the server's socket that is there already, once; what follows is as with one that was dialled."""
        adopted, self._adopted = self._adopted, None
        if adopted is None:
            await super().open_connection(command)
            return
        # With an eager task factory we are still in the caller, who is about to enter this very task as the handler.
        await asyncio.sleep(0)
        conn = command.connection
        conn.timestamp_start = conn.timestamp_tcp_setup = time.time()
        conn.state = ConnectionState.OPEN
        conn.peername = adopted.writer.get_extra_info("peername")
        conn.sockname = adopted.writer.get_extra_info("sockname")
        self.transports[conn] = ConnectionIO(asyncio.current_task(), adopted.reader, adopted.writer)
        about = server_hooks.ServerConnectionHookData(client=self.client, server=conn)
        await self.handle_hook(server_hooks.ServerConnectedHook(about))
        await self.server_event(events.OpenConnectionCompleted(command, None))
        try:
            await self.handle_connection(conn)
        finally:
            conn.timestamp_end = time.time()
            await self.handle_hook(server_hooks.ServerDisconnectedHook(about))

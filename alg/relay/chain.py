"""`ProxyDial`: reaches a server through another proxy: connects to that, and asks it (`alg.core.proxy_client`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from alg.core.addresses import parse_address
from alg.core.errors import AlgError, ConnectError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.core.proxy_client import HEAD_LIMIT, ProxyClient
from alg.relay import sockets
from alg.relay.dialer import Dial
from alg.relay.services import Services
from alg.settings import Proxy


class ProxyDial:
    """One attempt for the first of the targets. Calls `on_connected` or `on_failed`, once, unless it is cancelled before.

    The proxy is looked up by its name each time; it is the operator's, so no rule is asked but that it is not ourselves.
    """

    __slots__ = (
        *(
            "_client",
            "_dial",
            "_on_connected",
            "_on_failed",
            "_proxy",
            "_services",
            "_sock",
            "_target",
            "_task",
            "_timer",
        ),
    )

    def __init__(
        self,
        services: Services,
        proxy: Proxy,
        targets: Sequence[Endpoint],
        *,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[AlgError], None],
    ) -> None:
        self._services = services
        self._proxy = proxy
        self._target = targets[0]
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._dial: Dial | None = None
        self._sock: socket.socket | None = None
        self._client: ProxyClient | None = None
        self._timer = services.connect_timeouts.begin(self._time_out)
        self._task = services.loop.create_task(self._resolve())

    async def _resolve(self) -> None:
        host, port = self._proxy.host, self._proxy.port
        try:
            self._services.gate.judge_dial(self._target)
        except PolicyError as error:
            self._fail(error)
            return
        try:
            addresses = [parse_address(host)]
        except ProtocolError:
            try:
                found = await self._services.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                self._fail(ConnectError(f"the proxy {host} cannot be resolved: {error}", reason="not_resolved"))
                return
            addresses = sockets.addresses_of(found)
        self._dial = Dial(
            self._services.loop,
            self._services.watcher,
            self._services.gate,
            self._services.budget,
            [Endpoint(address, port) for address in dict.fromkeys(addresses)],
            source=lambda _: None,
            timeouts=self._services.connect_timeouts,
            on_connected=self._connected,
            on_failed=lambda error: self._fail(ConnectError(f"the proxy {self._proxy}: {error}", reason=error.reason)),
        )

    def _connected(self, sock: socket.socket, _: Endpoint) -> None:
        self._sock = sock
        proxy = self._proxy
        try:
            self._client = ProxyClient(proxy.scheme, self._target, proxy.user, proxy.password)
            self._send()
        except (AlgError, OSError) as error:
            self._broken(error)
            return
        self._services.watcher.add_reader(sock.fileno(), self._readable)

    def _send(self) -> None:
        assert self._sock is not None
        assert self._client is not None
        if data := self._client.take():
            self._sock.send(data)  # some hundred bytes, into an empty buffer

    def _readable(self) -> None:
        sock, client = self._sock, self._client
        assert sock is not None
        assert client is not None
        try:
            # What comes behind the proxy's own bytes is the server's, and stays where it is.
            seen = sock.recv(HEAD_LIMIT, socket.MSG_PEEK)
            if not seen:
                raise ConnectError("it hung up", reason="proxy_failed")
            sock.recv(client.receive(seen))
            self._send()
        except (BlockingIOError, InterruptedError):
            return
        except (AlgError, OSError) as error:
            self._broken(error)
            return
        if client.done:
            self._sock = None
            self._services.watcher.remove_reader(sock.fileno())
            self._timer.cancel()
            self._on_connected(sock, self._target)

    def _broken(self, error: AlgError | OSError) -> None:
        if isinstance(error, OSError):
            error = ConnectError(error.strerror or str(error), reason="proxy_failed")
        kind = type(error)
        self._fail(kind(f"the proxy {self._proxy}: {error}", reason=error.reason))

    def _fail(self, error: AlgError) -> None:
        on_failed = self._on_failed
        self.cancel()
        on_failed(error)

    def _time_out(self) -> None:
        seconds = self._services.times.connect
        self._fail(
            ConnectError(f"no answer from the proxy {self._proxy} within {seconds:g} s", reason="connect_timeout")
        )

    def cancel(self) -> None:
        """Give up; nobody is called."""
        self._timer.cancel()
        if self._task is not asyncio.current_task():
            self._task.cancel()
        if self._dial:
            self._dial.cancel()
        if self._sock is not None:
            self._services.watcher.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None

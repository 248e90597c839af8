"""`Dial`: connects to the first of some endpoints that answers, within one deadline for all of them."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
from collections.abc import Callable, Sequence

from alg.core.addresses import Address
from alg.core.errors import ConnectError, PolicyError
from alg.core.model import Endpoint
from alg.core.policy import Gate
from alg.relay import sockets
from alg.relay.poller import Watcher
from alg.relay.timeouts import Timeouts


class Dial:
    """One attempt to connect. Calls `on_connected` or `on_failed`, once, unless it is cancelled before."""

    __slots__ = (
        "_error",
        "_failing",
        "_gate",
        "_loop",
        "_on_connected",
        "_on_failed",
        "_seconds",
        "_share",
        "_sock",
        "_source",
        "_targets",
        "_timer",
        "_watcher",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        watcher: Watcher,
        gate: Gate,
        targets: Sequence[Endpoint],
        *,
        source: Callable[[Endpoint], Address | None],
        timeouts: Timeouts,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[ConnectError | PolicyError], None],
    ) -> None:
        """`source` names the local address to dial a target from; one of `timeouts` is for all targets together."""
        self._loop = loop
        self._watcher = watcher
        self._gate = gate
        self._targets = list(targets)
        self._source = source
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._sock: socket.socket | None = None
        self._error: ConnectError | PolicyError = ConnectError("there is no address to connect to")
        self._failing: asyncio.Handle | None = None
        self._seconds = timeouts.seconds
        self._share = timeouts.seconds / max(1, len(targets))
        self._timer = timeouts.begin(self._time_out)
        self._next()

    def _next(self) -> None:
        """Try the next target; every dial is judged at its moment."""
        while self._targets:
            target = self._targets.pop(0)
            try:
                self._gate.judge_dial(target)
                self._sock = sockets.dial(target, self._source(target))
            except PolicyError as error:
                self._error = error
            except OSError as error:
                self._error = _failure(target, error.errno)
            else:
                self._watcher.add_writer(self._sock.fileno(), functools.partial(self._decided, self._sock, target))
                if self._targets:  # a target that does not answer must leave the others their share of the time
                    self._failing = self._loop.call_later(self._share, self._skip, target)
                return
        self._timer.cancel()
        # Never from within the constructor: the owner has not stored us yet.
        self._failing = self._loop.call_soon(self._on_failed, self._error)

    def _skip(self, target: Endpoint) -> None:
        self._give_up()
        self._error = ConnectError(f"{target}: no answer within {self._share:g} s", reason="connect_timeout")
        self._next()

    def _decided(self, sock: socket.socket, target: Endpoint) -> None:
        self._sock = None
        if self._failing:
            self._failing.cancel()
            self._failing = None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._watcher.forget(sock.fileno())
            sock.close()
            self._error = _failure(target, code)
            self._next()
        else:
            self._watcher.remove_writer(sock.fileno())
            self._timer.cancel()
            self._on_connected(sock, target)

    def _time_out(self) -> None:
        self.cancel()
        self._on_failed(ConnectError(f"no answer within {self._seconds:g} s", reason="connect_timeout"))

    def cancel(self) -> None:
        """Give up; nobody is called."""
        self._timer.cancel()
        self._targets.clear()
        if self._failing:
            self._failing.cancel()
            self._failing = None
        self._give_up()

    def _give_up(self) -> None:
        if self._sock is not None:
            self._watcher.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None


def _failure(target: Endpoint, code: int | None) -> ConnectError:
    reason = "connect_refused" if code == errno.ECONNREFUSED else "connect_failed"
    return ConnectError(f"{target}: {os.strerror(code or 0)}", reason=reason)

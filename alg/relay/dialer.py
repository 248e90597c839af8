"""`Dial`: connects to the first of some endpoints that answers, within one deadline for all of them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Protocol

from alg.core.addresses import Address
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError
from alg.core.model import Endpoint
from alg.core.policy import Gate
from alg.relay import sockets
from alg.relay.budget import Budget
from alg.relay.poller import Watcher
from alg.relay.timeouts import Timeouts

_DELAY = 0.25
"""Seconds that an address has for itself before the next one is tried beside it (RFC 8305 section 8: 250 ms)."""
_MOST = 8
"""Addresses of one name that are tried. Whoever owns a name says how many it has."""


class Attempt(Protocol):
    """An attempt to reach a server: connects, has another proxy connect, or waits for the server to come."""

    def cancel(self) -> None:
        """Give up; nobody is called."""


class Dial:
    """One attempt to connect. Calls `on_connected` or `on_failed`, once, unless it is cancelled before.

    The targets are tried in their order, those of the two families in turn; one that does not answer at once does not
    hold the next one up (RFC 8305, "happy eyeballs").
    """

    __slots__ = (
        "_budget",
        "_error",
        "_extra",
        "_gate",
        "_loop",
        "_next_try",
        "_on_connected",
        "_on_failed",
        "_seconds",
        "_source",
        "_targets",
        "_timer",
        "_transparent",
        "_trying",
        "_watcher",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        watcher: Watcher,
        gate: Gate,
        budget: Budget,
        targets: Sequence[Endpoint],
        *,
        source: Callable[[Endpoint], Address | None],
        timeouts: Timeouts,
        on_connected: Callable[[socket.socket, Endpoint], None],
        on_failed: Callable[[AlgError], None],
        transparent: bool = False,
    ) -> None:
        """`source` names the local address to dial a target from, with `transparent` also one that is not ours; one of
        `timeouts` is for all targets together. Whoever dials has taken one descriptor from the budget; the targets that are
        tried beside the first take theirs here."""
        self._loop = loop
        self._watcher = watcher
        self._gate = gate
        self._budget = budget
        self._extra = 0
        """Descriptors that were taken here."""
        self._targets = _in_turn(targets)[:_MOST]
        self._source = source
        self._transparent = transparent
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._trying: dict[socket.socket, Endpoint] = {}
        self._error: AlgError = ConnectError("there is no address to connect to")
        self._next_try: asyncio.Handle | None = None
        self._seconds = timeouts.seconds
        self._timer = timeouts.begin(self._time_out)
        self._try_next()

    def _try_next(self) -> None:
        """Try the next target beside those that have not answered yet; every dial is judged at its moment."""
        self._stop_waiting()
        if self._targets and not self._take_place():
            self._next_try = self._loop.call_later(_DELAY, self._try_next)
            return
        while self._targets:
            target = self._targets.pop(0)
            try:
                self._gate.judge_dial(target)
                sock = sockets.dial(target, self._source(target), transparent=self._transparent)
            except PolicyError as error:
                self._error = error
            except OSError as error:
                self._error = _failure(target, error.errno)
            else:
                self._trying[sock] = target
                self._watcher.add_writer(sock.fileno(), partial(self._decided, sock, target))
                if self._targets:
                    self._next_try = self._loop.call_later(_DELAY, self._try_next)
                return
        if not self._trying:
            self._timer.cancel()
            self._give_places_back()
            # Never from within the constructor: the owner has not stored us yet.
            self._next_try = self._loop.call_soon(self._on_failed, self._error)

    def _take_place(self) -> bool:
        """Take a descriptor, where that for the first target is in use; return whether there is one."""
        if len(self._trying) > self._extra:
            try:
                self._budget.take_descriptor()
            except BindError:
                return False
            self._extra += 1
        return True

    def _give_places_back(self) -> None:
        for _ in range(self._extra):
            self._budget.give_descriptor()
        self._extra = 0

    def _stop_waiting(self) -> None:
        if self._next_try:
            self._next_try.cancel()
            self._next_try = None

    def _decided(self, sock: socket.socket, target: Endpoint) -> None:
        del self._trying[sock]
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._watcher.forget(sock.fileno())
            sock.close()
            self._error = _failure(target, code)
            self._try_next()
            return
        self._watcher.remove_writer(sock.fileno())
        self.cancel()
        self._on_connected(sock, target)

    def _time_out(self) -> None:
        self.cancel()
        self._on_failed(ConnectError(f"no answer within {self._seconds:g} s", reason="connect_timeout"))

    def comes_from(self, endpoint: Endpoint) -> bool:
        """Whether that is the local end of one of its sockets."""
        return any(sockets.endpoint_of(sock.getsockname()) == endpoint for sock in self._trying)

    def cancel(self) -> None:
        """Give up what is not decided; nobody is called."""
        self._timer.cancel()
        self._targets.clear()
        self._stop_waiting()
        trying, self._trying = self._trying, {}
        for sock in trying:
            self._watcher.forget(sock.fileno())
            sock.close()
        self._give_places_back()


def _in_turn(targets: Sequence[Endpoint]) -> list[Endpoint]:
    """The targets of the first one's family and those of the other in turn (RFC 8305 section 4)."""
    if len(targets) < 3:
        return list(targets)
    first = [target for target in targets if target.address.version == targets[0].address.version]
    others = [target for target in targets if target.address.version != targets[0].address.version]
    return [target for target in chain.from_iterable(zip_longest(first, others)) if target is not None]


def _failure(target: Endpoint, code: int | None) -> ConnectError:
    reason = _REASONS.get(code or 0, "connect_failed")
    return ConnectError(f"{target}: {os.strerror(code or 0)}", reason=reason)


_REASONS = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ENETUNREACH: "network_unreachable",
    errno.EHOSTUNREACH: "host_unreachable",
    errno.ETIMEDOUT: "connect_timeout",
}

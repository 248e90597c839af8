"""`Resolution`: where a client wants to go: whether the route allows it, and at which addresses that is.

Never an open relay: a host passes by an entry of the route's allow list only, and so do its addresses. A name is looked up
once; what was judged is what is dialled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from alg.certificates import matches
from alg.core.addresses import (
    Address,
    is_link_local,
    is_public,
    is_this_host,
    is_unicast,
    names_this_host,
    parse_address,
    within,
)
from alg.core.errors import AlgError, ConnectError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.own_address import is_own_address
from alg.relay.services import Services
from alg.relay.timeouts import Timeout
from alg.settings import PUBLIC, Route, Upstream


class Resolution:
    """One host and port, for one client. Calls `on_found` with its endpoints, or `on_failed`, once, unless it is cancelled before.

    What `claims` knows is somebody's already, and needs no rule: a connection that was announced to this client.
    """

    __slots__ = ("_claims", "_client", "_entries", "_on_failed", "_on_found", "_services", "_task", "_timer", "_wanted")

    def __init__(
        self,
        services: Services,
        route: Route,
        wanted: Upstream,
        client: Address,
        *,
        on_found: Callable[[Sequence[Endpoint]], None],
        on_failed: Callable[[AlgError], None],
        claims: Callable[[Endpoint], bool] = lambda _: False,
    ) -> None:
        self._services = services
        self._wanted = wanted
        self._client = client
        self._on_found = on_found
        self._on_failed = on_failed
        self._claims = claims
        self._task: asyncio.Task[None] | None = None
        self._timer: Timeout | None = None
        self._entries = [each for each in route.allowed if each.port in (None, wanted.port)]

    def begin(self) -> None:
        """Judge the host; resolve it if it is a name; judge its addresses."""
        host = self._wanted.host
        try:
            self._judge([parse_address(host)], by_name=False)
        except ProtocolError:
            if any(not isinstance(entry.host, str) or _names(entry.host, host) for entry in self._entries):
                self._timer = self._services.connect_timeouts.begin(self._time_out)
                self._task = self._services.loop.create_task(self._resolve())
            else:
                self._fail_soon(self._refusal("is none of the upstreams that this route allows"))

    async def _resolve(self) -> None:
        host, port = self._wanted.host, self._wanted.port
        try:
            addresses = await self._services.lookups.find(self._client, host, port)
        except (OSError, UnicodeError) as error:
            self._on_failed(ConnectError(f"{host} cannot be resolved: {error}", reason="not_resolved"))
            return
        finally:
            if self._timer:
                self._timer.cancel()
        self._judge(addresses, by_name=True)

    def _time_out(self) -> None:
        on_failed, host = self._on_failed, self._wanted.host
        self.cancel()
        on_failed(ConnectError(f"{host} was not resolved in time", reason="not_resolved"))

    def _judge(self, addresses: Sequence[Address], *, by_name: bool) -> None:
        found = [Endpoint(address, self._wanted.port) for address in dict.fromkeys(addresses)]
        allowed = [each for each in found if self._claims(each) or self._allows(each.address, by_name=by_name)]
        if allowed:
            self._on_found(allowed)
        else:
            self._fail_soon(self._refusal("leads to no address that this route allows"))

    def _allows(self, address: Address, *, by_name: bool) -> bool:
        """A network allows its addresses, but this host and what is good on one link only if it lies there, and our own
        addresses only one by one. A name allows where it leads, but none of these, and what is private only if the name
        stands there in full: who owns a domain makes names below it, and says where they lead.
        """
        networks = tuple(entry.host for entry in self._entries if not isinstance(entry.host, str))
        if not is_unicast(address):
            return False
        if is_this_host(address):
            return names_this_host(address, networks)
        if is_own_address(address):
            return within(address, tuple(each for each in networks if each.num_addresses == 1))
        if is_link_local(address):
            return within(address, tuple(each for each in networks if each.is_link_local))
        if within(address, networks):
            return True
        names = [entry.host for entry in self._entries if isinstance(entry.host, str)]
        if PUBLIC in names and is_public(address):
            return True
        named = [name for name in names if _names(name, self._wanted.host)]
        return by_name and bool(named) and (is_public(address) or any("*" not in name for name in named))

    def _refusal(self, why: str) -> PolicyError:
        return PolicyError(f"{self._wanted} {why}", reason="upstream_refused")

    def _fail_soon(self, error: AlgError) -> None:
        # Whoever asked may be gone by then.
        self._services.loop.call_soon(lambda: self._on_failed(error))

    def cancel(self) -> None:
        """Give up; nobody is called."""
        if self._timer:
            self._timer.cancel()
        if self._task:
            self._task.cancel()
        self._on_failed = self._on_found = _nobody


def _names(entry: str, host: str) -> bool:
    return entry == PUBLIC or matches(host, [entry])


def _nobody(*_: object) -> None:
    """Whoever asked is gone."""

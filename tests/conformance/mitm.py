"""The stage of mitmproxy: a `DumpMaster` in this process with the gateway's addon, on real sockets, as a reverse proxy.

All that depends on how the addon is made and asked stands in `MitmGateway`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import cache
from ipaddress import ip_network
from types import TracebackType
from typing import Self

from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from alg.core.addresses import Address
from alg.core.model import Endpoint, Side, TlsPolicy
from alg.core.plugin import StreamPlugin
from alg.core.policy import TargetRules
from alg.mitm.addon import Gateway
from alg.registry import Registry
from tests import pki
from tests.conformance.sockets import SocketPeer, Sockets, SocketTarget, shake_as_server
from tests.conformance.stage import Terms, Who
from tests.relay.peers import DEADLINE, SERVER, Host, Peer
from tests.relay.tls_peer import TlsPeer

LISTEN = "127.0.0.1"
LOGGERS = (logging.getLogger("alg"), logging.getLogger("mitmproxy"))


class MitmGateway:
    """A mitmproxy with the addon, and what there is to be asked of it."""

    def __init__(self, server: Endpoint, plugin: type[StreamPlugin[object]], terms: Terms) -> None:
        self._terms = terms
        options = Options(confdir=str(confdir()), mode=[f"reverse:tcp://{server}@{LISTEN}:0"])
        self.master = DumpMaster(options, asyncio.get_running_loop(), with_termlog=False, with_dumper=False)
        self.addon = Gateway(registry())
        self.master.addons.add(self.addon)
        trusted = str(pki.ca_file()) if terms.tls else None
        options.update(
            alg_plugins=[f"*={plugin.__module__}:{plugin.__qualname__}"], ssl_verify_upstream_trusted_ca=trusted
        )
        self._set_terms()

    def _set_terms(self) -> None:
        """What a file would say: the options have no place for it where a plugin is named as `module:Class`."""
        services, terms = self.addon.services, self._terms
        treatment = services.settings.any_port
        assert treatment is not None, "`*=` was said"
        named = {
            side: TargetRules(networks=tuple(ip_network(Sockets.address(who)) for who in parties))
            for side, parties in terms.targets.items()
        }
        tls = {side: TlsPolicy.CLIENT if side in terms.tls else TlsPolicy.NEVER for side in Side}
        treatment = replace(
            treatment,
            targets={**treatment.targets, **named},
            tls=tls,
            config=treatment.config if terms.config is None else terms.config,
        )
        services.settings = replace(services.settings, any_port=treatment)
        services.gate.limits = terms.limits

    @property
    def listens_at(self) -> Endpoint:
        """Where its reverse proxy listens."""
        address, port, *_ = self.master.addons.get("proxyserver").listen_addrs()[0]
        return Endpoint.parse(address, port)

    @property
    def records(self) -> list[str]:
        """The reasons of all records."""
        return self.addon.records

    @property
    def is_idle(self) -> bool:
        """Whether no session is open."""
        return not self.addon.sessions.open

    def check_empty(self) -> None:
        """Nothing is held by anybody."""
        services = self.addon.services
        left = len(self.addon.sessions.open), services.gate.pending_leases, services.ports.taken
        assert left == (0, 0, 0), f"sessions, leases, ports are left: {left}"

    async def stop_listening(self) -> None:
        """No further client is accepted."""
        await self.master.addons.get("proxyserver").servers.update([])


@cache
def registry() -> Registry:
    """One for all cases: to look for entry points takes longer than most of them."""
    return Registry()


@cache
def confdir() -> str:
    """The folder of mitmproxy's CA, which is made once."""
    folder = pki.folder() / "mitmproxy"
    folder.mkdir()
    return str(folder)


async def shake_as_client(peer: Peer) -> Peer:
    """TLS where the gateway's client speaks; it trusts mitmproxy's CA."""
    return await TlsPeer.cover(peer, ssl.create_default_context(cafile=f"{confdir()}/mitmproxy-ca-cert.pem"))


class MitmStage:
    """A mitmproxy with one mode."""

    def __init__(self) -> None:
        self._sockets = Sockets(shake_as_client)
        self._stack = AsyncExitStack()
        self._news = News()
        self._gateway: MitmGateway | None = None

    async def __aenter__(self) -> Self:
        self._host = self._stack.enter_context(Host(SERVER))
        self._stack.enter_context(self._news)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._stack:
            self._sockets.kept.close()
            if self._gateway is not None:
                await self._stop(self._gateway)
                if error is None:
                    self._gateway.check_empty()
                    assert not self._news.errors, f"mitmproxy complained: {self._news.errors}"

    async def _stop(self, gateway: MitmGateway) -> None:
        await gateway.stop_listening()
        handling = asyncio.all_tasks() - self._lasting - {asyncio.current_task()}
        late: set[asyncio.Task[object]] = set()
        if handling:
            _, late = await asyncio.wait(handling, timeout=DEADLINE)
        gateway.master.shutdown()
        await self._running
        assert not late, f"connections are still handled: {late}"

    # What a case may do.

    def address(self, who: Who) -> Address:
        """Where that party lives."""
        return Sockets.address(who)

    @property
    def third_party(self) -> Address:
        """Somebody else."""
        return self._sockets.third_party

    @property
    def gateway(self) -> Endpoint:
        """Where clients arrive."""
        assert self._gateway is not None, "`begin` comes first"
        return self._gateway.listens_at

    async def begin(
        self, plugin: type[StreamPlugin[object]], terms: Terms | None = None
    ) -> tuple[SocketPeer, SocketPeer]:
        """Start mitmproxy, and begin a session."""
        self._gateway = MitmGateway(self._host.endpoint, plugin, terms or Terms())
        ready = _Ready()
        self._gateway.master.addons.add(ready)
        self._running = asyncio.create_task(self._gateway.master.run())
        async with asyncio.timeout(DEADLINE):
            await ready.said.wait()
        self._lasting = asyncio.all_tasks()
        return await self.again()

    async def again(self) -> tuple[SocketPeer, SocketPeer]:
        """Begin a further session."""
        client = await self._sockets.connect(self.gateway, Who.CLIENT)
        return client, self._sockets.keep(SocketPeer(await self._host.accept(), shake_as_server))

    async def connect(self, to: Endpoint, who: Who) -> SocketPeer:
        """Have a party connect."""
        return await self._sockets.connect(to, who)

    async def refused(self, to: Endpoint, who: Who) -> bool:
        """Whether it is turned away."""
        return await self._sockets.refused(to, who)

    def listen(self, who: Who, port: int = 0) -> SocketTarget:
        """Have a party listen."""
        return self._sockets.listen(who, port)

    @property
    def records(self) -> list[str]:
        """The reasons of all records."""
        return self._gateway.records if self._gateway else []

    async def recorded(self, reason: str, count: int = 1) -> None:
        """Wait until it is there."""
        async with asyncio.timeout(DEADLINE):
            while self.records.count(reason) < count:
                await self._news.more()

    async def over(self) -> None:
        """Wait until there is no session, and hold that there is nothing else."""
        assert self._gateway is not None, "`begin` comes first"
        async with asyncio.timeout(DEADLINE):
            while not self._gateway.is_idle:
                await self._news.more()
        self._gateway.check_empty()


class _Ready:
    """An addon that says when mitmproxy listens."""

    def __init__(self) -> None:
        self.said = asyncio.Event()

    def running(self) -> None:
        """It does."""
        self.said.set()


class News(logging.Handler):
    """Hears that something was logged: a record of the gateway's, or an error of mitmproxy's."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.errors: list[str] = []
        self._heard = asyncio.Event()

    def __enter__(self) -> Self:
        self._levels = [logger.level for logger in LOGGERS]
        for logger in LOGGERS:
            logger.addHandler(self)
            logger.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger, level in zip(LOGGERS, self._levels, strict=True):
            logger.removeHandler(self)
            logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """There is one more."""
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())
        self._heard.set()

    async def more(self) -> None:
        """Wait for the next one."""
        self._heard.clear()
        await self._heard.wait()

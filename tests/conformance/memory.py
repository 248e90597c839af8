"""The stage in memory: `alg.testing.Playbook` plays the master flow and each related flow, and here is what a playbook
leaves to its author: who comes to a listener, where a dial leads, and what the time is.

Nothing ever waits: what has not come at once will not come.
"""

from __future__ import annotations

from ipaddress import ip_network
from types import TracebackType
from typing import Self

from alg.core.addresses import Address, parse_address
from alg.core.errors import PolicyError
from alg.core.model import Endpoint, Side, TlsPolicy
from alg.core.plugin import StreamPlugin
from alg.core.policy import TargetRules
from alg.core.shared import SharedLease, SharedLeases
from alg.testing import Playbook, endpoint
from tests.conformance.memory_network import MemoryPeer, MemoryTarget
from tests.conformance.memory_session import MemorySession
from tests.conformance.stage import Terms, Who

ADDRESSES = {Who.CLIENT: "10.77.1.2", Who.SERVER: "10.77.2.2", Who.STRANGER: "10.77.9.9"}
THIRD_PARTY = "192.0.2.9"
GATEWAY = "10.77.1.1:2121"


class MemoryStage:
    """A playbook for each session, and the hosts around them."""

    def __init__(self) -> None:
        self._sessions: list[MemorySession] = []
        self._records: list[str] = []
        self._targets: dict[Endpoint, MemoryTarget] = {}
        self._plugin: type[StreamPlugin[object]] | None = None
        self._terms = Terms()
        self._shared = SharedLeases(0)
        self._next_port = 41000
        self._now = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def address(self, who: Who) -> Address:
        """Where that party lives."""
        return parse_address(ADDRESSES[who])

    @property
    def third_party(self) -> Address:
        """Somebody else."""
        return parse_address(THIRD_PARTY)

    @property
    def gateway(self) -> Endpoint:
        """Where clients arrive."""
        return endpoint(GATEWAY)

    async def begin(
        self, plugin: type[StreamPlugin[object]], terms: Terms | None = None
    ) -> tuple[MemoryPeer, MemoryPeer]:
        """Begin a session."""
        self._plugin, self._terms = plugin, terms or Terms()
        self._shared = SharedLeases(self._terms.limits.shared)
        return await self.again()

    async def again(self) -> tuple[MemoryPeer, MemoryPeer]:
        """Begin a further one. Each playbook is a gateway of its own, but for the listeners that sessions share."""
        client = Endpoint(self.address(Who.CLIENT), self._free_port())
        return self._session(client, self.gateway, Endpoint(self.address(Who.SERVER), 7000)).peers()

    def _session(self, client: Endpoint, local: Endpoint, server: Endpoint, name: str | None = None) -> MemorySession:
        assert self._plugin is not None, "`begin` comes first"
        talk = Playbook(
            self._plugin,
            self._terms.config,
            client=str(client),
            client_local=str(local),
            server=str(server),
            upstream_name=name,
            shared=self._shared,
            client_tls=self._policy(Side.CLIENT),
            server_tls=self._policy(Side.SERVER),
            targets={
                side: TargetRules(networks=tuple(ip_network(self.address(who)) for who in named))
                for side, named in self._terms.targets.items()
            },
            limits=self._terms.limits,
        )
        talk.now = self._now
        session = MemorySession(talk, self._targets, self._free_port)
        self._sessions.append(session)
        return session

    def _policy(self, side: Side) -> TlsPolicy:
        return TlsPolicy.CLIENT if side in self._terms.tls else TlsPolicy.NEVER

    def _free_port(self) -> int:
        self._next_port += 1
        return self._next_port

    async def connect(self, to: Endpoint, who: Who) -> MemoryPeer:
        """Have a party connect to a listener of a playbook."""
        for session in self._sessions:
            if session.listens_at(to):
                return session.come(to, Endpoint(self.address(who), self._free_port()))
        for lease in self._shared:
            if lease.endpoint == to:
                return self._come(lease, Endpoint(self.address(who), self._free_port()))
        raise ConnectionRefusedError(f"nobody listens at {to}")

    def _come(self, lease: SharedLease, source: Endpoint) -> MemoryPeer:
        """Somebody connects to what all sessions share: that is a session of its own."""
        try:
            lease.admit(source.address, self._now)
        except PolicyError as error:
            self._records.append(error.reason)
            raise ConnectionResetError(str(error)) from None
        assert lease.endpoint is not None, "it listens"
        server = lease.key.target
        peer, accepted = self._session(source, lease.endpoint, server.target, server.name).peers()
        self._targets[server.target].came.append(accepted)
        return peer

    async def refused(self, to: Endpoint, who: Who) -> bool:
        """Whether it is turned away."""
        try:
            peer = await self.connect(to, who)
        except ConnectionError:
            return True
        return peer.is_over and not peer.waiting

    def listen(self, who: Who, port: int = 0) -> MemoryTarget:
        """Have a party listen."""
        at = Endpoint(self.address(who), port or self._free_port())
        self._targets[at] = target = MemoryTarget(at)
        return target

    @property
    def records(self) -> list[str]:
        """The reasons of all records."""
        return self._records + [reason for session in self._sessions for reason in session.reasons]

    async def recorded(self, reason: str, count: int = 1) -> None:
        """Let time pass until it is there, from deadline to deadline."""
        while self.records.count(reason) < count:
            self._now = min(session.next_deadline for session in self._sessions)
            assert self._now < float("inf"), f"{reason} was not recorded {count} times: {self.records}"
            for session in self._sessions:
                session.pass_time(self._now)

    async def over(self) -> None:
        """All sessions have ended."""
        for session in self._sessions:
            session.check_over()

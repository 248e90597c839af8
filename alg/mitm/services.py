"""`Services`: what all sessions in one mitmproxy share: the gate, ports, numbers, records; and how flows begin."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Coroutine

from mitmproxy.connection import Client, Server

from alg.core.addresses import Address
from alg.core.machines import make_plugin
from alg.core.model import Endpoint, Expectation, PortRange, Side
from alg.core.plugin import StreamPlugin
from alg.core.policy import Gate
from alg.core.ports import PortPool
from alg.core.session import Lease
from alg.mitm import compat
from alg.mitm.compat import Context, mode_specs
from alg.mitm.handler import RelatedHandler
from alg.mitm.layer import FlowLayer, Preview
from alg.mitm.lease import MitmLease, Stream
from alg.mitm.legs import endpoint_of, literal
from alg.mitm.session import MitmSession
from alg.mitm.settings import MitmSettings, Policy, Treatment
from alg.registry import Registry

_RECORDS_KEPT = 10_000


def is_own_address(address: Address) -> bool:
    """Whether an address is configured on this machine: whether one may bind it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


class Services:
    """Made once for each gateway."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.settings = MitmSettings()
        self.gate = Gate(self.settings.limits.leases, is_own_address=is_own_address)
        self.sessions: dict[int, MitmSession] = {}
        """Those that are open."""
        self.records: deque[str] = deque(maxlen=_RECORDS_KEPT)
        """The reasons of the newest records."""
        self.layers: dict[str, FlowLayer] = {}
        """Those of all connections that were claimed, by mitmproxy's number of the client's connection."""
        self._numbers = 0
        self._pools: dict[tuple[Address, PortRange], PortPool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: list[Endpoint] = []
        """mitmproxy's own listeners, as the gate knows them."""

    def port_pool(self, address: Address, ports: PortRange) -> PortPool:
        """The pool of a range at one local address."""
        key = (address, ports)
        if key not in self._pools:
            self._pools[key] = PortPool(ports, secrets.randbelow)
        return self._pools[key]

    @property
    def ports_taken(self) -> int:
        """How many ports of all pools are taken."""
        return sum(pool.taken for pool in self._pools.values())

    def run(self, work: Coroutine[object, object, None]) -> None:
        """Have something done beside all else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Sessions.

    def control_layer(self, context: Context, treatment: Treatment) -> FlowLayer:
        """A session begins with the layer of its control channel."""
        mode, policy = context.client.proxy_mode, self.settings.policy
        observes = policy is Policy.OBSERVE or (policy is Policy.AUTO and not isinstance(mode, mode_specs.ReverseMode))
        self._learn_listeners()
        self._numbers += 1
        session = MitmSession(
            self,
            self._numbers,
            treatment,
            observes=observes,
            transparent=compat.stands_for_servers(mode),
        )
        options = context.options
        if isinstance(mode, mode_specs.ReverseMode) and not options.keep_host_header and context.server.sni is None:
            context.server.sni = mode.address[0]
        assert context.server.address is not None
        session.master = FlowLayer(
            context,
            session,
            name=f"{_show(context.client.peername)} -> {_show(context.server.address)}",
            preview=Preview(self.settings.preview),
            plugin=make_plugin(treatment.plugin, treatment.config),
            covered=tuple(Side) if treatment.implicit else (),
        )
        self.layers[context.client.id] = session.master
        return session.master

    def session_began(self, session: MitmSession) -> None:
        """It has both its legs."""
        self.sessions[session.number] = session

    def session_ended(self, session: MitmSession) -> None:
        """Its last flow is over."""
        self.sessions.pop(session.number, None)

    # Related flows.

    def make_lease(self, session: MitmSession, lease: Lease, asker: FlowLayer) -> MitmLease:
        """What is to stand behind a lease."""
        return MitmLease(session, lease, asker)

    def _learn_listeners(self) -> None:
        """mitmproxy's own listeners are never a target; they come and go with its option `mode`."""
        listening = [endpoint_of(address) for address in compat.proxyserver().listen_addrs()]
        if listening != self._listening:
            for endpoint in self._listening:
                self.gate.remove_socket(endpoint)
            for endpoint in listening:
                self.gate.add_socket(endpoint)
            self._listening = listening

    def judge_targets(self, expectation: Expectation) -> None:
        """Judge the targets again: by now mitmproxy may listen elsewhere.

        Raises:
            PolicyError: `self_target`.
        """
        self._learn_listeners()
        for target in expectation.targets:
            self.gate.judge_dial(target)

    def related_layer(self, context: Context, lease: MitmLease, name: str) -> FlowLayer:
        """The layer of a flow that came through a lease.

        Raises:
            AlgError: it cannot begin.
        """
        session = lease.session
        layer = FlowLayer(
            context,
            session,
            name=name,
            preview=Preview(self.settings.preview),
            plugin=self._related_plugin(lease),
            covered=lease.covered,
            on_closed=lambda closed: session.tell_related_over(lease.asker, lease.lease.number, closed.outcome),
        )
        session.claim(layer)
        self.layers[context.client.id] = layer
        return layer

    def _related_plugin(self, lease: MitmLease) -> StreamPlugin[object] | None:
        name = lease.lease.expectation.plugin
        if name is None:
            return None
        treatment = lease.session.treatment
        if name == treatment.name:
            return make_plugin(treatment.plugin, treatment.config)
        return make_plugin(self.registry.find(name))

    async def run_related(self, lease: MitmLease, streams: dict[Side, Stream]) -> None:
        """Run a related flow whose client is connected, until it is over; its server may be yet to be dialled.

        Raises:
            AlgError: it cannot begin.
        """
        client, server = streams[Side.CLIENT], streams.get(Side.SERVER)
        expectation = lease.lease.expectation
        target = server.peer if server else expectation.targets[0]
        if server is None:
            self.gate.judge_dial(target)
        handler = RelatedHandler(client, server, target)
        context = handler.layer.context
        if server is None and (source := lease.session.local_address(Side.SERVER, target)) is not None:
            context.server.sockname = (str(source), 0)
        lease.session.name_server(context.server)
        handler.layer = self.related_layer(context, lease, f"{client.peer} -> {target}")
        with compat.proxyserver().register_connection(context.client.id, handler):
            await handler.handle_client()

    def watching(self, context: Context) -> MitmLease | None:
        """The lease that waits for this connection, which came through the proxy."""
        client, server = context.client.peername, context.server
        if client is None or server.address is None:
            return None
        peer = endpoint_of(client).address
        for session in self.sessions.values():
            for lease in session.leases:
                if lease.watched is not None and lease.watches(peer, self._target(server, session, lease.watched)):
                    return lease
        return None

    def _target(self, server: Server, session: MitmSession, watched: Endpoint) -> Endpoint | None:
        """Where a connection really goes, as seen by the session that watches for it."""
        if server.peername is not None:
            return endpoint_of(server.peername)
        assert server.address is not None and session.master is not None
        control = session.master.context.server.address
        if control is not None and server.address == (control[0], watched.port):
            return watched  # the same name as that of the control channel, where it is not resolved here
        return literal(server.address)

    def aliased(self, client: Client, server: Server) -> Endpoint | None:
        """Where a client means to go that names the stand-in which it was told; None if it means what it says."""
        named = literal(server.address)
        if client.peername is None or named is None:
            return None
        peer = endpoint_of(client.peername).address
        for session in self.sessions.values():
            for lease in session.leases:
                if lease.endpoints.get(Side.CLIENT) == named != lease.watched and lease.watches(peer, lease.watched):
                    return lease.watched
        return None

    # The end.

    def close(self) -> None:
        """mitmproxy ends: nothing listens any more."""
        for session in list(self.sessions.values()):
            for lease in session.leases:
                session.close_binding(lease.lease.number)
        for task in self._tasks:
            task.cancel()


def _show(address: tuple[object, ...] | None) -> str:
    if address is None:
        return "?"
    host, port, *_ = address
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

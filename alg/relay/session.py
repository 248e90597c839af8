"""`RelayedSession`: one client conversation in the relay: its master flow, its leases with their listeners, and the
related flows that came through them. It dies as a whole: no listener outlives it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace

from alg.core.addresses import Address, is_this_host, name_of
from alg.core.binding import Field
from alg.core.commands import ConnectUpstream, OpenBinding, Record
from alg.core.errors import AlgError, BindError, ConnectError, TlsError
from alg.core.events import BindingOpened, CommandFailed, Event, UpstreamConnected
from alg.core.machines import make_machine
from alg.core.model import Endpoint, Leg, Side
from alg.core.plugin import Plugin
from alg.core.proxy_protocol import format_header
from alg.core.session import Session
from alg.relay import sockets
from alg.relay.choice import Choice
from alg.relay.dialer import Attempt, Dial
from alg.relay.entrance import Entrance
from alg.relay.flow import RelayedFlow
from alg.relay.incoming import Incoming
from alg.relay.leases import Leases
from alg.relay.leg import LegSocket
from alg.relay.no_leg import NoLeg
from alg.relay.reach import reach
from alg.relay.records import wanted
from alg.relay.services import Services
from alg.relay.session_records import SessionRecords
from alg.relay.timeouts import Timeouts
from alg.relay.tls import TlsEngine
from alg.relay.tls_settings import SessionTls
from alg.relay.visitor import Visitor
from alg.settings import Way


def _nothing() -> None:
    """What there is to do when the upstream is no longer connected to: the client is refused anyway."""


class RelayedSession:
    """Begins when a client is accepted, ends when its last flow is closed."""

    __slots__ = (
        "_awaits",
        "_choice",
        "_closed",
        "_dials",
        "_leases",
        "_local",
        "_on_closed",
        "_over",
        "_plugin",
        "_records",
        "_shared",
        "_tls",
        "_upstream",
        "_upstream_host",
        "_visitor",
        "asks",
        "began",
        "core",
        "flows",
        "foreign",
        "legs",
        "master",
        "number",
        "peer",
        "route",
        "server",
        "services",
        "share",
    )

    def __init__(
        self,
        services: Services,
        listener: Entrance,
        number: int,
        visitor: Visitor,
        plugin: Plugin[object] | None,
        on_closed: Callable[[RelayedSession], None],
    ) -> None:
        """`visitor` is the client, `plugin` treats the master flow (None: it is opaque)."""
        self.services = services
        self._on_closed = on_closed
        self.route = listener.route
        self.number = number
        self._shared = listener.shared
        self.peer = peer = visitor.peer
        self.core = Session(
            number, peer.address, services.gate, listener.targets, listener.shared.leases, party=visitor.party
        )
        self.share = 0
        """What was taken from the budget."""
        self.began = services.loop.time()
        self._local = listener.local
        self.legs: dict[Side, Leg] = {}
        self.master: RelayedFlow | None = None
        self.flows: set[RelayedFlow] = set()
        self._visitor: Visitor | None = visitor
        """The client until the upstream is connected."""
        self.asks = self.route.way in (Way.SOCKS, Way.CONNECT)
        self.foreign = self.route.foreign
        self._closed = False
        self._over = False
        """Whether the master flow has ended."""
        self._leases = Leases(self)
        self._records = SessionRecords(self.route.plugin.name, number, services.limits.records_per_session)
        self._dials: dict[Attempt, Callable[[], None]] = {}
        """What is being connected, and what to do if that is given up."""
        self._plugin = plugin
        self._tls = SessionTls(listener.tls) if listener.tls else None
        self._choice: Choice | None = None
        """The server that the client chose, while it is being connected to."""
        self._upstream: Attempt | None = None
        self._upstream_host = ""
        self.server: Endpoint | None = None
        """The upstream, once it is connected."""
        self._awaits = bool(listener.awaited)
        """Whether the server comes to us (SOCKS BIND)."""
        if self._awaits:
            self._set_client_leg(visitor)
            self._upstream = Incoming(
                self,
                visitor,
                listener.awaited,
                on_connected=self._upstream_connected,
                on_failed=self._upstream_failed,
            )
            self.add_dial(self._upstream, on_cancel=_nothing)
            return
        if self.route.upstream is None:
            services.loop.call_soon(self._begin_without_upstream)
            return
        self._upstream_host = self.route.upstream.host
        self._upstream = reach(
            services,
            self.route,
            listener.upstream_for(peer.address),
            source=self._upstream_source,
            on_connected=self._upstream_connected,
            on_failed=self._upstream_failed,
            transparent=Side.SERVER in self.foreign,
        )
        self.add_dial(self._upstream, on_cancel=_nothing)

    def _upstream_source(self, target: Endpoint) -> Address | None:
        bind = self.peer.address if Side.SERVER in self.foreign else self.route.realms[Side.SERVER].bind
        return bind if bind is not None and bind.version == target.address.version else None

    # The master flow.

    def _upstream_connected(self, server: socket.socket, target: Endpoint) -> None:
        visitor = self._visitor
        assert visitor is not None
        self.server = target
        if self._tls is not None or self.route.proxy_protocol is not None:  # else nobody asks for the legs
            self._set_client_leg(visitor)
            self.legs[Side.SERVER] = self._server_leg(server, target)
        if not self._awaits:
            self.introduce(server, None)
        if self.asks:
            visitor.grant(sockets.endpoint_of(server.getsockname()))
        self._begin(LegSocket(self.services.loop, self.services.watcher, server), target, self.route.implicit_tls)

    def _begin_without_upstream(self) -> None:
        """The client will say where it wants to go."""
        if self._visitor is None:  # the relay stops
            return
        assert self._plugin is not None, "a route without an upstream has a plugin that chooses one"
        self._set_client_leg(self._visitor)
        implicit = tuple(side for side in self.route.implicit_tls if side is Side.CLIENT)
        self._begin(NoLeg(self.services.loop, self.services.watcher), self._local, implicit)

    def _begin(self, server: LegSocket, at: Endpoint, covered: tuple[Side, ...]) -> None:
        """The master flow, between the client and that leg; `at` is for the record."""
        visitor, machine = self._visitor, None
        assert visitor is not None
        if self._plugin is not None:
            try:
                machine = make_machine(self._plugin, self.core, self.legs)
            except AlgError as error:
                server.close()
                self._upstream_failed(error)
                return
        self._plugin = self._visitor = None
        if wanted("session_open"):
            self.write("session_open", f"{self.peer} -> {at}")
        self.master = RelayedFlow(
            self.services.loop,
            self.services.pipes,
            {Side.CLIENT: visitor.leg(), Side.SERVER: server},
            machine=machine,
            owner=self,
            on_closed=self._master_closed,
            covered=covered,
        )
        self.add_flow(self.master)
        self._upstream_decided()

    def _set_client_leg(self, visitor: Visitor) -> None:
        if self._local.address.is_unspecified:
            self._local = sockets.endpoint_of(visitor.sock.getsockname())
        self.legs[Side.CLIENT] = Leg(self._local, self.peer, tls_policy=self.route.tls_policy(Side.CLIENT))

    def _server_leg(self, server: socket.socket, target: Endpoint) -> Leg:
        local = sockets.endpoint_of(server.getsockname())
        policy = self.route.tls_policy(Side.SERVER)
        return Leg(local, target, tls_policy=policy, name=name_of(self._upstream_host))

    def introduce(self, server: socket.socket, client: Leg | None) -> None:
        """Tell a server that was just connected who its client is, if the route wants that (PROXY protocol)."""
        version = self.route.proxy_protocol
        if version is not None:
            client = client or self.legs[Side.CLIENT]
            with contextlib.suppress(OSError):  # then the connection is broken, and whoever uses it will see
                server.send(format_header(version, client.peer, client.local))

    def _upstream_failed(self, error: AlgError) -> None:
        self.write(error.reason, f"{self.peer} refused: {error}")
        self._refuse(error)
        self._upstream_decided()

    def _upstream_decided(self) -> None:
        dial, self._upstream = self._upstream, None
        if dial:
            self.dial_done(dial)
        else:
            self._close_if_over()

    def _refuse(self, error: AlgError) -> None:
        """Tell the client in its protocol that its session cannot begin, and hang up."""
        visitor, self._visitor = self._visitor, None
        if visitor is not None:
            visitor.refuse(error, self._plugin)

    # What flows ask for (`FlowOwner`).

    def open_binding(self, command: OpenBinding, flow: RelayedFlow) -> Event:
        """Listen for an expectation of this session."""
        if self._over:
            return CommandFailed(command.number, BindError("the session has ended", reason="session_over"))
        if command.expectation.shared:
            if self.asks or self.foreign:  # the client reaches the target through us, under the same rules
                return BindingOpened(command.number, {Side.CLIENT: command.expectation.targets[0]})
            return self._shared.open(command, self.legs[Side.CLIENT])
        if len(self.flows) + len(self._dials) > self.services.limits.flows_per_session:  # the master is one of them
            error = BindError(f"{len(self.flows) - 1} related flows are open, the limit", reason="too_many_flows")
            return CommandFailed(command.number, error)
        return self._leases.open(command.number, flow)

    def close_binding(self, number: int) -> None:
        """Stop listening and give the lease back."""
        self._leases.close(number)

    def dial_binding(self, number: int) -> None:
        """Dial both legs of a binding."""
        self._leases.dial(number)

    def connect_upstream(self, command: ConnectUpstream, flow: RelayedFlow) -> None:
        """Connect to the server that the client chose, if the route allows it."""
        self._choice = Choice(
            self.services,
            self.route,
            command,
            self.peer.address,
            self._upstream_source,
            on_connected=lambda server, target: self._chosen(command, flow, server, target),
            on_failed=lambda error: self._not_chosen(command, flow, error),
        )
        self._choice.begin()

    def _chosen(self, command: ConnectUpstream, flow: RelayedFlow, server: socket.socket, target: Endpoint) -> None:
        self._choice = None
        self._upstream_host = command.host
        self.legs[Side.SERVER] = leg = self._server_leg(server, target)
        self.core.targets[Side.SERVER] = replace(self.route.targets[Side.SERVER], loopback=is_this_host(target.address))
        self.introduce(server, None)
        if wanted("upstream_open"):
            self.write("upstream_open", f"{self.peer} -> {command.host}, {target}")
        socket_leg = LegSocket(self.services.loop, self.services.watcher, server)
        implicit = self.route.server_tls.implicit
        flow.upstream_connected(socket_leg, UpstreamConnected(command, leg), covered=implicit)

    def _not_chosen(self, command: ConnectUpstream, flow: RelayedFlow, error: AlgError) -> None:
        self._choice = None
        self.write(error.reason, f"{self.peer} -> {command.host}:{command.port}: {error}")
        flow.tell(CommandFailed(command, error))

    def tls_engine(self, side: Side, flow: RelayedFlow) -> TlsEngine:
        """TLS for a leg of this session; related flows resume what the master flow has agreed on, where they can.

        Raises:
            TlsError: the route has no TLS for that side.
        """
        if self._tls is None:
            raise TlsError("this route has no TLS", reason="no_tls")
        if side is Side.SERVER:
            host, now = self._upstream_host, self.services.loop.time()
            if flow is self.master:
                return self._tls.master_initiator(host, now)
            return self._tls.related_initiator(host, now, self.master.tls if self.master else None)
        return self._tls.acceptor(self._local.address, is_master=flow is self.master)

    def handshake_timeouts(self) -> Timeouts:
        """The deadlines of TLS handshakes."""
        return self.services.timeouts(self.services.times.handshake)

    def report(self, report: Record) -> None:
        """Write a record that a plugin or the machine asked for."""
        if wanted(report.reason):
            self.write(report.reason, report.message, report.fields)

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record of this session; what a peer has us refuse again and again is told a hundred times only."""
        self._records.write(reason, message, fields)

    def timeouts(self, seconds: float) -> Timeouts:
        """The deadlines of that many seconds."""
        return self.services.timeouts(seconds)

    def flow_ended(self, flow: RelayedFlow) -> None:
        """The master flow is over: nobody can announce or be announced any more.

        What came through before lives on (an FTP client may say QUIT during a transfer), unless the session was ended
        for a reason: then all of it ends.
        """
        if flow is not self.master:
            return
        self._over = True
        if self._choice:
            self._choice.cancel()
            self._choice = None
        self._leases.close_all()
        if flow.error is not None and not isinstance(flow.error, ConnectError):
            self._end_related(flow.error)

    def _end_related(self, error: AlgError) -> None:
        dials, self._dials = self._dials, {}
        for dial, on_cancel in dials.items():
            dial.cancel()
            on_cancel()
        for flow in list(self.flows):
            if flow is not self.master:
                flow.fail(error)

    def _master_closed(self, flow: RelayedFlow) -> None:
        self._records.write_close("session_close", self.peer, flow, self.services.loop.time() - self.began)
        self._remove_flow(flow)

    def _remove_flow(self, flow: RelayedFlow) -> None:
        self.flows.discard(flow)
        self._close_if_over()

    # Related flows.

    def add_dial(self, dial: Attempt, *, on_cancel: Callable[[], None]) -> None:
        """Something is being connected; the session lives as long."""
        self._dials[dial] = on_cancel

    def dial_done(self, dial: Attempt) -> None:
        """It is decided."""
        self._dials.pop(dial, None)
        self._close_if_over()

    def local_address(self, side: Side, target: Endpoint) -> Address | None:
        """Where a related flow on that side is dialled from: our end of the master flow's leg, which the peer knows."""
        address = self.legs[side].local.address
        return address if address.version == target.address.version else None

    def add_flow(self, flow: RelayedFlow) -> None:
        """A flow has both its legs: let it carry."""
        self.flows.add(flow)
        flow.start()

    def related_closed(self, flow: RelayedFlow, began: float, name: object) -> None:
        """A related flow is over: record it."""
        self._records.write_close("flow_close", name, flow, self.services.loop.time() - began)
        self._remove_flow(flow)

    def comes_from(self, endpoint: Endpoint) -> bool:
        """Whether that is the local end of a connection that this session dials, or dialled for its master flow."""
        if any(isinstance(dial, Dial) and dial.comes_from(endpoint) for dial in self._dials):
            return True
        server = self.master.legs[Side.SERVER] if self.master else None
        return server is not None and not server.closed and sockets.endpoint_of(server.sock.getsockname()) == endpoint

    # The end.

    @property
    def traffic(self) -> int:
        """Bytes received so far by all flows that are open."""
        return sum(flow.traffic for flow in self.flows) + self._leases.traffic

    def end(self, error: AlgError) -> None:
        """End the session from outside: idle, or the relay stops."""
        self._refuse(error)
        self._end_related(error)
        if self.master:
            self.master.fail(error)
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self.flows or self._dials or self._closed or self._visitor is not None:
            return
        self._closed = True
        self._records.close()
        self._leases.close_all()
        if self.master:
            self.master.discard()  # only now: it was told what came of its related flows
            self.master = None
        self.core.close()
        self._on_closed(self)

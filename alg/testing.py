"""`Playbook`: runs a plugin in memory, for its author's tests. No network, no clock, no test framework.

    talk = Playbook(CallPlugin, listeners=["203.0.113.7:50001"])
    talk.client(b"CALL 10.77.1.2 4000\\r\\n")
    assert talk.to_server == b"CALL 203.0.113.7 50001\\r\\n"

It is a host like the others: the rules of the core hold in it, and a plugin that works here works in the relay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from alg.core.commands import (
    Abort,
    CloseBinding,
    CloseConnection,
    Command,
    ConnectUpstream,
    DialBinding,
    Forward,
    Linger,
    NameBinding,
    OpenBinding,
    Record,
    Report,
    ReportRewrite,
    SendData,
    SendDatagram,
    SendEof,
    SetDeadline,
    Splice,
    StartTls,
    StopTls,
)
from alg.core.datagram_flow import DatagramMachine
from alg.core.datagrams import DatagramPlugin
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError, ProtocolError
from alg.core.events import (
    BindingOpened,
    CommandFailed,
    ConnectionLost,
    DatagramReceived,
    DataReceived,
    DeadlinePassed,
    EofReceived,
    Event,
    Forwarded,
    RelatedEnded,
    TlsStarted,
    TlsStopped,
    UpstreamConnected,
)
from alg.core.flow import FlowMachine
from alg.core.model import Accept, Connect, Endpoint, Expectation, Leg, Outcome, Side, TlsInfo, TlsPolicy
from alg.core.plugin import Plugin, StreamPlugin
from alg.core.policy import Gate, LeaseLimits, TargetRules
from alg.core.session import Lease, Session
from alg.core.shared import SharedLease, SharedLeases

__all__ = [
    "Accept",
    "Connect",
    "Endpoint",
    "Expectation",
    "Outcome",
    "Playbook",
    "Side",
    "TargetRules",
    "TlsInfo",
    "TlsPolicy",
    "endpoint",
]

_Question = OpenBinding | StartTls | StopTls | ConnectUpstream
"""What a host must answer."""


def endpoint(text: str) -> Endpoint:
    """Make an endpoint from `10.0.0.1:21` or `[2001:db8::1]:21`, for tests.

    Raises:
        ValueError: the text is none.
    """
    address, _, port = text.rpartition(":")
    try:
        return Endpoint.parse(address.removeprefix("[").removesuffix("]"), port)
    except ProtocolError:
        raise ValueError(f"{text!r} is no endpoint; write 10.0.0.1:21 or [2001:db8::1]:21") from None


class Playbook:
    """One flow of a plugin between a client and a server that the test plays itself.

    What each side received is in `to_client` and `to_server`, all of it from the start; what was asked of the host in
    `expectations`, `leases`, `records`; how it ended in `closed` and `error`.
    """

    def __init__(
        self,
        plugin: type[Plugin[object]],
        config: object = None,
        *,
        client: str = "10.77.1.2:40000",
        client_local: str = "10.77.1.1:2121",
        server: str | None = "10.77.2.2:21",
        server_local: str = "10.77.2.1:50000",
        client_tls: TlsPolicy = TlsPolicy.NEVER,
        server_tls: TlsPolicy = TlsPolicy.CLIENT,
        implicit_tls: Iterable[Side] = (),
        server_name: str | None = None,
        upstream_name: str | None = None,
        upstreams: Mapping[str, str] | None = None,
        listeners: Iterable[str] | None = None,
        targets: Mapping[Side, TargetRules] | None = None,
        limits: LeaseLimits | None = None,
        shared: SharedLeases | None = None,
        hold: bool = False,
    ) -> None:
        """Start the flow.

        `config` is the plugin's configuration (default: its `config_type` as it is). The four endpoints are those of
        the two legs: the client and our end toward it, our end toward the server and the server. Without a `server`
        the client chooses one out of `upstreams` (`{"ftp.example.org:21": "192.0.2.1:21"}`). `client_tls` and
        `server_tls` are the route's policies; the legs of `implicit_tls` are TLS from the start; `server_name` is what
        the client asks for in its handshake, `upstream_name` what the operator calls the server. `listeners` are the
        endpoints that bindings get, in order, the client's side first; when they run out, so have the ports (default:
        ports from 20001 up, at our end of the accepted leg). `shared` are the listeners of another playbook, where both
        stand for sessions of one route.
        With `hold`, bindings, TLS and upstreams wait for `answer()`.
        """
        config_type = plugin.config_type
        self.config = config_type() if config is None and config_type is not None else config
        self.gate = Gate(limits or LeaseLimits())
        self._tls = {
            Side.CLIENT: TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", server_name),
            Side.SERVER: TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        }
        self._policies = {Side.CLIENT: client_tls, Side.SERVER: server_tls}
        self._implicit = tuple(implicit_tls)
        self._server_local = endpoint(server_local)
        self._upstreams = upstreams or {}
        self._upstream_name = upstream_name
        self.shared = SharedLeases(self.gate.limits.shared) if shared is None else shared
        """The listeners that the sessions of a route share; to be handed to the playbooks of further ones."""
        self.session = Session(1, endpoint(client).address, self.gate, targets, self.shared)
        self.plugin = plugin(self.config)
        self.machine = self._make_machine(
            self._leg(Side.CLIENT, endpoint(client_local), endpoint(client)),
            self._leg(Side.SERVER, self._server_local, endpoint(server)) if server else None,
        )
        self._received = {side: bytearray() for side in Side}
        self.datagrams: dict[Side, list[bytes]] = {side: [] for side in Side}
        """What each side received, where these are datagrams."""
        self._silence = plugin.idle if issubclass(plugin, DatagramPlugin) else float("inf")
        self._heard_at = 0.0
        self._listeners = None if listeners is None else deque(endpoint(listener) for listener in listeners)
        self._next_port = 20001
        self._hold = hold
        self._is_answering = False
        """Whether answers are given: what they bring waits for its turn, however much it is."""
        self._held: deque[_Question] = deque()
        self._spliced: set[Side] = set()
        self._forwarding: dict[Side, int] = {}
        self.deadline: float | None = None
        """When the flow ends, by `now`, unless its plugin sets another deadline."""
        self.expectations: list[Expectation] = []
        self.listeners: dict[int, Mapping[Side, Endpoint]] = {}
        """Where each binding listened, by its number; also those that are closed by now."""
        self._descriptions: dict[int, str] = {}
        self.names: dict[int, str] = {}
        """What the flow through each binding is for, by its number."""
        self.dialled: list[int] = []
        """The bindings whose legs were both to be dialled, by number."""
        self.tls_changes: list[str] = []
        """`client`, `server`: TLS began on that leg; `client off`: it ended."""
        self.connected: list[str] = []
        """The upstreams that were asked for, as `host:port`."""
        self.records: list[Record] = []
        self.ended: set[Side] = set()
        """The sides that were told that nothing more will come."""
        self.cut: set[Side] = set()
        """The sides that did not get all of what was forwarded to them: their connection is reset."""
        self.closed = False
        self.error: AlgError | None = None
        self.now = 0.0
        self._do(self.machine.start(self.now))

    def _leg(self, side: Side, local: Endpoint, peer: Endpoint) -> Leg:
        tls = self._tls[side] if side in self._implicit else None
        return Leg(local, peer, tls, self._policies[side], self._upstream_name if side is Side.SERVER else None)

    def _make_machine(self, client: Leg, server: Leg | None) -> FlowMachine | DatagramMachine:
        if isinstance(self.plugin, DatagramPlugin):
            assert server is not None, "a flow of datagrams has a server from the start"
            return DatagramMachine(self.plugin, self.session, client=client, server=server)
        assert isinstance(self.plugin, StreamPlugin), "there is no other base"
        return FlowMachine(self.plugin, self.session, client=client, server=server)

    @property
    def legs(self) -> Mapping[Side, Leg]:
        """The legs as they are now."""
        return self.machine.legs

    # What the two sides do.

    def client(self, data: bytes) -> None:
        """The client sends bytes, or one datagram."""
        self.say(Side.CLIENT, data)

    def server(self, data: bytes) -> None:
        """The server sends bytes, or one datagram."""
        self.say(Side.SERVER, data)

    def say(self, side: Side, data: bytes) -> None:
        """That side sends bytes, or one datagram. After the end they go nowhere, as on a closed connection."""
        if isinstance(self.machine, DatagramMachine):
            self._say_datagram(side, data)
            return
        if self.closed or not data:
            return
        if side in self._spliced:
            self._received[side.other] += data
        elif passing := self._forwarding.get(side):
            self._received[side.other] += data[:passing]
            if len(data) < passing:
                self._forwarding[side] = passing - len(data)
            else:
                del self._forwarding[side]
                self._tell(Forwarded(side, data[passing:]))
        else:
            self._tell(DataReceived(side, data))

    def _say_datagram(self, side: Side, data: bytes) -> None:
        self._heard_at = self.now
        if not self.closed and side in self._spliced:
            self._get_datagram(side.other, data)
        elif not self.closed:
            self._tell(DatagramReceived(side, data))

    def _get_datagram(self, side: Side, data: bytes) -> None:
        self.datagrams[side].append(data)
        self._received[side] += data

    def stranger(self, data: bytes) -> bytes:
        """Somebody who is not the server sends a datagram to the server's side; return what that one is told."""
        assert isinstance(self.machine, DatagramMachine), "over TCP there are no strangers"
        return self.machine.stranger(data)

    def end(self, side: Side) -> None:
        """That side will send nothing more (half-close)."""
        if side in self._spliced:
            self.ended.add(side.other)
        else:
            self._tell(EofReceived(side))
        if len(self.ended) == len(Side) and not self.closed:
            self._close(CloseConnection())

    def lose(self, side: Side, message: str = "reset by peer") -> None:
        """The leg of that side breaks."""
        self._tell(ConnectionLost(side, ConnectError(message, reason=f"{side.value}_lost")))

    def wait(self, seconds: float) -> None:
        """Time goes by: leases expire, and the flow ends if its plugin has set a deadline, or if it is one of datagrams and
        they have been silent for too long."""
        self.now += seconds
        for lease in self.leases:
            if lease.deadline is not None and self.now >= lease.deadline:
                self.session.release(lease.number)
        self.shared.expire(self.now)
        if self.deadline is not None and self.now >= self.deadline:
            self.deadline = None
            self._tell(DeadlinePassed())
        if not self.closed and self.now - self._heard_at >= self._silence:
            self._close(CloseConnection())

    def related_ended(self, number: int, outcome: Outcome | None) -> None:
        """A related flow that came through that binding, or was dialled, is over; None if it never had both legs."""
        self._tell(RelatedEnded(number, outcome))

    def answer(self, error: AlgError | None = None) -> None:
        """Answer the oldest request that is held back, with an error if one is given."""
        self._answer(self._held.popleft(), error)

    # What came of it.

    @property
    def to_client(self) -> bytes:
        """All that the client received."""
        return bytes(self._received[Side.CLIENT])

    @property
    def to_server(self) -> bytes:
        """All that the server received."""
        return bytes(self._received[Side.SERVER])

    def received(self, side: Side) -> bytes:
        """All that this side received."""
        return bytes(self._received[side])

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases that are pending: one for each open listener."""
        return self.session.pending

    def description(self, number: int) -> str:
        """What a binding leads from and to, e.g. `client 10.77.1.1:20001 -> 10.77.2.2:4000`."""
        return self._descriptions[number]

    @property
    def reasons(self) -> list[str]:
        """The reasons of the records so far, with that of the error that ended the session, if any."""
        return [record.reason for record in self.records] + ([self.error.reason] if self.error else [])

    # The host.

    def _tell(self, event: Event) -> None:
        self._do(self.machine.receive(event, self.now))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, SendData):
                self._received[command.side] += command.data
            elif isinstance(command, SendEof):
                self.ended.add(command.side)
                self._forwarding.pop(command.side.other, None)  # that was broken off, and the plugin knows
            elif isinstance(command, _Question):
                self._held.append(command)
                if isinstance(command, OpenBinding):
                    self.expectations.append(command.expectation)
            elif isinstance(command, CloseBinding):
                self.session.release(command.number)
            elif isinstance(command, NameBinding):
                self.names[command.number] = command.words
            elif isinstance(command, DialBinding):
                self.dialled.append(command.number)
                self.session.release(command.number)
            elif isinstance(command, Report | ReportRewrite):
                self.records.append(command)
            elif isinstance(command, CloseConnection | Abort):
                self._close(command)
            else:
                self._do_other(command)
        if not self._is_answering:  # only now: commands are carried out in order
            self._answer_held()

    def _answer_held(self) -> None:
        self._is_answering = True
        while self._held and not self._hold:
            self._answer(self._held.popleft(), None)
        self._is_answering = False

    def _do_other(self, command: Splice | Forward | SetDeadline | Linger | SendDatagram) -> None:
        if isinstance(command, SendDatagram):
            self._get_datagram(command.side, command.data)
        elif isinstance(command, Linger):
            self._silence = command.seconds
        elif isinstance(command, Splice):
            self._spliced.add(command.side)
        elif isinstance(command, Forward):
            self._forwarding[command.side] = command.count
        else:
            self.deadline = None if command.seconds is None else self.now + command.seconds

    def _answer(self, command: _Question, error: AlgError | None) -> None:
        if isinstance(command, OpenBinding):
            self._answer_binding(command, error)
        elif isinstance(command, ConnectUpstream):
            self._answer_upstream(command, error)
        elif error:
            self._tell(CommandFailed(command.side, error))
        elif isinstance(command, StartTls):
            self.tls_changes.append(command.side.value)
            self._tell(TlsStarted(command.side, self._tls[command.side]))
        else:
            self.tls_changes.append(f"{command.side.value} off")
            self._tell(TlsStopped(command.side))

    def _answer_upstream(self, command: ConnectUpstream, error: AlgError | None) -> None:
        name = f"{command.host}:{command.port}"
        self.connected.append(name)
        if error is None and name not in self._upstreams:
            error = PolicyError(f"{name} is no upstream of this route", reason="upstream_refused")
        if error:
            self._tell(CommandFailed(command, error))
        else:
            leg = self._leg(Side.SERVER, self._server_local, endpoint(self._upstreams[name]))
            self._tell(UpstreamConnected(command, leg))

    def _answer_shared(self, command: OpenBinding, error: AlgError | None) -> None:
        try:
            if error:
                raise error
            listener = self.shared.obtain(command.expectation, self.legs[Side.CLIENT], self.now, self._listen_shared)
        except AlgError as problem:
            self._tell(CommandFailed(command.number, problem))
            return
        self._opened(command, {Side.CLIENT: listener})

    def _listen_shared(self, _: SharedLease) -> Endpoint:
        listener = self._listener(Side.CLIENT)
        if listener is None:
            raise BindError("no port is free")
        return listener

    def _answer_binding(self, command: OpenBinding, error: AlgError | None) -> None:
        if command.expectation.shared:
            self._answer_shared(command, error)
            return
        span = command.expectation.span
        listeners = {side: self._listener(side, span) for side in command.expectation.accepted} if error is None else {}
        opened = {side: listener for side, listener in listeners.items() if listener is not None}
        if error or len(opened) < len(listeners):
            self._tell(CommandFailed(command.number, error or BindError("no port is free")))
            return
        lease = self.session.find(command.number)
        if lease:
            lease.start(self.now)
        self._opened(command, opened)

    def _opened(self, command: OpenBinding, opened: Mapping[Side, Endpoint]) -> None:
        self.listeners[command.number] = opened
        self._descriptions[command.number] = command.expectation.describe(opened)
        self._tell(BindingOpened(command.number, opened))

    def _listener(self, side: Side, span: int = 1) -> Endpoint | None:
        """The next endpoint; of several consecutive ports the first, which is even."""
        if self._listeners is not None:
            return self._listeners.popleft() if self._listeners else None
        if span > 1:
            first = self._next_port + self._next_port % 2
            self._next_port = first + span
            return Endpoint(self.legs[side].local.address, first)
        free = Endpoint(self.legs[side].local.address, self._next_port)
        self._next_port += 1
        return self._listener(side) if self.shared.target_of(free) else free  # another playbook's, perhaps

    def _close(self, command: CloseConnection | Abort) -> None:
        self.closed = True
        self.cut = {side.other for side in self._forwarding}
        if isinstance(command, Abort):
            self.error = command.error
            self.cut |= {Side.CLIENT} if command.cut_off else set()
        self.session.close()

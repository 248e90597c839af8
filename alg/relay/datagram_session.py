"""`DatagramSession`: one flow of datagrams in the relay: what one client says to one server, and what is said back.

It carries out the commands of its machine, and decides nothing; where its client's datagrams come from, and how answers
go back, is its `Way`'s business. How many there may be is in `alg.relay.datagram_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from alg.core.binding import Field
from alg.core.commands import (
    Abort,
    CloseBinding,
    CloseConnection,
    Command,
    Linger,
    OpenBinding,
    Report,
    ReportRewrite,
    SendDatagram,
    SetDeadline,
    Splice,
)
from alg.core.datagram_flow import DatagramMachine
from alg.core.errors import AlgError, BindError, ConnectError
from alg.core.events import BindingOpened, CommandFailed, ConnectionLost, DatagramReceived, DeadlinePassed, Event
from alg.core.machines import make_datagram_machine
from alg.core.model import Endpoint, Leg, Side, Transport
from alg.core.plugin import Plugin
from alg.core.policy import TargetRules
from alg.core.session import Session
from alg.relay.datagram_lease import DatagramLease, make_datagram_lease
from alg.relay.datagram_records import DatagramRecords
from alg.relay.deadline import Deadline
from alg.relay.server_socket import ServerSocket
from alg.relay.services import Services

if TYPE_CHECKING:
    from alg.relay.datagrams import DatagramSessions
    from alg.settings import Route


class Way(Protocol):
    """How the datagrams of one client come to us, and how answers go back: by a listener, or in the frames of a proxy."""

    peer: Endpoint
    """The client."""
    local: Endpoint
    """What the client speaks to: answers come from there."""

    def answer(self, data: bytes | memoryview) -> bool:
        """Say this to the client; return whether it could leave."""

    def gone(self, returned: bytes | None) -> None:
        """The flow is over. What was returned begins another one, if anything was."""


class DatagramSession:
    """Begins with a client's first datagram; ends by its plugin, by silence, or to make place."""

    __slots__ = (
        "_answered_bytes",
        "_began",
        "_closed",
        "_deadline",
        "_machine",
        "_passes",
        "_related",
        "_sessions",
        "_way",
        "answered",
        "assured",
        "core",
        "foreign",
        "idle",
        "last",
        "leases",
        "legs",
        "number",
        "records",
        "route",
        "server",
    )

    def __init__(self, sessions: DatagramSessions, route: Route, number: int, way: Way, *, idle: float) -> None:
        """`connect` and `begin` follow."""
        self._sessions = sessions
        self.route = route
        self.number = number
        self._way = way
        self.foreign = route.foreign
        self._machine: DatagramMachine | None = None
        self._passes: set[Side] = set(Side)
        limit = sessions.services.limits.records_per_session
        self.records = DatagramRecords(sessions.tallies, route.plugin.name, number, limit)
        self._answered_bytes = 0
        """What the client was told before the server had answered."""
        self._deadline: Deadline | None = None
        self._closed = False
        self._began = self.last = sessions.services.loop.time()
        self.idle = idle
        """Seconds of silence after which it ends."""
        self.answered = False
        self.assured = False
        """Whether the client has spoken after the server's first answer."""
        self.server: ServerSocket
        self.core: Session
        self.legs: dict[Side, Leg]
        self.leases: dict[int, DatagramLease] = {}
        self._related = 0

    def connect(self, target: Endpoint) -> None:
        """Take a socket toward the server.

        Raises:
            OSError: there is none, or no way to the target.
        """
        transparent = Side.SERVER in self.foreign
        bind = self.peer.address if transparent else self.route.realms[Side.SERVER].bind
        source = bind if bind is not None and bind.version == target.address.version else None
        loose, watcher = self._sessions.is_loose(self.route), self.services.watcher
        self.server = ServerSocket(watcher, target, source, self, loose=loose, transparent=transparent)
        self.records.flow = f"{self.peer} -> {target}"

    def begin(self, plugin: Plugin[object] | None, targets: Mapping[Side, TargetRules]) -> None:
        """Start the plugin, if any; without one, both directions pass.

        Raises:
            AlgError: it cannot be started.
        """
        if plugin is None:
            return
        self.core = Session(self.number, self.peer.address, self.services.gate, targets)
        self.legs = {
            Side.CLIENT: Leg(self._way.local, self.peer),
            Side.SERVER: Leg(self.server.local, self.server.target),
        }
        self._machine = make_datagram_machine(plugin, self.core, self.legs)
        self._passes = set()
        self._execute(self._machine.start(self.last))

    @property
    def peer(self) -> Endpoint:
        """The client."""
        return self._way.peer

    # What comes.

    def from_client(self, data: memoryview | bytes) -> None:
        """The client said this."""
        if self._closed:
            return
        self.last = now = self._sessions.services.loop.time()
        self.records.said[Side.CLIENT] += len(data)
        if self.answered and not self.assured:
            self.assured = True
            self._sessions.assure(self)
            self.records.opened()
        else:
            self._sessions.touch(self)
        if Side.CLIENT in self._passes:
            self.server.send(data)
        elif self._machine is not None:
            self._execute(self._machine.receive(DatagramReceived(Side.CLIENT, bytes(data)), now))

    def from_server(self, data: memoryview) -> None:
        """The server said this."""
        self.last = now = self._sessions.services.loop.time()
        self.records.said[Side.SERVER] += len(data)
        self.answered = True
        self._sessions.touch(self)
        if Side.SERVER in self._passes:
            self._answer(data)
        elif self._machine is not None:
            self._execute(self._machine.receive(DatagramReceived(Side.SERVER, bytes(data)), now))

    def from_stranger(self, data: bytes, peer: Endpoint) -> bytes:
        """Somebody who is not the server spoke to our end of its leg; return what to answer."""
        self._sessions.tallies.tell("stranger", f"{peer} is not {self.server.target}: dropped", self.route.plugin.name)
        answer = self._machine.stranger(data) if self._machine is not None else b""
        return answer if answer and self._sessions.may_answer() else b""

    def server_unreachable(self, error: str) -> None:
        """An ICMP error came.

        Before any answer, a plugin may tell its client; with nothing to say it in, the client waits in vain. After that
        it means little: datagrams get lost, and servers come back. Silence ends the flow.
        """
        target = self.server.target
        self._sessions.tallies.tell("server_unreachable", f"{self.peer} -> {target}: {error}", self.route.plugin.name)
        if self._machine is not None and not self.answered:
            lost = ConnectError(f"{target}: {error}", reason="connect_refused")
            self._execute(self._machine.receive(ConnectionLost(Side.SERVER, lost), self.last))

    def lost(self) -> None:
        """A datagram was dropped."""
        self.records.lost += 1

    # What the machine wants.

    def _execute(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Report | ReportRewrite):
                self.write(command.reason, command.message, command.fields)
            elif self._closed:
                continue  # by a command before this one, or what came of it
            elif isinstance(command, SendDatagram):
                self._send(command)
            elif isinstance(command, Splice):
                self._passes.add(command.side)
            elif isinstance(command, OpenBinding):
                commands += self._answer_binding(command)
            elif isinstance(command, CloseBinding):
                self.close_binding(command.number)
            else:
                self._execute_end(command)

    def _execute_end(self, command: Command) -> None:
        """What has to do with the end of the flow."""
        if isinstance(command, Linger):
            self.idle = command.seconds
        elif isinstance(command, SetDeadline):
            self._deadline = self._deadline or Deadline(self._sessions.services.loop, self._too_late)
            self._deadline.set(command.seconds)
        elif isinstance(command, Abort):
            self.close(command.error)
        elif isinstance(command, CloseConnection):
            self.close(None)

    # Its leases, for related flows of datagrams.

    @property
    def services(self) -> Services:
        """Those of the relay."""
        return self._sessions.services

    def _answer_binding(self, command: OpenBinding) -> list[Command]:
        """Open the ports for an expectation, and tell the machine."""
        assert self._machine is not None, "somebody has asked"
        lease = self.core.find(command.number)
        event: Event
        try:
            if lease is None or command.expectation.transport is not Transport.UDP:
                raise BindError("a flow of datagrams has related flows of datagrams only", reason="no_listener")
            self.leases[command.number] = opened = make_datagram_lease(self, lease, self._tell, self.leases.get)
            event = BindingOpened(command.number, opened.endpoints)
        except BindError as error:
            event = CommandFailed(command.number, error)
        return self._machine.receive(event, self.last)

    def _tell(self, event: Event) -> None:
        if self._machine is not None:
            self._execute(self._machine.receive(event, self.services.loop.time()))

    def close_binding(self, number: int) -> None:
        """Close the ports of a lease, and give it back."""
        lease = self.leases.pop(number, None)
        if lease is not None:
            self.core.release(number)
            lease.close()

    def write(self, reason: str, message: str, fields: Mapping[str, Field] | None = None) -> None:
        """Write a record of the session."""
        self.records.write(reason, message, fields, answered=self.answered)

    @property
    def carries(self) -> bool:
        """Whether a related flow has carried something since this was asked last: then the session is not silent."""
        before, self._related = self._related, sum(lease.traffic for lease in self.leases.values())
        return self._related > before

    def _send(self, command: SendDatagram) -> None:
        if command.side is Side.SERVER:
            self.server.send(command.data)
        elif self.answered or self._may_answer(command.data):
            self._answer(command.data)

    def _may_answer(self, data: bytes) -> bool:
        """Whether we may say this on our own account to a client that no server has answered: its address may be forged, so
        it gets no more than it sent, and all such clients together so many a second."""
        if self._answered_bytes + len(data) > self.records.said[Side.CLIENT] or not self._sessions.may_answer():
            self.records.lost += 1
            return False
        self._answered_bytes += len(data)
        return True

    def _answer(self, data: bytes | memoryview) -> None:
        if not self._way.answer(data):
            self.records.lost += 1

    def _too_late(self) -> None:
        if self._machine is not None:
            self._execute(self._machine.receive(DeadlinePassed(), self._sessions.services.loop.time()))

    # The end.

    def end(self, error: AlgError) -> None:
        """End it from outside; the client is told in its protocol where possible."""
        if self._machine is not None and not self._machine.ended:
            self._execute(self._machine.receive(ConnectionLost(Side.SERVER, error), self.last))
        self.close(error)

    def close(self, error: AlgError | None) -> None:
        """End it without a word. The second time nothing happens."""
        if self._closed:
            return
        self._closed = True
        self.server.close()
        if self._deadline:
            self._deadline.close()
        for number in list(self.leases):
            self.close_binding(number)
        machine, self._machine = self._machine, None
        returned = machine.returned if machine is not None else None
        seconds = self.services.loop.time() - self._began
        self.records.closed(error, seconds, answered=self.answered, assured=self.assured)
        if machine is not None:
            machine.discard()
            self.core.close()
        self._sessions.closed(self)
        self._way.gone(returned)

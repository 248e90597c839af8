"""`MitmSession`: one client conversation in mitmproxy: its control channel, its leases, and the related flows that came
of them. It dies as a whole: no listener outlives it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from mitmproxy import ctx
from mitmproxy.connection import Server
from mitmproxy.hooks import UpdateHook
from mitmproxy.tcp import TCPFlow

from alg.core.addresses import Address, is_this_host
from alg.core.commands import NameBinding, OpenBinding, Record, Report, ReportRewrite
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError
from alg.core.events import BindingOpened, CommandFailed
from alg.core.flow import FlowMachine
from alg.core.machines import make_machine
from alg.core.model import Endpoint, Leg, Outcome, Side, TlsPolicy, Transport
from alg.core.reasons import is_refusal, printable
from alg.core.session import Session
from alg.mitm import compat
from alg.mitm.layer import FlowLayer
from alg.mitm.lease import MitmLease
from alg.mitm.owner import Cut, RelatedOver
from alg.mitm.services import Services
from alg.mitm.settings import Treatment

_RECORDS_KEPT = 200
"""The newest records of a session that `alg.explain` can tell."""
_COMMENT_LINES = 40


class MitmSession:
    """Begins when a control channel is claimed, ends when its last flow is over."""

    def __init__(
        self,
        services: Services,
        number: int,
        treatment: Treatment,
        *,
        observes: bool,
        transparent: bool,
        on_began: Callable[[MitmSession], None],
        on_ended: Callable[[MitmSession], None],
    ) -> None:
        """`observes`: clients reach a server's listeners through us anyway; no reply is rewritten for them.
        `transparent`: clients do not know of us."""
        self.services = services
        self.number = number
        self.treatment = treatment
        self.observes = observes
        self.transparent = transparent
        self._on_began = on_began
        self._on_ended = on_ended
        self.core: Session | None = None
        self.legs: dict[Side, Leg] = {}
        self.master: FlowLayer | None = None
        self.flows: set[FlowLayer] = set()
        """All that are open, the control channel among them."""
        self.records: deque[str] = deque(maxlen=_RECORDS_KEPT)
        self._leases: dict[int, MitmLease] = {}
        self._told: dict[str, int] = {}
        self._over = False
        self._is_cut = False
        """Whether it was ended for a reason, and all related flows with it."""
        self._last_related: TCPFlow | None = None
        self._related: dict[int, TCPFlow] = {}
        """The newest flow through each binding, until the next binding is opened."""
        self._names: dict[int, NameBinding] = {}
        """What flows that have not come yet are for."""

    @property
    def name(self) -> str:
        """`ftp#17`, as in records."""
        return f"{self.treatment.name}#{self.number}"

    # What flows ask for (`FlowOwner`).

    def tls_policy(self, side: Side) -> TlsPolicy:
        """What the options say about TLS on that leg."""
        return self.treatment.tls[side]

    def make_machine(self, layer: FlowLayer, legs: Mapping[Side, Leg]) -> FlowMachine | None:
        """The machine of a flow of this session; the first one is that of the control channel."""
        if layer is self.master:
            self._begin(layer, legs)
        self.flows.add(layer)
        if layer.plugin is None:
            return None
        assert self.core is not None, "the control channel comes first"
        return make_machine(layer.plugin, self.core, legs)

    def _begin(self, layer: FlowLayer, legs: Mapping[Side, Leg]) -> None:
        self.legs = dict(legs)
        targets = {
            side: replace(rules, loopback=is_this_host(legs[side].peer.address))
            for side, rules in self.treatment.targets.items()
        }
        self.core = Session(self.number, legs[Side.CLIENT].peer.address, self.services.gate, targets)
        self._on_began(self)
        layer.flow.metadata["alg"] = self._metadata("control")
        layer.flow.comment = f"{self.name} control"
        self.write("session_open", f"{legs[Side.CLIENT].peer} -> {legs[Side.SERVER].peer}")

    def _metadata(self, role: str) -> dict[str, str | int]:
        return {"protocol": self.treatment.name, "session": self.number, "role": role}

    def resumable(self, layer: FlowLayer) -> compat.SSL.Session | None:
        """That of the control channel, as vsftpd and ProFTPD demand on data channels."""
        return self.master.tls_session if self.master is not None and layer is not self.master else None

    def claim(self, layer: FlowLayer, number: int) -> None:
        """A related flow begins, through the binding of that number: show whose it is, and what for.

        Raises:
            BindError: the session was ended for a reason while this one was dialled.
        """
        if self._is_cut:
            raise BindError("the session has ended", reason="session_over")
        layer.flow.metadata["alg"] = self._metadata("data" if layer.plugin is None else "related")
        layer.flow.comment = f"{self.name} {layer.flow.metadata['alg']['role']}"
        self._related[number] = layer.flow
        if (name := self._names.pop(number, None)) is not None:
            self.name_binding(name)
        self.flows.add(layer)
        self.services.layers[layer.context.client.id] = layer
        self.write("flow_open", layer.name)

    def name_binding(self, command: NameBinding) -> None:
        """Show what the flow through a binding is for, whether it has come or not: by then whoever looks can choose."""
        flow = self._related.get(command.number)
        if flow is None:
            self._names[command.number] = command
            return
        flow.metadata["alg"] |= {
            key: str(value) if isinstance(value, Endpoint) else value for key, value in command.fields.items()
        }
        self._comment(flow, f"{self.name} {command.words}", first=True)

    def name_server(self, server: Server) -> None:
        """Have a data channel's server be verified by the name of the control channel's."""
        if self.master is not None:
            server.sni = self.master.context.server.sni

    # Leases.

    async def open_binding(self, command: OpenBinding, layer: FlowLayer) -> BindingOpened | CommandFailed:
        """Listen for an expectation, or watch for who comes through us anyway; the answer to the machine."""
        assert self.core is not None
        lease = self.core.find(command.number)
        assert lease is not None, "the machine takes the lease before it asks for the listener"
        if self._over:
            return CommandFailed(command.number, BindError("the session has ended", reason="session_over"))
        if command.expectation.transport is Transport.UDP:
            error = BindError("there are no listeners for datagrams in mitmproxy", reason="no_listener")
            return CommandFailed(command.number, error)
        limit = self.services.settings.limits.flows_per_session
        if len(self.flows) > limit:
            error = BindError(f"{len(self.flows) - 1} related flows are open, the limit", reason="too_many_flows")
            return CommandFailed(command.number, error)
        self._related.clear()
        self._names.clear()
        opened = MitmLease(self, lease, layer)
        try:
            self.services.judge_targets(command.expectation)
            endpoints = await opened.open()
        except (BindError, PolicyError) as error:
            return CommandFailed(command.number, error)
        if self._over:  # since then
            opened.close()
            return CommandFailed(command.number, BindError("the session has ended", reason="session_over"))
        self._leases[command.number] = opened
        return BindingOpened(command.number, endpoints)

    def close_binding(self, number: int) -> None:
        """Stop listening and give the lease back."""
        opened = self._leases.pop(number, None)
        if opened is not None:
            opened.close()
            assert self.core is not None
            self.core.release(number)

    def dial_binding(self, number: int) -> None:
        """Dial both legs of a binding."""
        if number in self._leases:
            self._leases[number].dial()

    @property
    def leases(self) -> list[MitmLease]:
        """Those that are pending."""
        return list(self._leases.values())

    def tell_related_over(self, asker: FlowLayer, number: int, outcome: Outcome | None) -> None:
        """A related flow is over; who announced it hears of it, unless its connection is gone."""
        if not compat.inject(RelatedOver(asker.flow, number, outcome)):
            asker.hear_late(number, outcome)

    def local_address(self, side: Side, target: Endpoint) -> Address | None:
        """Where a related flow on that side is dialled from: our end of the control channel's leg, which the peer
        knows, unless that is an address which we only stand for."""
        if side is Side.CLIENT and self.transparent:
            return None
        address = self.legs[side].local.address
        return address if address.version == target.address.version else None

    def active(self) -> None:
        """Bytes passed somewhere: the control channel is not idle, however long a transfer takes."""
        if self.master is not None and (handler := compat.handler_of(self.master.context.client)) is not None:
            handler.timeout_watchdog.register_activity()

    # The end.

    def flow_ended(self, layer: FlowLayer, error: AlgError | None) -> None:
        """A flow is over. With the control channel nobody can announce or be announced any more; what came through
        before lives on, unless the session was ended for a reason."""
        self.flows.discard(layer)
        seconds = layer.now - layer.began
        up, down = (layer.counts[side] for side in Side)
        cause = f", {error}" if error else ""
        lost = error is None or error.reason.endswith("_lost")
        if layer is self.master:
            self._over = True
            for number in list(self._leases):
                self.close_binding(number)
            self._is_cut = error is not None and not isinstance(error, ConnectError)
            if error is not None and self._is_cut:
                for related in list(self.flows):
                    compat.inject(Cut(related.flow, error))
        else:
            self._last_related = layer.flow
            self._comment(layer.flow, f"{up} bytes up, {down} bytes down in {seconds:.3f} s{cause}")
        reason = "session_close" if layer is self.master else "flow_close"
        message = f"{layer.name} ended after {seconds:.3f} s, {up} bytes up, {down} bytes down{cause}"
        self.write(reason if lost or error is None else error.reason, message)
        if self._over and self.core is not None:
            self.core.close()  # also what nobody was asked to listen for any more
        if self._over and not self.flows:
            self._on_ended(self)

    # Records.

    def report(self, report: Record, layer: FlowLayer) -> None:
        """Write a record that a plugin or the machine asked for; rewrites and leases stand in the flow's comment too."""
        if isinstance(report, ReportRewrite) and self._is_watched(report):
            report = Report("watch", f"{report.message}; left as it is, the connection is ours anyway", {})
        self.write(report.reason, report.message)
        flow = layer.flow
        if report.reason == "transfer" and self._last_related is not None:
            self._comment(self._last_related, f"{self.name} {report.message}", first=True)
        elif report.reason != "transfer":
            self._comment(flow, f"{report.reason} {report.message}")

    def _is_watched(self, report: ReportRewrite) -> bool:
        number = report.number
        return number in self._leases and self._leases[number].watched is not None

    def _comment(self, flow: TCPFlow, line: str, *, first: bool = False) -> None:
        """Add a line to a flow's comment. Lists show the first one only: whose flow it is, or which file."""
        head, *rest = flow.comment.splitlines()
        if first:
            head = printable(line)
        else:
            rest.append(printable(line))
        flow.comment = "\n".join([head, *rest[-_COMMENT_LINES:]])
        ctx.master.addons.trigger(UpdateHook([flow]))

    def write(self, reason: str, message: str) -> None:
        """Write a record of this session into mitmproxy's event log; a peer's refusals are told so often only."""
        self._told[reason] = told = self._told.get(reason, 0) + 1
        limit = self.services.settings.limits.records_per_session
        if is_refusal(reason) and told > limit:
            return
        self.records.append(self.services.record(self.name, reason, message))
        if self.master is not None and "alg" in self.master.flow.metadata:
            self.master.flow.metadata["alg"]["records"] = list(self.records)

    def describe(self) -> tuple[str, ...]:
        """The session, its client and server, what is open: for a table."""
        client, server = (str(self.legs[side].peer) if side in self.legs else "" for side in Side)
        return self.name, client, server, str(len(self.flows) - (self.master in self.flows)), str(len(self._leases))

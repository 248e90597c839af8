"""`MitmLease`: what stands behind a lease in mitmproxy: listeners of ours, or a watch for a connection that comes through
the proxy anyway. Whoever is admitted becomes a flow with a handler of its own.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from alg.core.addresses import Address, canonical
from alg.core.errors import AlgError, BindError, ConnectError, PolicyError
from alg.core.model import Connect, Endpoint, Side
from alg.core.session import Lease
from alg.dynamic_ports import DynamicPort
from alg.mitm.compat import Context
from alg.mitm.handler import Stream
from alg.mitm.layer import FlowLayer
from alg.mitm.legs import endpoint_of
from alg.mitm.owner import LeaseOwner
from alg.mitm.related import related_layer, run_related

_BACKLOG = 8


class MitmLease:
    """One lease of a session. `asker` is the flow that expects."""

    def __init__(self, session: LeaseOwner, lease: Lease, asker: FlowLayer) -> None:
        self.session = session
        self.lease = lease
        self.asker = asker
        self.endpoints: dict[Side, Endpoint] = {}
        """What is advertised."""
        self._servers: dict[Side, tuple[asyncio.Server, DynamicPort]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[Side, Stream] = {}
        """Who has come, where both legs are accepted and the other one is yet to come."""
        self.watched: Endpoint | None = None
        """The target, where the client's connection comes through the proxy anyway."""

    async def open(self) -> dict[Side, Endpoint]:
        """Listen, or watch; return what to advertise.

        Raises:
            BindError: no port is free.
        """
        expectation = self.lease.expectation
        server = expectation.server
        try:
            for side in expectation.accepted:
                if side is Side.CLIENT and self.session.observes:
                    if not isinstance(server, Connect):
                        raise BindError("in this mode clients cannot reach a listener of ours", reason="no_listener")
                    if server.target.port in self.session.services.settings.by_port:
                        # Or the client's next control channel would be taken for data, and pass unread.
                        raise BindError(f"port {server.target.port} is that of control channels", reason="no_listener")
                    self.watched = server.target
                    self.endpoints[side] = self._told_instead(server.target)
                else:
                    await self._listen(side)
        except BindError:
            self._stop()
            raise
        loop = asyncio.get_running_loop()
        self.lease.start(loop.time())
        self._timer = loop.call_later(expectation.lifetime, self._expire)
        return self.endpoints

    def _told_instead(self, target: Endpoint) -> Endpoint:
        """What the client is told of a target that it reaches through us: that very target, unless it is of the other
        address family. Then an address of ours stands for it (RFC 6384); whoever asks the proxy for that is led on."""
        local = self.session.legs[Side.CLIENT].local.address
        return target if local.version == target.address.version else Endpoint(local, target.port)

    async def _listen(self, side: Side) -> None:
        realm, local = self.session.treatment.realms[side], self.session.legs[side].local.address
        port = self.session.services.ports.open(realm, local, bound)
        server = await asyncio.start_server(
            lambda reader, writer: self._came(side, Stream(reader, writer)), sock=port.sock, backlog=_BACKLOG
        )
        self._servers[side] = server, port
        self.endpoints[side] = port.advertised

    # Who comes.

    def admit(self, side: Side, peer: Address) -> bool:
        """Let a peer through, or refuse it without using the lease up; return which. Closes what is used up."""
        try:
            self.lease.admit(side, peer, asyncio.get_running_loop().time())
        except PolicyError as error:
            self.session.write(error.reason, f"at {self.endpoints.get(side)}: {error}")
            return False
        if all(map(self.lease.used_up, self.lease.expectation.accepted)):
            self.session.close_binding(self.lease.number)
        elif self.lease.used_up(side):
            self._stop_side(side)
        return True

    def claim(self, context: Context) -> FlowLayer | None:
        """Take the connection that was watched for: its layer, or None if the lease does not let it through.

        Raises:
            AlgError: its plugin cannot be made.
        """
        assert context.client.peername is not None
        peer, target = endpoint_of(context.client.peername), self.watched
        if not self.admit(Side.CLIENT, peer.address):
            return None
        self.session.name_server(context.server)
        return related_layer(context, self.session, self.lease, self.asker, f"{peer} -> {target}")

    def _came(self, side: Side, stream: Stream) -> None:
        """Somebody came to a listener: let it through, or reset it."""
        other = self._waiting.pop(side.other, None)  # before the lease, which may be used up by this one, is closed
        if not self.admit(side, stream.peer.address):
            stream.drop()
            if other is not None:
                self._waiting[side.other] = other
        elif len(self.lease.expectation.accepted) == 1:
            self._begin({side: stream})
        elif other is not None:
            self._begin({side: stream, side.other: other})
        else:
            self._waiting[side] = stream

    def watches(self, peer: Address, target: Endpoint | None) -> bool:
        """Whether it waits for a connection of that peer to that target."""
        return (
            self.watched is not None
            and self.watched == target
            and canonical(peer) in self.lease.sources.get(Side.CLIENT, ())
        )

    def dial(self) -> None:
        """Both legs are dialled: do it, the server's first."""
        self.session.close_binding(self.lease.number)
        self.lease.dialled = True
        self._begin({})

    def _begin(self, streams: dict[Side, Stream]) -> None:
        self.session.services.run(self._carry(streams))

    async def _carry(self, streams: dict[Side, Stream]) -> None:
        """See to the legs that are still missing, and run the flow until it is over."""
        try:
            if not streams:
                streams[Side.SERVER] = await self._dial(Side.SERVER)
            if Side.CLIENT not in streams:
                streams[Side.CLIENT] = await self._dial(Side.CLIENT)
            await run_related(self.session, self.lease, self.asker, streams)
        except AlgError as error:
            self.session.write(error.reason, f"{self.lease.expectation.describe(self.endpoints)}: {error}")
            self.session.tell_related_over(self.asker, self.lease.number, None)
        finally:
            for stream in streams.values():
                stream.drop()  # also that of a server which a flow that was killed at once has never taken

    async def _dial(self, side: Side) -> Stream:
        plan = self.lease.expectation.plan(side)
        assert isinstance(plan, Connect), "it is not accepted"
        services = self.session.services
        services.gate.judge_dial(plan.target)
        source = self.session.local_address(side, plan.target)
        try:
            async with asyncio.timeout(services.settings.times.connect):
                reader, writer = await asyncio.open_connection(
                    str(plan.target.address), plan.target.port, local_addr=(str(source), 0) if source else None
                )
        except TimeoutError:
            raise ConnectError(f"{plan.target} does not answer", reason="connect_timeout") from None
        except OSError as error:
            reason = "connect_refused" if error.errno == errno.ECONNREFUSED else "connect_failed"
            raise ConnectError(f"{plan.target}: {error.strerror or error}", reason=reason) from None
        return Stream(reader, writer)

    # The end.

    def _expire(self) -> None:
        what = self.lease.expectation.describe(self.endpoints)
        self.session.write("lease_expired", f"nobody came in time: {what}")
        self.session.close_binding(self.lease.number)

    def close(self) -> None:
        """Stop listening; a leg that still waits for the other one is cut off."""
        if self._timer:
            self._timer.cancel()
        for stream in self._waiting.values():
            stream.drop()
            self.session.tell_related_over(self.asker, self.lease.number, None)
        self._waiting.clear()
        self.watched = None
        self._stop()

    def _stop(self) -> None:
        for side in list(self._servers):
            self._stop_side(side)

    def _stop_side(self, side: Side) -> None:
        if side not in self._servers:
            return
        server, port = self._servers.pop(side)
        server.close()
        port.give_back()

    def describe(self) -> tuple[str, ...]:
        """Whose it is, what leads where, for whom: for a table."""
        expectation = self.lease.expectation
        sources = ", ".join(str(source) for each in self.lease.sources.values() for source in each)
        kind = "watch" if self.watched else "listen"
        return self.session.name, kind, expectation.describe(self.endpoints), sources


def bound(endpoint: Endpoint) -> socket.socket:
    """A socket that is bound there, exclusively."""
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(endpoint.address), endpoint.port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock

"""`Sessions`: the open sessions of one mitmproxy: how one begins, and which of them a connection belongs to."""

from __future__ import annotations

from mitmproxy.connection import Client, Server

from alg.core.machines import make_plugin
from alg.core.model import Endpoint, Side
from alg.mitm import compat
from alg.mitm.carrier import Preview
from alg.mitm.compat import Context, mode_specs
from alg.mitm.layer import FlowLayer
from alg.mitm.lease import MitmLease
from alg.mitm.legs import endpoint_of, literal
from alg.mitm.services import Services
from alg.mitm.session import MitmSession
from alg.mitm.settings import Policy, Treatment
from alg.settings import Upstream


class Sessions:
    """Those that have begun and are not over, by number."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.open: dict[int, MitmSession] = {}
        self._numbers = 0

    def control_layer(self, context: Context, treatment: Treatment) -> FlowLayer:
        """A session begins with the layer of its control channel."""
        mode, policy = context.client.proxy_mode, self.services.settings.policy
        observes = policy is Policy.OBSERVE or (policy is Policy.AUTO and not isinstance(mode, mode_specs.ReverseMode))
        self.services.learn_listeners()
        self._numbers += 1
        session = MitmSession(
            self.services,
            self._numbers,
            treatment,
            observes=observes,
            transparent=compat.stands_for_servers(mode),
            on_began=self._began,
            on_ended=self._ended,
        )
        options = context.options
        if isinstance(mode, mode_specs.ReverseMode) and not options.keep_host_header and context.server.sni is None:
            context.server.sni = mode.address[0]
        assert context.client.peername is not None and context.server.address is not None
        server = Upstream(*context.server.address[:2])
        session.master = FlowLayer(
            context,
            session,
            name=f"{endpoint_of(context.client.peername)} -> {server}",
            preview=Preview(self.services.settings.preview),
            plugin=make_plugin(treatment.plugin, treatment.config),
            covered=tuple(Side) if treatment.implicit else (),
        )
        self.services.layers[context.client.id] = session.master
        return session.master

    def _began(self, session: MitmSession) -> None:
        """It has both its legs."""
        self.open[session.number] = session

    def _ended(self, session: MitmSession) -> None:
        """Its last flow is over."""
        self.open.pop(session.number, None)

    def watching(self, context: Context) -> MitmLease | None:
        """The lease that waits for this connection, which came through the proxy."""
        client, server = context.client.peername, context.server
        if client is None or server.address is None:
            return None
        peer = endpoint_of(client).address
        for session in self.open.values():
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
        for session in self.open.values():
            for lease in session.leases:
                if lease.endpoints.get(Side.CLIENT) == named != lease.watched and lease.watches(peer, lease.watched):
                    return lease.watched
        return None

    def close(self) -> None:
        """mitmproxy ends: nothing listens any more."""
        for session in list(self.open.values()):
            for lease in session.leases:
                session.close_binding(lease.lease.number)

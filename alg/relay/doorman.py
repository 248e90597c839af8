"""`Doorman`: takes in the clients of whom accepting a connection does not tell where they want to go: hears what they ask for, sees
where an intercepted one was meant to go, judges that, and has the session begin, or hands them to the lease that expects them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from alg.core.addresses import Address, is_this_host, parse_address, within
from alg.core.doorway import Ask, Asked, Doorway
from alg.core.errors import AlgError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.own_address import is_own_address
from alg.relay import sockets
from alg.relay.association import Association
from alg.relay.datagrams import DatagramSessions
from alg.relay.entrance import Entrance
from alg.relay.listener import Listener
from alg.relay.loops import judge_intercepted
from alg.relay.reception import Reception
from alg.relay.resolution import Resolution
from alg.relay.services import Services
from alg.relay.session import RelayedSession
from alg.relay.visitor import Visitor
from alg.settings import Route, Upstream, Way


def needs_doorman(route: Route) -> bool:
    """Whether more than the connection is needed before a session can begin."""
    return route.way is not Way.FIXED or bool(route.proxy_senders)


class Doorman:
    """That of one relay."""

    def __init__(
        self,
        services: Services,
        sessions: Iterable[RelayedSession],
        datagrams: DatagramSessions,
        *,
        begin: Callable[[Entrance, Visitor, int], None],
        refused: Callable[[Entrance, Endpoint, AlgError], None],
        leave: Callable[[Address, int], None],
    ) -> None:
        """`begin` takes over a client with its share of the budget; `refused` records one that was not served, `leave` gives
        its share back."""
        self._services = services
        self._sessions = sessions
        self._begin = begin
        self._refused = refused
        self._leave = leave
        self._datagrams = datagrams
        self._associations: set[Association] = set()
        self._receptions: set[Reception] = set()
        self._resolving: dict[Resolution, Callable[[AlgError], None]] = {}
        """What is being looked up, and how to refuse whom."""

    def receive(self, listener: Listener, sock: socket.socket, peer: Endpoint, share: int) -> None:
        """Take in a client for whom `share` was taken from the budget."""
        if listener.route.way is Way.TRANSPARENT:
            self._intercepted(listener, sock, peer, share)
            return
        if listener.route.proxy_senders and not within(peer.address, listener.route.proxy_senders):
            visitor = Visitor(self._services, sock, peer, listener.local)
            words = f"{peer.address} is none of those who may come here, and say for whom (--accept-proxy-protocol)"
            self._refuse(listener, visitor, share, PolicyError(words, reason="client_refused"))
            return
        reception = Reception(
            self._services,
            listener.route,
            sock,
            peer,
            partial(self._ready, listener, share),
            partial(self._not_ready, listener),
            partial(self._gone, share),
        )
        self._receptions.add(reception)
        reception.begin()

    def _not_ready(self, listener: Listener, reception: Reception, error: AlgError) -> None:
        self._refused(listener, reception.peer, error)

    def _gone(self, share: int, reception: Reception) -> None:
        self._receptions.discard(reception)
        self._leave(reception.came_from, share)

    def _ready(
        self, listener: Listener, share: int, reception: Reception, visitor: Visitor, doorway: Doorway | None
    ) -> None:
        """It has said all."""
        self._receptions.discard(reception)
        budget = self._services.budget
        if visitor.peer.address != reception.came_from:  # it counts for whom it comes
            before, before_share = reception.came_from, share
            try:
                share = budget.admit(visitor.peer.address, related_flows=listener.route.related_flows)
            except AlgError as error:
                self._refused(listener, visitor.peer, error)
                visitor.refuse(error)
                return
            finally:
                self._leave(before, before_share)
        if doorway is None:
            self._begin(listener, visitor, share)
            return
        asked = doorway.asked
        assert asked is not None, "that is what it has said"
        if asked.kind is Ask.ASSOCIATE:
            self._associate(listener, visitor, share, asked)
        elif asked.kind is Ask.BIND:
            self._bind(listener, visitor, share, Upstream(asked.host, asked.port))
        else:
            self._connect(listener, visitor, share, Upstream(asked.host, asked.port))

    def _associate(self, listener: Listener, visitor: Visitor, share: int, asked: Asked) -> None:
        """Take its datagrams, for as long as its connection lives."""

        def over(association: Association) -> None:
            self._associations.discard(association)
            self._leave(visitor.peer.address, share)

        via = listener.route.via
        try:
            if via is not None:
                raise PolicyError(f"datagrams cannot go through {via}", reason="not_through_proxy")
            association = Association(self._services, self._datagrams, listener, visitor, asked, over)
            self._associations.add(association)
        except AlgError as error:
            self._refuse(listener, visitor, share, error)

    def _connect(self, listener: Listener, visitor: Visitor, share: int, wanted: Upstream) -> None:
        """Find out where that is, and whether the client may go there."""

        def found(targets: Sequence[Endpoint]) -> None:
            if not self._claimed(visitor, targets, share):
                self._begin(listener.toward(wanted, targets, visitor.local), visitor, share)

        claims = self._services.claims
        self._resolve(
            listener,
            visitor,
            share,
            wanted,
            found,
            lambda target: claims.find(visitor, target) is not None,
        )

    def _claimed(self, visitor: Visitor, targets: Sequence[Endpoint], share: int) -> bool:
        """Hand it to the session that expects it, if one does."""
        for target in targets:
            claim = self._services.claims.find(visitor, target)
            if claim is not None:
                self._leave(visitor.peer.address, share)
                claim.take(visitor)
                return True
        return False

    def _bind(self, listener: Listener, visitor: Visitor, share: int, wanted: Upstream) -> None:
        """Have it wait for whom it names, or else for the servers that it is connected to (RFC 1928 section 4)."""

        def found(targets: Sequence[Endpoint]) -> None:
            arrival = listener.awaiting(tuple(target.address for target in targets), visitor.local)
            self._begin(arrival, visitor, share)

        if listener.route.via is not None:
            words = f"nobody can come to us who is behind {listener.route.via}"
            self._refuse(listener, visitor, share, PolicyError(words, reason="not_through_proxy"))
            return
        if not _names_nobody(wanted.host):
            self._resolve(listener, visitor, share, wanted, found, lambda _: False)
            return
        servers = self._servers_of(visitor)
        if servers:
            found(servers)
        else:
            nobody = PolicyError("BIND names nobody, and you are connected to nobody", reason="upstream_refused")
            self._refuse(listener, visitor, share, nobody)

    def _servers_of(self, visitor: Visitor) -> list[Endpoint]:
        return [
            session.server
            for session in self._sessions
            if session.asks
            and session.server is not None
            and session.peer.address == visitor.peer.address
            and session.core.party == visitor.party
        ]

    def _resolve(
        self,
        listener: Listener,
        visitor: Visitor,
        share: int,
        wanted: Upstream,
        on_found: Callable[[Sequence[Endpoint]], None],
        claims: Callable[[Endpoint], bool],
    ) -> None:
        refuse = partial(self._refuse, listener, visitor, share)

        def found(targets: Sequence[Endpoint]) -> None:
            if self._resolving.pop(resolution, None):
                on_found(targets)

        def failed(error: AlgError) -> None:
            if self._resolving.pop(resolution, None):
                refuse(error)

        resolution = Resolution(
            self._services,
            listener.route,
            wanted,
            visitor.peer.address,
            on_found=found,
            on_failed=failed,
            claims=claims,
        )
        self._resolving[resolution] = refuse
        resolution.begin()

    def _refuse(self, listener: Listener, visitor: Visitor, share: int, error: AlgError) -> None:
        self._refused(listener, visitor.peer, error)
        visitor.refuse(error)
        self._leave(visitor.peer.address, share)

    # Interception.

    def _intercepted(self, listener: Listener, sock: socket.socket, peer: Endpoint, share: int) -> None:
        """The kernel had this connection come to us; it was meant for somebody else."""
        target = sockets.original_destination(sock)
        visitor = Visitor(self._services, sock, peer, target)
        try:
            judge_intercepted(self._services.gate, peer, target, ours=self._is_ours(peer))
        except PolicyError as error:
            self._refuse(listener, visitor, share, error)
            return
        self._connect(listener, visitor, share, Upstream(str(target.address), target.port))

    def _is_ours(self, peer: Endpoint) -> bool:
        """Whether a session has dialled from there. From a client's address nothing comes back: who is answered is the client."""
        if not (is_this_host(peer.address) or is_own_address(peer.address)):
            return False
        return any(session.comes_from(peer) for session in self._sessions)

    def close(self) -> None:
        """Nobody is taken in any more; who waits is refused."""
        error = AlgError("the gateway stops", reason="stopped")
        for reception in list(self._receptions):
            reception.refuse(error)
            reception.close()
        for association in list(self._associations):
            association.close(error)
        resolving, self._resolving = self._resolving, {}
        for resolution, refuse in resolving.items():
            resolution.cancel()
            refuse(error)


def _names_nobody(host: str) -> bool:
    try:
        return parse_address(host).is_unspecified
    except ProtocolError:
        return False

"""`RouteTls`: what TLS needs on both sides of a route, made once from its settings: certificates to show, what to verify.

The defaults are those of today: TLS 1.2 at least, no renegotiation, verification on; sessions can be resumed.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from alg import certificates
from alg.authority import Authority, default_directory
from alg.core import client_hello
from alg.core.addresses import Address, name_of
from alg.core.client_hello import ClientHello
from alg.core.errors import ConfigError, TlsError
from alg.core.model import Side, TlsPolicy
from alg.relay.flow_tls import FlowTls
from alg.relay.names import own_names
from alg.relay.tls import Acceptor, Initiator, RefusedHelloError
from alg.settings import ClientTls, Route, ServerTls

_CONTEXTS = 256
"""Minted certificates that are kept; the oldest makes place."""
_RENEW = timedelta(days=1)
_HOSTS = 256
"""Upstreams whose TLS sessions are kept; there are many where clients choose."""
_RESUMABLE = 120.0
"""Seconds for which master flows resume the TLS session of an earlier one. Servers forget theirs after some minutes, and
what the master flow has resumed, its related flows must be able to resume too."""


class RouteTls:
    """The TLS of one route."""

    def __init__(self, route: Route) -> None:
        """Load, or make, what is needed.

        Raises:
            ConfigError: a certificate, key or CA cannot be used, or the local CA cannot be made.
        """
        self._route = route
        terminates = route.client_tls.policy in (TlsPolicy.CLIENT, TlsPolicy.REQUIRE)
        self._client = _Certificates(route) if terminates else None
        self._server = _server_context(route) if route.server_tls.policy is not TlsPolicy.NEVER else None
        self._resumable: dict[str, tuple[ssl.SSLSession, float]] = {}
        """By the upstream's host, the TLS session of a master flow, and when it was taken."""
        self._pins = frozenset(pin.replace(":", "").lower() for pin in route.server_tls.pins)

    def acceptor(
        self, local: Address, context: ssl.SSLContext | None = None, *, resumes: bool = False, tickets: bool = True
    ) -> Acceptor:
        """For a leg toward a client that reached us at that address.

        `context` is that of the client's session, where it has one of its own; with `resumes`, only who resumes a TLS
        session of that context is let in. `tickets` as for `Acceptor`.

        Raises:
            TlsError: clients get no TLS here.
        """
        return Acceptor(partial(self._certificates.choose, local, context), must_resume=resumes, tickets=tickets)

    def own_context(self, local: Address) -> ssl.SSLContext | None:
        """A context for one session alone, and so its tickets; None where it need not be told from others."""
        return self._certificates.own_context(local) if self._route.client_tls.resumption else None

    @property
    def _certificates(self) -> _Certificates:
        if self._client is None:
            raise TlsError("there is no certificate for clients; give one with --tls", reason="no_certificate")
        return self._client

    def initiator(self, host: str, session: ssl.SSLSession | None) -> Initiator:
        """For a leg toward a server of that name or literal address; `session` is to be resumed, if there is one.

        The name that the operator gave stands for those of the route's own upstream, and of servers that have none.

        Raises:
            TlsError: servers are not to be spoken TLS with.
        """
        if self._server is None:
            raise TlsError("TLS toward the server is switched off (--upstream-tls never)", reason="no_tls")
        upstream, name = self._route.upstream, self._route.server_tls.name or host
        if upstream is not None and host != upstream.host and name_of(host) is not None:
            name = host
        return Initiator(self._server, name, session=session, is_pinned=self._is_pinned if self._pins else None)

    @property
    def resumes(self) -> bool:
        """Whether related flows resume the TLS session of their master flow, toward the server."""
        return self._route.server_tls.resume

    def resumable(self, host: str, now: float) -> ssl.SSLSession | None:
        """A TLS session with that upstream which a master flow may resume; `now` in seconds of the loop's clock."""
        session, taken = self._resumable.get(host, (None, 0.0))
        return session if now - taken < _RESUMABLE else None

    def remember(self, host: str, session: ssl.SSLSession, now: float) -> None:
        """Keep a TLS session for the master flows that come next."""
        self._resumable.pop(host, None)
        if len(self._resumable) >= _HOSTS:
            del self._resumable[next(iter(self._resumable))]
        self._resumable[host] = session, now

    def _is_pinned(self, certificate: bytes) -> bool:
        return hashlib.sha256(certificate).hexdigest() in self._pins


class SessionTls:
    """The TLS of one session: related flows resume what the master flow has agreed on."""

    __slots__ = ("_context", "_offered", "_route", "_session")

    def __init__(self, route: RouteTls) -> None:
        self._route = route
        self._context: ssl.SSLContext | None = None
        """The context of this client's TLS alone, where its related flows must resume it."""
        self._offered: ssl.SSLSession | None = None
        """What the master flow offered the server to resume."""
        self._session: ssl.SSLSession | None = None
        """What related flows resume."""

    def acceptor(self, local: Address, *, is_master: bool) -> Acceptor:
        """For a leg toward the client.

        Raises:
            TlsError: clients get no TLS here.
        """
        if is_master:
            self._context = self._route.own_context(local)
        resumes = not is_master and self._context is not None
        # Who only sends reads no tickets; so when it closes, its own kernel resets the connection, and what it has sent is
        # lost on the way (lftp and Net::FTP, uploads with TLS 1.3). What is to be resumed is the master flow's session.
        return self._route.acceptor(local, self._context, resumes=resumes, tickets=is_master or resumes)

    def master_initiator(self, host: str, now: float) -> Initiator:
        """For the master flow's leg toward the server; raises as `RouteTls.initiator`."""
        self._offered, self._session = self._route.resumable(host, now), None
        return self._route.initiator(host, self._offered)

    def related_initiator(self, host: str, now: float, master: FlowTls | None) -> Initiator:
        """For a related flow's leg toward the server; raises as `RouteTls.initiator`."""
        if self._session is None and master is not None and self._route.resumes:
            self._session = self._settle(host, now, master)
        return self._route.initiator(host, self._session)

    def _settle(self, host: str, now: float, master: FlowTls) -> ssl.SSLSession | None:
        """The master flow's TLS session. With TLS 1.3 it can be resumed once its ticket has come, behind the handshake.

        To ask for it leaks memory, each time (CPython gh-116810, not mended in 3.11): so it is asked for once, and not at
        all where it is the one that was offered. Master flows resume an earlier one, for that makes it smaller, too.
        """
        info = master.info(Side.SERVER)
        if info is not None and info.resumed and info.version == "TLSv1.2":
            return self._offered
        session = master.session(Side.SERVER)
        if session is None or not (session.has_ticket or session.id):
            return None
        self._route.remember(host, session, now)
        return session


class _Certificates:
    """What clients of a route are shown, by the name that they ask for and the address that they reached."""

    def __init__(self, route: Route) -> None:
        tls = route.client_tls
        self._tls = tls
        self._alpn = route.plugin.alpn
        self._contexts: dict[tuple[str, Address], tuple[ssl.SSLContext, datetime]] = {}
        self._authority: Authority | None = None
        self._names: tuple[str, ...]
        if tls.mint:
            self._authority = Authority.open(default_directory())
            self._names = tls.names or _mint_names(route)
            self._addresses = [str(realm) for realm in [route.realms[Side.CLIENT].advertise] if realm]
        else:
            assert tls.certificate is not None, "the configuration sees to it"
            self._names = tls.names or certificates.inspect(tls.certificate, tls.key).names
            self._operators = self._load(tls)

    def choose(self, local: Address, context: ssl.SSLContext | None, hello: ClientHello) -> ssl.SSLContext:
        """The context for a client that reached us at that address; `context`, if that is decided already."""
        if self._alpn and hello.alpn and not set(self._alpn) & set(hello.alpn):
            offered = ", ".join(hello.alpn)
            raise RefusedHelloError(
                f"the client wants to speak {offered} over TLS, and no {self._alpn[0]}",
                reason="wrong_protocol",
                alert=client_hello.NO_APPLICATION_PROTOCOL,
            )
        name = hello.server_name
        if name is not None and not certificates.matches(name, self._names):
            raise RefusedHelloError(
                f"the client asks for the name {name}, which is not of this route; `names` can add it",
                reason="foreign_name",
                alert=client_hello.UNRECOGNIZED_NAME,
            )
        if context is not None:
            return context
        return self._minted(name, local) if self._authority else self._operators

    def own_context(self, local: Address) -> ssl.SSLContext:
        """A context that nobody else has."""
        return self._mint(None, local)[0] if self._authority else self._load(self._tls)

    def _load(self, tls: ClientTls) -> ssl.SSLContext:
        context = self._empty_context()
        try:
            context.load_cert_chain(str(tls.certificate), str(tls.key) if tls.key else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{tls.certificate}: cannot be used as certificate: {error.strerror or error}") from None
        return context

    def _minted(self, name: str | None, local: Address) -> ssl.SSLContext:
        known = name is None or name in self._names
        key = ("" if known or name is None else name, local)
        context, renew = self._contexts.get(key, (None, None))
        if context is None or renew is None or datetime.now(UTC) >= renew:
            if len(self._contexts) >= _CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            context, renew = self._contexts[key] = self._mint(None if known else name, local)
        return context

    def _mint(self, name: str | None, local: Address) -> tuple[ssl.SSLContext, datetime]:
        assert self._authority is not None
        plain = [each for each in self._names if "*" not in each]
        names = [name] if name else plain
        leaf = self._authority.issue(list(dict.fromkeys([*names, str(local), *self._addresses])))
        context = self._empty_context()
        certificates.load_leaf(context, leaf)
        return context, leaf.not_after - _RENEW

    def _empty_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _harden(context, self._alpn)
        return context


def _mint_names(route: Route) -> tuple[str, ...]:
    """The names that a minted certificate may carry: those that lead to the upstream, and our own."""
    named = [str(allowed.host) for allowed in route.allowed if isinstance(allowed.host, str)]
    if route.upstream:
        named.append(route.upstream.host)
    return tuple(dict.fromkeys([*(name.lower() for name in named), *own_names()]))


def _harden(context: ssl.SSLContext, alpn: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if alpn:
        context.set_alpn_protocols(list(alpn))


def _server_context(route: Route) -> ssl.SSLContext:
    tls: ServerTls = route.server_tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, route.plugin.alpn)
    if not tls.verify or (tls.pins and tls.ca is None):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is not None:
        try:
            context.load_verify_locations(str(tls.ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{tls.ca}: cannot be used as CA: {error.strerror or error}") from None
    else:
        context.load_default_certs()
    if tls.certificate is not None:
        try:
            context.load_cert_chain(str(tls.certificate), str(tls.key) if tls.key else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{tls.certificate}: cannot be used as certificate: {error.strerror or error}") from None
    return context

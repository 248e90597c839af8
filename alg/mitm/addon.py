"""`Gateway`: the addon itself: mitmproxy's hooks, and the commands that a person may give. What it does with a
connection is in `sessions`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence

from mitmproxy import command, ctx, exceptions, flow, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Server
from mitmproxy.optmanager import OptManager

from alg.core.errors import AlgError, ConfigError, as_error
from alg.core.machines import make_plugin
from alg.core.plugin import refusal_words
from alg.mitm import compat, options, views
from alg.mitm.compat import Context, Layer, NextLayer, mode_specs, server_hooks
from alg.mitm.legs import RefusedLayer, connect_error
from alg.mitm.owner import LeaseRequest
from alg.mitm.services import Services
from alg.mitm.sessions import Sessions
from alg.mitm.settings import Policy, Treatment, is_for_http
from alg.mitm.web import Web
from alg.registry import Registry

LOGGER = logging.getLogger("alg")

_NEEDS_EAGER = (
    "connection_strategy=lazy: mitmproxy connects to a server only when the client has spoken, so a server that speaks "
    "first (FTP does) is never heard; set connection_strategy=eager"
)


class Gateway:
    """The addon. Load it with `-s`, or add an instance to a master."""

    name = "alg"

    def __init__(self, registry: Registry | None = None) -> None:
        self.services = Services(registry or Registry())
        self.sessions = Sessions(self.services)
        self.web = Web(self.services)
        self._running = False
        self._broken: ConfigError | None = None

    @property
    def records(self) -> list[str]:
        """The reasons of the newest records, oldest first."""
        return list(self.services.records)

    # The life of the addon.

    def load(self, loader: Loader) -> None:
        """Declare the options, and show FTP lines as such."""
        options.declare(loader)
        compat.keep_messages_whole()
        views.add()

    def configure(self, updated: set[str]) -> None:
        """Options have changed: take them, or say what is wrong with them, and keep those that were."""
        if any(name.startswith("alg_") for name in updated):
            try:
                self.services.configure(options.parse(ctx.options, self.services.registry))
            except ConfigError as error:
                if self._running:
                    raise exceptions.OptionsError(f"alg: {error}") from None
                # An exception would be shown with its traceback; an error that is logged at start ends mitmproxy too. When
                # the script is loaded again it does not: then nothing passes, since nobody knows any more what may.
                self._broken = error
                for line in str(error).splitlines():
                    LOGGER.error("alg: %s", line)  # noqa: TRY400
        if {"mode", "alg_policy"} & updated and (warning := _cannot_rewrite(ctx.options)):
            LOGGER.warning("alg: %s", warning)
        if "connection_strategy" in updated and ctx.options.connection_strategy == "lazy":
            LOGGER.warning("alg: %s", _NEEDS_EAGER)

    def running(self) -> None:
        """All addons are there: be asked in time, and say what mitmproxy is not known to do well."""
        self._running = True
        compat.go_before_next_layer(self)
        if warning := compat.version_warning():
            LOGGER.warning("alg: %s", warning)
        for line in options.unknown(ctx.options):
            LOGGER.error("alg: %s", line)
        self._say_what_is_treated()

    def _say_what_is_treated(self) -> None:
        settings = self.services.settings
        ports = [f"{port}={treatment.name}" for port, treatment in settings.by_port.items()]
        ports += ["*=" + settings.any_port.name] if settings.any_port else []
        LOGGER.info("alg: treats servers' ports %s", " ".join(ports) or "none")
        for text in ctx.options.mode:
            mode = mode_specs.ProxyMode.parse(text)
            if not isinstance(mode, mode_specs.ReverseMode) or mode.scheme not in ("tcp", "tls"):
                continue
            if settings.treatment(port := mode.address[1]) is None:
                LOGGER.info("alg: no plugin for %s; if that is FTP: --set alg_plugins=%d=ftp", text, port)

    def done(self) -> None:
        """Nothing listens any more."""
        self.sessions.close()
        self.web.close()
        self.services.close()
        views.remove()

    # Which connections are ours.

    def _treatment(self, client: Client, server: Server) -> Treatment | None:
        """How a connection is treated, if it is a control channel of one of our plugins."""
        if client.transport_protocol != "tcp" or server.address is None:
            return None
        mode = client.proxy_mode
        if isinstance(mode, mode_specs.ReverseMode) and mode.scheme not in ("tcp", "tls"):
            return None
        treatment = self.services.settings.treatment(server.address[1])
        if treatment is None or is_for_http(treatment.plugin):  # HTTP is mitmproxy's to parse
            return None
        return None if _is_ignored(server) else treatment

    def _claim(self, context: Context) -> Layer | None:
        if context.client.transport_protocol != "tcp" or context.server.address is None:
            return None
        if self._broken is not None:
            raise self._broken
        if (lease := self.sessions.watching(context)) is not None:
            return lease.claim(context)
        treatment = self._treatment(context.client, context.server)
        return self.sessions.control_layer(context, treatment) if treatment else None

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Claim what is ours, by the server's address and never by guessing from its first bytes."""
        if nextlayer.layer is None and isinstance(top := _top(nextlayer.context), Layer) and not _is_ours(top):
            try:
                nextlayer.layer = self._claim(nextlayer.context)
            except Exception as problem:  # noqa: BLE001 - mitmproxy would choose a layer that passes everything
                self._refuse(nextlayer, as_error(problem))

    def _refuse(self, nextlayer: NextLayer, error: AlgError) -> None:
        nextlayer.layer = RefusedLayer(nextlayer.context)
        self.services.record("alg:", error.reason, str(error))

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """A client asks for an address of ours that stands for a server's of the other family: lead it there. Or it came
        through a shared listener, whose target may have a name: that is never looked up."""
        shared = self.web.shared.server(data.client.proxy_mode)
        target = shared.target if shared else self.sessions.aliased(data.client, data.server)
        if target is not None:
            data.server.address = str(target.address), target.port

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """A server may speak first, or nobody ever: be asked for the layer before the first byte."""
        handler = compat.handler_of(data.client)
        if handler is not None and self._wants(data.client, data.server):
            compat.ask_at_start(handler.layer)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        """The same, within an HTTP CONNECT tunnel."""
        handler = compat.handler_of(flow.client_conn)
        stream = compat.http_stream(handler, flow) if handler else None
        if stream is not None and self._wants(stream.context.client, stream.context.server):
            compat.ask_at_start(stream)

    def _wants(self, client: Client, server: Server) -> bool:
        if self._treatment(client, server) is not None:
            return True
        context = Context(client, ctx.options)
        context.server = server
        return self.sessions.watching(context) is not None

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """The server of a reverse proxy cannot be reached: tell the client so in its protocol."""
        treatment = self._treatment(data.client, data.server)
        if treatment is None or not isinstance(data.client.proxy_mode, mode_specs.ReverseMode):
            return
        handler = compat.handler_of(data.client)
        if handler is None or treatment.implicit or _is_ours(handler.layer):
            return
        error = connect_error(data.server.address, str(data.server.error))
        self.services.record("alg:", error.reason, str(error))
        words = refusal_words(make_plugin(treatment.plugin, treatment.config), error)
        compat.say(handler, data.client, words or b"")

    def client_disconnected(self, client: Client) -> None:
        """A connection is over, in whatever way."""
        if (layer := self.services.layers.pop(client.id, None)) is not None:
            layer.gone()
            compat.close(compat.handler_of(client), client)

    def update(self, flows: Sequence[flow.Flow]) -> None:
        """Flows were changed; perhaps a person has killed one that was held back."""
        for each in flows:
            if "alg" in each.metadata:
                compat.let_go_if_killed(each)

    async def alg_lease(self, request: LeaseRequest) -> None:
        """Listen for an expectation; another addon may refuse it."""
        if not request.refused:
            request.answer = await request.layer.session.open_binding(request.command, request.layer)

    # HTTP, which mitmproxy parses itself.

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request begins."""
        if self._broken is not None:
            flow.kill()
            return
        self.web.begins(flow)

    async def request(self, flow: http.HTTPFlow) -> None:
        """A request is complete."""
        if self._broken is not None:
            flow.kill()
            return
        await self.web.request(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head of an answer is there."""
        self.web.response_begins(flow)

    async def response(self, flow: http.HTTPFlow) -> None:
        """An answer is complete."""
        await self.web.response(flow)

    async def websocket_message(self, flow: http.HTTPFlow) -> None:
        """A WebSocket message is complete."""
        await self.web.message(flow)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """A WebSocket is over."""
        self.web.forget(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """An exchange failed."""
        self.web.forget(flow)

    # Commands.

    @command.command("alg.sessions")
    def list_sessions(self) -> Sequence[str]:
        """List the open sessions: name, client, server, related flows that are open, pending leases."""
        if not self.sessions.open:
            return ["no session is open"]  # mitmproxy's own viewer fails at an empty list
        return [
            "{}  {} -> {}  {} related, {} pending".format(*session.describe())
            for session in self.sessions.open.values()
        ]

    @command.command("alg.leases")
    def list_leases(self) -> Sequence[str]:
        """List what is listened or watched for: session, kind, what leads where, for whom."""
        leases = (lease for session in self.sessions.open.values() for lease in session.leases)
        return ["{}  {}  {}  for {}".format(*lease.describe()) for lease in leases] or ["no lease is pending"]

    @command.command("alg.explain")
    def explain(self, flows: Sequence[flow.Flow]) -> Sequence[str]:
        """Explain what was rewritten, opened and refused in the sessions of these flows, and why."""
        return [line for each in flows for line in _explain(each)]


def _cannot_rewrite(given: OptManager) -> str | None:
    """Why addresses cannot be rewritten where clients go through the proxy: it would be the one who comes."""
    modes = [mode for mode in given.mode if not mode.startswith("reverse:")] if "mode" in given else []
    if given.alg_policy != Policy.REWRITE.value or not modes:
        return None
    return (
        f"alg_policy=rewrite: in mode {modes[0]} clients ask the proxy to connect to what they are told, so a listener of "
        "ours would be reached by the proxy itself and refuse it; set alg_policy=auto"
    )


def _explain(each: flow.Flow) -> Iterable[str]:
    about = each.metadata.get("alg")
    if not about:
        yield f"{each.id}: no flow of alg"
        return
    yield f"{about['protocol']}#{about['session']}, {about['role']} channel"
    lines = about.get("records") or each.comment.splitlines()
    yield from (f"  {line}" for line in lines)


def _top(context: Context) -> object:
    return context.layers[-1] if context.layers else None


def _is_ours(layer: Layer) -> bool:
    return layer.__class__.__module__.startswith("alg.")


def _is_ignored(server: Server) -> bool:
    """Whether the person told mitmproxy to keep its hands off this server; it asks its own addons only after us."""
    names = [f"{address[0]}:{address[1]}" for address in (server.peername, server.address) if address]
    ignored, allowed = ctx.options.ignore_hosts, ctx.options.allow_hosts

    def fits(patterns: Sequence[str]) -> bool:
        return any(re.search(pattern, name, re.IGNORECASE) for pattern in patterns for name in names)

    return fits(ignored) or (bool(allowed) and not fits(allowed))

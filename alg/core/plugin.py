"""The base classes of protocol plugins, and what a plugin may need that not every host can do."""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

from alg.core.errors import AlgError
from alg.core.flow_handle import Flow
from alg.core.model import Leg, Side, Transport
from alg.core.stream import Stream
from alg.core.web import HttpExchange, Ways

C_co = TypeVar("C_co", covariant=True)


class Need(enum.Enum):
    """What not every host can do; the value is the name of the request."""

    CONNECT = "connect"
    """To leave the server to the plugin. In mitmproxy the mode says which server."""
    STOP_TLS = "stop_tls"
    """To take TLS off a leg. mitmproxy's TLS cannot tell what comes behind it."""
    SHARED = "shared"
    """To share listeners between sessions."""


METHODS = {Side.CLIENT: "from_client", Side.SERVER: "from_server"}
"""What treats each side. Made once: Python keeps each name that an attribute was ever looked up by, for a while."""


class Plugin(Generic[C_co]):
    """What plugins for TCP (`StreamPlugin`) and for UDP (`DatagramPlugin`) have in common; be one of these.

    One instance serves one flow. `self.config` is there from `__init__` on, `self.flow` once its coroutines run. Class
    attributes: `name` is the scheme on the command line; `config_type` the frozen dataclass that the plugin's table in
    the configuration becomes (every field with a default; lists are `tuple[str, ...]`; raise `ValueError` in
    `__post_init__` for a value that cannot be).
    """

    transport: ClassVar[Transport]
    name: ClassVar[str]
    config_type: ClassVar[type | None] = None
    default_port: ClassVar[int | None] = None
    """The protocol's well-known port, for an upstream that is given without one."""
    chooses_upstream: ClassVar[bool] = False
    """Whether it can ask its client for the server, and `connect` to it, on a route that names none."""
    tls_scheme: ClassVar[tuple[str, int | None] | None] = None
    """The scheme that means TLS from the first byte (`ftps`), and its well-known port. Needs an entry point as well."""
    starts_tls: ClassVar[bool] = False
    """Whether it starts TLS in the middle of a connection (`flow.start_tls`). Where none does, a route's TLS on a leg is
    there from the first byte."""
    alpn: ClassVar[tuple[str, ...]] = ()
    """The protocol's names in TLS (RFC 7301); a client that offers only others is refused."""
    related_flows: ClassVar[bool] = False
    """Whether most sessions of this protocol open related flows: the host then counts half a flow's descriptors for
    each session before it accepts it. It works without; then more clients are accepted, and more `BindError` raised."""

    def __init__(self, config: C_co) -> None:
        self.config = config
        self.flow: Flow

    @classmethod
    @abstractmethod
    def reads(cls, side: Side) -> bool:
        """Whether it treats what that side says: whether that coroutine is overridden."""

    def needs(self) -> frozenset[Need]:
        """What a host must be able to do for this configuration besides what every host can: nothing by default.

        A host that cannot refuses the plugin when it is loaded, and not in the middle of a session.
        """
        return frozenset()

    def refusal(self, error: AlgError) -> bytes | None:  # noqa: ARG002 - for those that override it
        """What the client is told, in its protocol, when its session cannot begin or must end: nothing by default.

        None says that it is in the middle of something that ends where its connection does, and must not take this end
        for that one: it sees a reset. `ConnectError` means that the server cannot be reached or was lost, `BindError`
        that the gateway is full or stops, `ProtocolError` that one side broke the protocol.
        """
        return b""


class StreamPlugin(Plugin[C_co]):
    """Base of a plugin for a protocol over TCP: a subclass says what happens to what each side sends.

    `from_client` and `from_server` run as two coroutines side by side, `from_client` first; they may await only what this
    API offers. A side whose coroutine is not overridden is opaque, and so is what follows once it has returned.
    """

    transport = Transport.TCP

    async def from_client(self, stream: Stream) -> None:
        """Treat what the client says."""

    async def from_server(self, stream: Stream) -> None:
        """Treat what the server says."""

    @classmethod
    def reads(cls, side: Side) -> bool:
        """Whether it treats what that side says: whether that coroutine is overridden."""
        name = METHODS[side]  # not that of the function: a decorator may have given it another one
        return getattr(cls, name) is not getattr(StreamPlugin, name)

    def http(self, client: Leg, server: Leg, ways: Ways) -> HttpExchange | None:  # noqa: ARG002 - for those that override it
        """What a host that parses HTTP itself is to ask about each exchange between these legs; None: this is no plugin
        for HTTP. Such a host runs neither coroutine."""
        return None


def refusal_words(plugin: Plugin[object], error: AlgError) -> bytes | None:
    """What the plugin would tell its client about this error; nothing if the plugin fails at that too. None: see there."""
    try:
        words = plugin.refusal(error)
    except Exception:  # noqa: BLE001 - we are about to end the session because of another error: that one counts
        return b""
    return words if words is None or isinstance(words, bytes) else b""

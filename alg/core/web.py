"""What a plugin for HTTP offers to hosts that parse HTTP themselves: the same mapping, on whole messages instead of bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from alg.core.errors import AlgError
from alg.core.model import Connect, Endpoint, Side

HeaderField: TypeAlias = tuple[bytes, bytes]
"""The name of a header field as it was written, and its value."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; its target in origin form, its body whole, and coded as `Content-Encoding` says."""

    method: bytes
    target: bytes
    headers: tuple[HeaderField, ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response; its body whole, and coded as `Content-Encoding` says."""

    status: int
    headers: tuple[HeaderField, ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


class Ways(Protocol):
    """How a plugin for HTTP gets at listeners of its host, whether that parses HTTP itself or not."""

    async def expect(self, target: Connect, *, opaque: bool, lifetime: float, announced_by: str) -> Endpoint:
        """A shared listener that leads there, for the client that asked, for so many seconds after it was last announced or
        used; with `opaque`, no HTTP is spoken there.

        Raises:
            PolicyError: the target is none that the server may name.
            BindError: there is no port or lease left, or this host has none to share.
        """

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """Where a shared listener leads, by the endpoint that is advertised for it; None if it is none."""


class HttpExchange(ABC):
    """One request with the answer to it, in a host that parses HTTP itself."""

    @abstractmethod
    def request(self, request: HttpRequest) -> HttpRequest:
        """Judge a request; return what the server shall get. The framing of the body is the host's.

        Raises:
            PolicyError: a rule refuses it.
            ProtocolError: it is malformed.
        """

    @abstractmethod
    async def response(self, response: HttpResponse) -> HttpResponse:
        """Judge an answer; return what the client shall get.

        Raises:
            ProtocolError: it is no true answer to that request, or cannot be read where addresses are looked for.
        """

    @abstractmethod
    async def message(self, side: Side, text: bytes) -> bytes:
        """A text message that this side says on the WebSocket; return what the other shall get."""

    @abstractmethod
    def status(self, error: AlgError) -> int:
        """The status by which a client is told of an error that was raised here."""

"""The opening handshake of a WebSocket (RFC 6455 section 4): whether a request and its answer are one, and what they agree.

Pure functions from header fields to values. A connection is a WebSocket for us when the server has proved that it read
the request as we did: else what follows could be HTTP for one of the two (T24). Fields are pairs of a name in lower case
and a value, as h11 gives them; what they mean without an upgrade is not judged here.

Where frames are read, deflate is negotiated for each leg by itself (RFC 7692 section 5), by the library (`websockets`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.headers import build_extension, parse_connection, parse_extension, parse_subprotocol

from alg.plugin import ProtocolError
from alg_http.payloads import COMPRESS_SETTINGS, WINDOW_BITS, Deflate

T = TypeVar("T")
Fields = Sequence[tuple[bytes, bytes]]
"""The header fields of a message, names in lower case."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
# 16 bytes in base64. The bits left over in the last letter are not looked at: the key in RFC 6455 section 4.1 has some.
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_DEFLATE = PerMessageDeflate.name


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension as it is named in a header, with its parameters; a parameter may have no value."""

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()


OFFERED_DEFLATE = Extension("permessage-deflate", (("client_max_window_bits", None),))
"""What we offer to a server where frames are read; nothing else may be in an offer then."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client asks for."""

    key: bytes
    subprotocols: tuple[str, ...] = ()
    extensions: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a server chose out of an offer."""

    subprotocol: str | None = None
    extensions: tuple[Extension, ...] = ()


def is_upgrade(headers: Fields) -> bool:
    """Whether a request asks for a WebSocket, be it alone or among others, in any case."""
    return b"websocket" in [
        each.strip().lower() for value in _values(headers, b"upgrade") for each in value.split(b",")
    ]


def check_request(method: bytes, http_version: bytes, headers: Fields) -> Offer:
    """Return what a request for a WebSocket offers.

    Raises:
        ProtocolError: it is not one of RFC 6455 section 4.2.1: of another version (`websocket_version`, to be answered
            by 426 and `Sec-WebSocket-Version: 13`), or wrong (`bad_upgrade`).
    """
    check = _Check("request", "bad_upgrade", headers)
    if method != b"GET":
        raise check.error("is no GET")
    if http_version != b"1.1":
        raise check.error("is not HTTP/1.1")
    check.upgrade()
    if _values(headers, b"sec-websocket-version") != [b"13"]:
        raise ProtocolError("the WebSocket request is not of version 13, once", reason="websocket_version")
    key = check.one(b"sec-websocket-key")
    if not _KEY.fullmatch(key):
        raise check.error("has a key that is not 16 bytes in base64")
    subprotocols = tuple(map(str, check.parse(b"sec-websocket-protocol", parse_subprotocol)))
    if len(set(subprotocols)) < len(subprotocols):
        raise check.error("offers a subprotocol twice")
    return Offer(key, subprotocols, check.extensions())


def check_response(offer: Offer, headers: Fields) -> Agreement:
    """Return what a 101 response agrees to.

    Raises:
        ProtocolError: it is no answer to that offer (RFC 6455 section 4.1, at the end; `fake_upgrade`).
    """
    check = _Check("response", "fake_upgrade", headers)
    check.upgrade()
    if check.one(b"sec-websocket-accept") != accept_value(offer.key):
        raise check.error("has an accept value that does not belong to the key")
    for name in (b"sec-websocket-protocol", b"sec-websocket-extensions"):
        if len(_values(headers, name)) > 1:  # RFC 6455 sections 11.3.2 and 11.3.4
            raise check.error(f"has {name.decode('ascii')} twice")
    chosen = tuple(map(str, check.parse(b"sec-websocket-protocol", parse_subprotocol)))
    if len(chosen) > 1:
        raise check.error("chooses more than one subprotocol")
    if not set(chosen) <= set(offer.subprotocols):
        raise check.error("chooses a subprotocol that was not offered")
    extensions = check.extensions()
    names = [each.name for each in extensions]
    if not set(names) <= {each.name for each in offer.extensions}:
        raise check.error("chooses an extension that was not offered")
    if len(set(names)) < len(names):
        raise check.error("chooses an extension twice")
    return Agreement(chosen[0] if chosen else None, extensions)


def accept_value(key: bytes) -> bytes:
    """Return the value of `Sec-WebSocket-Accept` that answers a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


# Deflate, one leg at a time.


def offer_deflate() -> bytes:
    """Return the value of `Sec-WebSocket-Extensions` for our request to the server, which says `OFFERED_DEFLATE`."""
    return build_extension([(_DEFLATE, OFFERED_DEFLATE.parameters)]).encode("ascii")


def accept_server(agreement: Agreement) -> Deflate | None:
    """Return what the server agreed to, of `offer_deflate`; None if it does not compress.

    Raises:
        ProtocolError: it chose something that was not offered (`fake_upgrade`), or a window of 256 bytes for us, which
            zlib cannot do.
    """
    if not agreement.extensions:
        return None
    chosen, *more = agreement.extensions
    if more or chosen.name != _DEFLATE:
        raise ProtocolError("the server chose an extension that was not offered", reason="fake_upgrade")
    try:
        if ("client_max_window_bits", "8") in chosen.parameters:
            raise NegotiationError("a window of 8 bits")
        agreed = ClientPerMessageDeflateFactory().process_response_params(list(chosen.parameters), [])
    except NegotiationError as problem:
        message = f"the server answered the offer of permessage-deflate wrongly: {problem}"
        raise ProtocolError(message, reason="fake_upgrade") from problem
    return Deflate("server", agreed)


def accept_client(offer: Offer) -> tuple[Deflate | None, bytes | None]:
    """Choose out of what the client offers: what stands on its leg, and the `Sec-WebSocket-Extensions` of our 101.

    The first offer that we understand counts (RFC 7692 section 5.1); without any, neither is there.
    """
    factory = ServerPerMessageDeflateFactory(
        server_max_window_bits=WINDOW_BITS, client_max_window_bits=WINDOW_BITS, compress_settings=COMPRESS_SETTINGS
    )
    for offered in offer.extensions:
        # zlib cannot compress with a window of 8 bits; older versions of the library do not say so.
        if offered.name != _DEFLATE or ("server_max_window_bits", "8") in offered.parameters:
            continue
        try:
            parameters, agreed = factory.process_request_params(list(offered.parameters), [])
        except NegotiationError:
            continue
        return Deflate("client", agreed), build_extension([(_DEFLATE, parameters)]).encode("ascii")
    return None, None


# The fields.


def _values(headers: Fields, name: bytes) -> list[bytes]:
    """The values of all fields of that name."""
    return [value.strip(b" \t") for each, value in headers if each == name]


class _Check:
    """What a request and a response have in common; each error names the message and its fault."""

    def __init__(self, what: str, reason: str, headers: Fields) -> None:
        self._what = what
        self._reason = reason
        self._headers = headers

    def error(self, fault: str) -> ProtocolError:
        """The error for a fault."""
        return ProtocolError(f"the WebSocket {self._what} {fault}", reason=self._reason)

    def upgrade(self) -> None:
        """Check that it upgrades the connection to WebSocket, and nothing else, and has no body."""
        if "upgrade" not in [option.lower() for option in self.parse(b"connection", parse_connection)]:
            raise self.error("does not upgrade the connection")
        if self.one(b"upgrade").lower() != b"websocket":
            raise self.error("upgrades to something else than websocket")
        # RFC 9110 section 15.2: a 101 has no body; behind that of a request, two could disagree where frames begin.
        lengths = _values(self._headers, b"content-length")
        if any(length != b"0" for length in lengths) or _values(self._headers, b"transfer-encoding"):
            raise self.error("has a body")

    def one(self, name: bytes) -> bytes:
        """The value of a field that must be there once."""
        values = _values(self._headers, name)
        if len(values) != 1:
            raise self.error(f"has {name.decode('ascii')} {len(values)} times")
        return values[0]

    def parse(self, name: bytes, parse: Callable[[str], list[T]]) -> list[T]:
        """The elements of a list, which may be spread over fields (RFC 9110 section 5.3)."""
        values = _values(self._headers, name)
        try:
            return [element for value in values for element in parse(value.decode("latin-1"))]
        except InvalidHeader as problem:
            raise self.error(f"has a malformed {name.decode('ascii')}") from problem

    def extensions(self) -> tuple[Extension, ...]:
        """The extensions that it names (RFC 6455 section 9.1)."""
        parsed = self.parse(b"sec-websocket-extensions", parse_extension)
        return tuple(Extension(str(name), tuple(parameters)) for name, parameters in parsed)

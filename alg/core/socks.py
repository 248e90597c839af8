"""`SocksDoorway`: the server side of SOCKS4, 4A and 5, told apart by the first byte. What comes in which order, and which
answer is due when; how the messages are made of bytes stands in `socks4` and `socks5`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from alg.core import socks4, socks5
from alg.core.doorway import Ask, Asked, Doorway, authenticate
from alg.core.errors import AlgError, PolicyError, ProtocolError
from alg.core.model import Endpoint
from alg.core.octets import Incomplete, Octets


class _Phase(enum.Enum):
    """What is due next: from the client, or from us."""

    VERSION = enum.auto()
    METHODS = enum.auto()
    CREDENTIALS = enum.auto()
    REQUEST = enum.auto()
    REPLY = enum.auto()
    ARRIVAL = enum.auto()
    NOTHING = enum.auto()


class SocksDoorway(Doorway):
    """One client of SOCKS. Messages may be pipelined; none is looked at before the one before it was good."""

    __slots__ = ("_phase", "_users", "_version")

    def __init__(self, users: Mapping[str, str] | None = None) -> None:
        """With `users` (password by name), even if there are none of them, only who proves to be one gets in: SOCKS4, which
        has no passwords, and SOCKS5 without authentication are refused (`not_authenticated`, `no_acceptable_method`)."""
        super().__init__()
        self._users = users
        self._version = 0
        self._phase = _Phase.VERSION

    def _read(self) -> None:
        while self.asked is None and self._buffer:
            octets = Octets(self._buffer)
            try:
                self._step(octets)
            except Incomplete:
                return
            del self._buffer[: octets.position]

    def _step(self, octets: Octets) -> None:
        """Take one message, and go to the next phase."""
        if self._phase is _Phase.VERSION:
            self._begin(octets.integer())
        elif self._phase is _Phase.METHODS:
            self._choose_method(socks5.parse_methods(octets))
        elif self._phase is _Phase.CREDENTIALS:
            self._authenticate(octets)
        else:
            self._ask(self._parse_request(octets))

    def _begin(self, version: int) -> None:
        if version == socks4.VERSION:
            self._version, self._phase = version, _Phase.REQUEST
            if self._users is not None:
                raise PolicyError("SOCKS4 has no passwords, and one is needed here", reason="not_authenticated")
        elif version == socks5.VERSION:
            self._version, self._phase = version, _Phase.METHODS
        else:
            raise ProtocolError(f"the first byte is {version}, no version of SOCKS", reason="not_socks")

    def _choose_method(self, offered: bytes) -> None:
        needs_password = self._users is not None
        method = socks5.USER_PASSWORD if needs_password else socks5.NO_AUTHENTICATION
        if method not in offered:
            what = "a user name and password" if needs_password else "no authentication"
            raise PolicyError(f"the client does not offer {what}", reason="no_acceptable_method")
        self._replies += bytes((socks5.VERSION, method))
        self._phase = _Phase.CREDENTIALS if needs_password else _Phase.REQUEST

    def _authenticate(self, octets: Octets) -> None:
        self._expect_version(octets, socks5.PASSWORD_VERSION)
        self.user = authenticate(self._users or {}, *socks5.parse_credentials(octets))
        if self.user is None:
            raise PolicyError("the user name or the password is wrong", reason="not_authenticated")
        self._replies += bytes((socks5.PASSWORD_VERSION, socks5.ACCEPTED))
        self._phase = _Phase.REQUEST

    def _parse_request(self, octets: Octets) -> Asked:
        if self._version == socks4.VERSION:
            return socks4.parse_request(octets)  # its version was the first byte
        self._expect_version(octets, socks5.VERSION)
        return socks5.parse_request(octets)

    def _ask(self, asked: Asked) -> None:
        self._phase = _Phase.REPLY
        self._complete(asked)

    @staticmethod
    def _expect_version(octets: Octets, wanted: int) -> None:
        if (version := octets.integer()) != wanted:
            raise ProtocolError(f"a message of version {version} where {wanted} is due", reason="bad_version")

    def _grant(self, bound: Endpoint) -> bytes:
        # Two replies are due for BIND: where we listen, and who came.
        is_first = self._phase is _Phase.REPLY and self.asked is not None and self.asked.kind is Ask.BIND
        self._phase = _Phase.ARRIVAL if is_first else _Phase.NOTHING
        if self._version == socks4.VERSION:
            return socks4.format_reply(socks4.GRANTED, bound)
        return socks5.format_reply(socks5.SUCCEEDED, bound)

    def _refuse(self, error: AlgError) -> bytes:
        phase, self._phase = self._phase, _Phase.NOTHING
        if phase in (_Phase.VERSION, _Phase.NOTHING):
            return b""
        if phase is _Phase.METHODS:
            return bytes((socks5.VERSION, socks5.NO_METHOD))
        if phase is _Phase.CREDENTIALS:
            return bytes((socks5.PASSWORD_VERSION, socks5.DENIED))
        if self._version == socks4.VERSION:
            return socks4.format_reply(socks4.REJECTED)
        return socks5.format_reply(socks5.code_of(error))

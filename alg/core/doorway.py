"""`Doorway`: the server side of a way in, sans-IO: what a client asks for before its session begins, and our answers.

The host feeds it, sends what it says, and judges and connects what was asked for; nothing here decides where a client may
go. The protocols stand in `socks` and `http_connect`.
"""

from __future__ import annotations

import enum
import hmac
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from alg.core.errors import AlgError
from alg.core.model import Endpoint
from alg.core.opening import Opening


class Ask(enum.Enum):
    """What a client wants of us (RFC 1928 section 4)."""

    CONNECT = "connect"
    """A connection to the host."""
    BIND = "bind"
    """A listener, for one connection from the host."""
    ASSOCIATE = "associate"
    """A UDP relay; the host is where the client says that its datagrams will come from, `0.0.0.0` port 0 if it cannot."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for. `host` is the canonical text of an address, or a host name (see `hosts.parse_host`)."""

    kind: Ask
    host: str
    port: int


class Doorway(Opening):
    """One client's opening. The order of calls: `receive` until `asked`, then `granted` or `refused`, once; for BIND after
    `granted` then `came` or `refused`. Each returns bytes for the client; those of `take_replies` are sent whenever there
    are any, and whoever does not take them gets them at the front of the next answer.

    `receive` raises what a client is refused for before it is `complete`; hand it to `refused`, and close.
    """

    __slots__ = ("_replies", "asked", "user")

    def __init__(self) -> None:
        super().__init__()
        self._replies = bytearray()
        self.asked: Asked | None = None
        """What the client asks for; None until that is complete, and it has proved who it is where it must."""
        self.user: str | None = None
        """Who it has proved to be; None where there are no users."""

    def take_replies(self) -> bytes:
        """What to send to the client now."""
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def granted(self, bound: Endpoint) -> bytes:
        """The success reply. `bound` is our end of the connection; for BIND where we listen (the first reply), for ASSOCIATE
        where to send datagrams."""
        assert self.asked is not None, "nothing can be granted that was not asked for"
        return self.take_replies() + self._grant(bound)

    def came(self, peer: Endpoint) -> bytes:
        """BIND's second reply: `peer` has connected."""
        assert self.asked is not None and self.asked.kind is Ask.BIND, "only who waits is told"
        return self.take_replies() + self._grant(peer)

    def refused(self, error: AlgError) -> bytes:
        """The protocol's own refusal; empty where it has none to say now, as after a success."""
        return self.take_replies() + self._refuse(error)

    @abstractmethod
    def _grant(self, bound: Endpoint) -> bytes:
        """The success reply, or BIND's next one, with that endpoint."""

    @abstractmethod
    def _refuse(self, error: AlgError) -> bytes:
        """The refusal."""

    def _complete(self, asked: Asked) -> None:
        self.asked, self.complete = asked, True


def authenticate(users: Mapping[str, str], name: bytes, password: bytes) -> str | None:
    """Return the user whose password that is, or None. Both are UTF-8. How much of a password was right does not show in how
    long it takes, and who is no user costs a comparison, too."""
    user = name.decode("utf-8", "replace")
    wanted = users.get(user)
    same = hmac.compare_digest(password, b"" if wanted is None else wanted.encode("utf-8"))
    return user if same and wanted is not None else None

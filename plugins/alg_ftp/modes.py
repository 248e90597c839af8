"""Which of PORT, PASV, EPRT and EPSV are used on a leg: by its mode, by the address families on both sides (RFC 6384), and
by what the server does not know.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from alg_ftp.config import DataMode

VERBS = frozenset(("PORT", "PASV", "EPRT", "EPSV"))
PASSIVE = ("PASV", "EPSV")

_MODES = {
    DataMode.ACTIVE: ("PORT", "EPRT"),
    DataMode.PASSIVE: ("EPSV", "PASV"),
    DataMode.PASV: ("PASV",),
    DataMode.EPSV: ("EPSV",),
    DataMode.PORT: ("PORT",),
    DataMode.EPRT: ("EPRT",),
}
_OTHER_SPELLING = {"PASV": "EPSV", "EPSV": "PASV", "PORT": "EPRT", "EPRT": "PORT"}
_UNKNOWN = (500, 501, 502, 522)
"""What servers say to a command, or to an address family, that they do not know (RFC 2428 sections 2 and 3)."""


class Translation(enum.Enum):
    """What a client said about translation between the address families (RFC 6384 section 11)."""

    ENABLED = "ENABLE64"
    DISABLED = "DISABLE64"


def may_use(mode: DataMode, verb: str) -> bool:
    """Whether a client may use that command."""
    return mode is DataMode.CLIENT or verb in _MODES[mode]


def usable(mode: DataMode, family: int) -> str:
    """What a client of that address family may use, in words; the mode must not be `client`."""
    return " or ".join(verb for verb in _MODES[mode] if family == 4 or verb.startswith("E")) or "nothing"


class ServerVerbs:
    """What to try with one server."""

    def __init__(self, mode: DataMode) -> None:
        self._mode = mode
        self._unknown: set[str] = set()
        """What the server has said it does not know."""
        self.only_epsv = False
        """Whether the server was told that nothing but EPSV will come (RFC 2428 section 4)."""
        self.translation = Translation.ENABLED

    def to_try(self, verb: str, client: int, server: int) -> Sequence[str]:
        """What to try, in this order, where a client says `verb`; with the address families of both sides."""
        verbs = self._by_families(verb, client, server) if self._mode is DataMode.CLIENT else _MODES[self._mode]
        if server == 6:
            verbs = tuple(dict.fromkeys(each if each.startswith("E") else _OTHER_SPELLING[each] for each in verbs))
        if self.only_epsv:
            verbs = ("EPSV",)
        return [each for each in verbs if each not in self._unknown] or verbs

    def _by_families(self, verb: str, client: int, server: int) -> Sequence[str]:
        if client != server and self.translation is Translation.DISABLED and client == 6:
            return (verb,)
        if client != server:
            return (_OTHER_SPELLING[verb],)  # RFC 6384 sections 6 and 7: an old server knows the old ones
        return (verb, _OTHER_SPELLING[verb]) if verb.startswith("E") else (verb,)

    def refused(self, verb: str, code: int) -> bool:
        """The server has refused a command with that code; return whether to try the next one."""
        if code not in _UNKNOWN:
            return False
        self._unknown.add(verb)
        return True

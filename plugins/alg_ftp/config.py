"""What an operator may set for FTP, with the defaults, and the ready profiles."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from alg.plugin import ConfigError, Rules, Verdict


class ForeignAddress(enum.Enum):
    """What to do where an announced address is not the announcing peer's own."""

    PEER = "peer"
    """Take the port only, and the address of the peer: it sits behind a NAT of its own."""
    REFUSE = "refuse"


class DataMode(enum.Enum):
    """How data connections are opened on a leg: who connects, and by which command that is agreed on."""

    CLIENT = "client"
    """As the client says; what a server does not know, or what its address family has no use for, is put otherwise."""
    ACTIVE = "active"
    """The server connects: PORT, or EPRT on IPv6."""
    PASSIVE = "passive"
    """The client connects: EPSV, or PASV where a server does not know that."""
    PASV = "PASV"
    EPSV = "EPSV"
    PORT = "PORT"
    EPRT = "EPRT"


class DataTls(enum.Enum):
    """TLS on the data connections of a leg whose control connection is under TLS."""

    CLIENT = "client"
    """As the client says; toward the server, it is on where the client has no TLS itself."""
    REQUIRE = "require"
    NEVER = "never"


class Profile(enum.Enum):
    """Ready rules; several may be combined, and `rules` stands on top of them."""

    READ_ONLY = "read-only"
    ANONYMOUS_ONLY = "anonymous-only"
    NO_SITE = "no-site"


_WRITING = ("STOR", "STOU", "APPE", "ALLO", "DELE", "RNFR", "RNTO", "MKD", "XMKD", "RMD", "XRMD", "MFMT", "MFCT", "MFF")

_PROFILE_RULES: Mapping[Profile, Rules] = MappingProxyType(
    {
        # SITE can write too (CHMOD, UTIME, EXEC); MDTM with a time stamp is handled by the plugin.
        Profile.READ_ONLY: Rules(dict.fromkeys((*_WRITING, "SITE"), Verdict.REJECT)),
        Profile.ANONYMOUS_ONLY: Rules({"ACCT": Verdict.REJECT}),
        Profile.NO_SITE: Rules({"SITE": Verdict.REJECT}),
    }
)

_NO_RULES = Rules()
_ANONYMOUS = (b"anonymous", b"ftp")  # RFC 1635, in any case

_NUMBERS = (
    *("data_lifetime", "max_command_line", "max_reply_line", "max_reply_lines"),
    *("max_user", "max_outstanding", "command_rate"),
)


@dataclass(frozen=True)
class FtpConfig:
    """Settings of the FTP plugin. Lengths are in bytes, line ends included."""

    profiles: tuple[Profile, ...] = ()
    rules: Mapping[str, Verdict] = field(default_factory=dict)
    """Verdicts by `"VERB"`, by `"VERB PATTERN"` for its argument, and by `"VERB CODE"` for replies; `"*"` for the rest.
    See `alg.plugin.Rules`."""
    users: tuple[str, ...] = ()
    """Who may log in, by name, upper and lower case as given; empty: anybody."""
    foreign_passive: ForeignAddress = ForeignAddress.PEER
    """A 227 reply names another address than the server's (or 0.0.0.0)."""
    foreign_active: ForeignAddress = ForeignAddress.REFUSE
    """PORT or EPRT names another address than the client's."""
    hide_features: tuple[str, ...] = ()
    """Lines of the FEAT reply to take out, by their first word, besides those of commands that are refused anyway."""
    add_features: tuple[str, ...] = ()
    """Lines to put into the FEAT reply."""
    client_data_mode: DataMode = DataMode.CLIENT
    """What clients may use."""
    server_data_mode: DataMode = DataMode.CLIENT
    """What is used toward the server, whatever the client uses."""
    client_data_tls: DataTls = DataTls.CLIENT
    server_data_tls: DataTls = DataTls.CLIENT
    ccc: bool = False
    """Whether clients may take TLS off the control connection after they have logged in (RFC 4217 section 12.3)."""
    data_lifetime: float = 60.0
    """Seconds that a data connection may take to come."""
    max_command_line: int = 4096
    max_reply_line: int = 4096
    max_reply_lines: int = 512
    """Lines of a reply that has to be read whole (to PASV, EPSV and FEAT)."""
    max_user: int = 128
    max_outstanding: int = 64
    """Commands that may wait for their reply."""
    command_rate: int = 10_000
    """Commands a second, on average; bursts of twice as many are taken."""

    def __post_init__(self) -> None:
        """Check what would come to light only in the middle of a session.

        Raises:
            ConfigError: a feature to add is not printable ASCII, or a number not above 0.
        """
        for name in _NUMBERS:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: must be above 0, not {getattr(self, name)}")
        for feature in self.add_features:
            if not (feature.isascii() and feature.isprintable() and feature.strip()):
                raise ConfigError(f"add_features: {feature!a} is not one line of printable ASCII")

    def effective_rules(self) -> Rules:
        """The operator's rules on top of those of the profiles."""
        if not self.rules and not self.profiles:
            return _NO_RULES
        # Patterns for arguments stay as they are; what they are compared with may be in either case anyway.
        rules = Rules(
            {" ".join((key.split(" ")[0].upper(), *key.split(" ")[1:])): self.rules[key] for key in self.rules}
        )
        for profile in self.profiles:
            rules = rules.over(_PROFILE_RULES[profile])
        return rules

    def hides(self, feature: str) -> bool:
        """Whether that feature, in upper case, is one of `hide_features`."""
        return feature in (hidden.upper() for hidden in self.hide_features)

    def admits(self, user: bytes) -> bool:
        """Whether that user may log in."""
        if Profile.ANONYMOUS_ONLY in self.profiles:
            return user.lower() in _ANONYMOUS
        return not self.users or user in (name.encode("utf-8") for name in self.users)

"""Conversations: the readable trace of an exchange and what must come of it, for `alg explain` and for tests.

This module parses the format (`FORMAT` explains it) and cuts a conversation into steps; `alg.player` plays them.
"""

from __future__ import annotations

import enum
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from alg.core.errors import ConfigError
from alg.core.model import Side, TlsPolicy, Transport
from alg.testing import endpoint

FORMAT = """\
protocol: NAME                    the plugin; required
transport: udp                    each line that is said or got is one datagram, and nothing follows its text
client: PEER - LOCAL              the endpoints of that leg: theirs, ours
server: PEER - LOCAL              `server: none` where the client chooses one of the upstreams
upstream: HOST:PORT PEER          where that upstream is; may stand several times
tls: CLIENT SERVER                the route's policies: never client require pass (without: never client)
implicit: SIDE ...                the legs that are TLS from the start
name: NAME                        what the client asks for in its TLS handshake
upstream_name: NAME               what the operator calls the server
listeners: A:P ...                where bindings listen, in order; when they run out, so have the ports
config: KEY = VALUE               a line of the plugin's TOML table
C> TEXT     S> TEXT               the client, the server says a line
C.          S.                    it ends its direction
~ SECONDS                         so much time goes by
C< TEXT     S< TEXT               the client, the server must get that line
+ SIDE LISTENER -> TARGET         a listener opens for that side and leads to the target; ` tls` stands behind the
                                  endpoints of legs that are TLS, and behind that the name of a target that has one;
                                  ` shared` at the end: it is there for all sessions, and outlives this one;
                                  `client X <-> server Y`: both listen, or are dialled
- SIDE LISTENER                   it closes, while the session goes on
= client X <-> server Y           both are dialled now, and the binding is done with
T SIDE                            TLS begins on that leg; `T SIDE off`: it ends
@ HOST:PORT                       this upstream is connected to
! REASON                          a record of that reason is written
.                                 the session has ended, and its listeners with it
# ...                             a comment; the first is the title

What stands below what somebody says, or below a time, up to the next, is all that must come of it. A line ends in CR LF
unless its text ends in \\n, \\r or \\c (nothing follows). \\t, \\\\ and \\xff are bytes; the rest is UTF-8.
"""

_ESCAPE = re.compile(r"\\(?:([rntc\\])|x([0-9a-fA-F]{2}))")
_SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "c": b"", "\\": b"\\"}
_HEADERS = (
    "protocol",
    "transport",
    "client",
    "server",
    "upstream",
    "tls",
    "implicit",
    "name",
    "upstream_name",
    "listeners",
    "config",
)
_NOBODY = "none"


class Mark(enum.Enum):
    """What a line of a conversation says."""

    CLIENT_SAYS = "C>"
    SERVER_SAYS = "S>"
    CLIENT_ENDS = "C."
    SERVER_ENDS = "S."
    WAITS = "~"
    CLIENT_GETS = "C<"
    SERVER_GETS = "S<"
    LISTENS = "+"
    STOPS = "-"
    DIALS = "="
    TLS = "T"
    CONNECTS = "@"
    RECORD = "!"
    CLOSED = "."


_SPEAKERS = {
    Mark.CLIENT_SAYS: Side.CLIENT,
    Mark.CLIENT_ENDS: Side.CLIENT,
    Mark.SERVER_SAYS: Side.SERVER,
    Mark.SERVER_ENDS: Side.SERVER,
}
_GETS = {Mark.CLIENT_GETS: Side.CLIENT, Mark.SERVER_GETS: Side.SERVER}
CHANGES = (Mark.DIALS, Mark.TLS, Mark.CONNECTS)


@dataclass(frozen=True, slots=True)
class Step:
    """What one side says in a row, whether it then ends, and what must come of it."""

    number: int
    """The line of the file where it begins."""
    side: Side
    data: bytes
    ends: bool = False
    gets: dict[Side, bytes] = field(default_factory=dict)
    listens: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    """What becomes of the legs: dialled, TLS, connected; each with its mark."""
    records: tuple[str, ...] = ()
    closed: bool = False
    waits: float = 0.0
    """Seconds that go by; then nobody says anything."""
    said: tuple[bytes, ...] = ()
    """The datagrams that are said, where it is about these; `data` is all of them."""
    came: dict[Side, tuple[bytes, ...]] = field(default_factory=dict)
    """The datagrams that each side must get, where there are any; `gets` is all of them."""

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """What is said, as it is said: one datagram after the other, or all of it at once."""
        return () if self.waits else self.said or (self.data,)

    @property
    def shakes_hands(self) -> bool:
        """Whether TLS begins or ends on a leg."""
        return any(change.startswith(Mark.TLS.value) for change in self.changes)

    def glued_to(self, later: Step) -> Step:
        """This step and a later one of the same side, said in one breath."""
        gone = {*later.stops, *(line[2:] for line in later.changes if line.startswith(Mark.DIALS.value))}
        brief = {line.partition(" -> ")[0] for line in self.listens} & gone  # opened and closed within it
        listens = tuple(line for line in self.listens if line.partition(" -> ")[0] not in brief) + later.listens
        if later.closed:
            listens = tuple(line for line in listens if line.endswith(" shared"))
        return Step(
            self.number,
            self.side,
            self.data + later.data,
            later.ends,
            {side: self.gets.get(side, b"") + later.gets.get(side, b"") for side in Side},
            listens,
            self.stops + tuple(line for line in later.stops if line not in brief),
            self.changes + later.changes,
            self.records + later.records,
            later.closed,
            said=self.said + later.said,
            came={side: came for side in Side if (came := self.came.get(side, ()) + later.came.get(side, ()))},
        )


@dataclass(frozen=True, slots=True)
class Conversation:
    """A parsed conversation."""

    path: str
    title: str
    settings: dict[str, str]
    steps: tuple[Step, ...]

    @property
    def protocol(self) -> str:
        """The name of the plugin."""
        return self.settings["protocol"]

    @property
    def is_datagrams(self) -> bool:
        """Whether it is about datagrams."""
        return self.settings.get("transport") == Transport.UDP.value

    @property
    def config(self) -> dict[str, object]:
        """The plugin's table, as in a configuration file."""
        return tomllib.loads(self.settings.get("config", ""))

    def glued(self) -> tuple[Step, ...]:
        """The steps, those of one side in a row joined into one; but nobody speaks across a TLS handshake."""
        steps: list[Step] = []
        for step in self.steps:
            before = steps[-1] if steps else None
            apart = before is None or before.ends or before.shakes_hands or before.waits or step.waits
            if before and before.side is step.side and not apart:
                steps[-1] = steps[-1].glued_to(step)
            else:
                steps.append(step)
        return tuple(steps)

    @property
    def expects(self) -> bool:
        """Whether the file says what must come of anything."""
        bare = (
            Step(
                each.number,
                each.side,
                each.data,
                each.ends,
                each.gets,
                waits=each.waits,
                said=each.said,
                came=each.came,
            )
            for each in self.steps
        )
        return any(step != said for step, said in zip(self.steps, bare, strict=True)) or any(
            any(step.gets.values()) for step in self.steps
        )

    def endpoints(self) -> list[str]:
        """All endpoints that the head of the file names."""
        found = self.settings.get("listeners", "").split()
        for side in ("client", "server"):
            found += [each.strip() for each in self.settings.get(side, "").split(" - ") if each.strip()]
        if self.settings.get("server", "").partition(" - ")[0].strip() == _NOBODY:
            found.remove(_NOBODY)
        return found + list(self.upstreams.values())

    @property
    def upstreams(self) -> dict[str, str]:
        """Where the upstreams are that the client may choose."""
        lines = (line.partition(" ") for line in self.settings.get("upstream", "").splitlines())
        return {name: peer.strip() for name, _, peer in lines}

    def arguments(self) -> dict[str, object]:
        """The arguments for a `Playbook` that the head of the file gives."""
        arguments: dict[str, object] = {}
        for side in ("client", "server"):
            if side in self.settings:
                peer, dash, local = self.settings[side].partition(" - ")
                arguments[side] = None if peer.strip() == _NOBODY else peer.strip()
                if dash:
                    arguments[f"{side}_local"] = local.strip()
        if "listeners" in self.settings:
            arguments["listeners"] = self.settings["listeners"].split()
        if "tls" in self.settings:
            policies = [TlsPolicy(word) for word in self.settings["tls"].split()]
            if len(policies) != len(Side):
                raise ValueError("`tls:` names two policies, the client's and the server's")
            arguments["client_tls"], arguments["server_tls"] = policies
        arguments["implicit_tls"] = [Side(side) for side in self.settings.get("implicit", "").split()]
        arguments["server_name"] = self.settings.get("name")
        arguments["upstream_name"] = self.settings.get("upstream_name")
        return arguments | {"upstreams": self.upstreams}


def parse(text: str, path: str = "conversation") -> Conversation:
    """Parse a conversation.

    Raises:
        ConfigError: a line is none of the format's; the message names the file and the line.
    """
    title = ""
    settings: dict[str, str] = {}
    steps: list[_Draft] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            title = title or line.strip("# ")
            continue
        key, colon, value = line.partition(":")
        if not steps and colon and key in _HEADERS:
            settings[key] = f"{settings[key]}\n{value.strip()}" if key in settings else value.strip()
            continue
        word, _, rest = line.partition(" ")
        try:
            mark = Mark(word)
        except ValueError:
            known = " ".join(each.value for each in Mark)
            raise ConfigError(f"{path}:{number}: a line begins with one of {known}, not {word!r}") from None
        udp = settings.get("transport") == Transport.UDP.value
        _add(steps, mark, rest, f"{path}:{number}", number, udp=udp)
    if "protocol" not in settings:
        raise ConfigError(f"{path}: a conversation begins with 'protocol: NAME'")
    conversation = Conversation(path, title, settings, tuple(draft.step() for draft in steps))
    try:
        _ = conversation.config, conversation.arguments(), Transport(settings.get("transport", "tcp"))
        for each in conversation.endpoints():
            endpoint(each)
    except ValueError as error:  # TOML's too
        raise ConfigError(f"{path}: {error}") from None
    return conversation


def load(path: Path) -> Conversation:
    """Read and parse a conversation file.

    Raises:
        ConfigError: it cannot be read, or is malformed.
    """
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


class _Draft:
    """A step while its lines come in."""

    def __init__(self, number: int, side: Side, *, udp: bool) -> None:
        self.number = number
        self.side = side
        self.said: list[bytes] = []
        self.udp = udp
        self.ends = False
        self.gets: dict[Side, list[bytes]] = {side: [] for side in Side}
        self.outcomes: dict[Mark, list[str]] = {Mark.LISTENS: [], Mark.STOPS: [], Mark.RECORD: [], Mark.CLOSED: []}
        self.changes: list[str] = []
        self.has_outcome = False
        self.waits = 0.0

    def step(self) -> Step:
        return Step(
            self.number,
            self.side,
            b"".join(self.said),
            self.ends,
            {side: b"".join(pieces) for side, pieces in self.gets.items()},
            tuple(self.outcomes[Mark.LISTENS]),
            tuple(self.outcomes[Mark.STOPS]),
            tuple(self.changes),
            tuple(self.outcomes[Mark.RECORD]),
            bool(self.outcomes[Mark.CLOSED]),
            self.waits,
            tuple(self.said) if self.udp else (),
            {side: tuple(pieces) for side, pieces in self.gets.items() if pieces} if self.udp else {},
        )


def _add(steps: list[_Draft], mark: Mark, text: str, where: str, number: int, *, udp: bool) -> None:
    side = _SPEAKERS.get(mark)
    if side is not None:
        if not steps or steps[-1].has_outcome or steps[-1].side is not side or steps[-1].ends:
            steps.append(_Draft(number, side, udp=udp))
        if mark in (Mark.CLIENT_ENDS, Mark.SERVER_ENDS):
            if udp:
                raise ConfigError(f"{where}: over UDP nobody ends a direction")
            steps[-1].ends = True
        else:
            steps[-1].said.append(unescape(text, line_end=not udp))
        return
    if mark is Mark.WAITS:
        steps.append(_Draft(number, Side.CLIENT, udp=udp))
        steps[-1].waits, steps[-1].has_outcome = _seconds(text, where), True
        return
    if not steps:
        raise ConfigError(f"{where}: nobody has said anything yet")
    steps[-1].has_outcome = True
    if mark in _GETS:
        steps[-1].gets[_GETS[mark]].append(unescape(text, line_end=not udp))
    elif mark in CHANGES:
        steps[-1].changes.append(f"{mark.value} {text.strip()}")
    else:
        steps[-1].outcomes[mark].append(text.strip())


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{where}: {text.strip()!r} is no number of seconds")
    return seconds


def unescape(text: str, *, line_end: bool = True) -> bytes:
    r"""Turn `\r`, `\n`, `\t`, `\xff`, `\\` into bytes; with `line_end`, CR LF follows unless the text ends in `\n`, `\r` or
    `\c`."""
    data, at, last = b"", 0, ""
    for match in _ESCAPE.finditer(text):
        data += text[at : match.start()].encode("utf-8")
        data += _SIMPLE[match[1]] if match[1] else bytes.fromhex(match[2])
        at = match.end()
        last = match[1] or ""
    data += text[at:].encode("utf-8")
    own_end = at == len(text) and last and last in "rnc"
    return data if own_end or not line_end else data + b"\r\n"

"""FTP on the wire: commands, replies, and the four spellings of an endpoint. Pure functions from bytes to values and back.

What clients and servers in the wild send is understood; what we write is canonical. Numbers are ASCII digits only.
Lines are without their line end here, except in `split_line_end`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alg.plugin import Endpoint, ProtocolError

LINE_END = b"\r\n"

# RFC 854: a client may put IP (interrupt process) and DM (data mark, sent urgent) before ABOR and STAT (RFC 959 4.1.3).
_TELNET_SIGNALS = re.compile(rb"(?:\xff[\xf4\xf2])*")
_VERB = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,15}")

# The first word of a request, or of a header, of another text protocol: somebody had a browser or a phone talk to us
# (NAT slipstreaming). None of them is an FTP verb.
_OTHER_PROTOCOL = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI|REGISTER|INVITE|SUBSCRIBE|NOTIFY|DESCRIBE|SETUP"
    rb"|EHLO|HELO|NICK|JOIN|PRIVMSG|[A-Za-z-]+:)(?: |\Z)"
)

_SIX_NUMBERS = re.compile(rb"[0-9]{1,3}(?: *, *[0-9]{1,3}){5}")
# All numbers that stand in a row, in linear time; and the gap before one more that no comma separates.
_NUMBERS_IN_TEXT = re.compile(rb"([0-9]++(?: *, *[0-9]++)*+)( +(?=[0-9]))?")
_EPRT = re.compile(rb"([\x21-\x2f\x3a-\x7e])([0-9]{1,3})\1(.+?)\1([0-9]{1,5})\1")
_EPSV_REPLY = re.compile(rb"\(([\x21-\x2f\x3a-\x7e])[0-9]{0,3}\1[0-9A-Fa-f.:]*\1([0-9]{1,5})\1\)")


class FamilyError(ProtocolError):
    """The endpoint is of an address family that RFC 2428 does not know, or that does not match its number."""

    default_reason = "bad_family"


@dataclass(frozen=True, slots=True)
class Command:
    """One command line: the verb in upper case, its argument without surrounding spaces, the line as it goes on."""

    verb: str
    argument: bytes
    line: bytes

    @property
    def is_epsv_all(self) -> bool:
        """Whether the client promises to use nothing but EPSV from here on (RFC 2428 section 4)."""
        return self.verb == "EPSV" and self.argument.upper() == b"ALL"

    @property
    def is_transfer(self) -> bool:
        """Whether it needs a data connection (RFC 959 section 4.1.3, RFC 3659 section 7)."""
        return self.verb in _TRANSFERS

    def asks_for(self, code: int) -> bool:
        """Whether a reply of that code tells the port that this command asked for; EPSV ALL asks for none."""
        return _PASSIVE.get(self.verb) == code and not self.is_epsv_all


_PASSIVE = {"PASV": 227, "EPSV": 229}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: its code, and its lines, the first and the last with the code."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def good(self) -> bool:
        """Whether it says that the command was carried out."""
        return 200 <= self.code < 300

    def to_bytes(self) -> bytes:
        """The reply with its line ends."""
        return LINE_END.join((*self.lines, b""))


_TRANSFERS = frozenset(("RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"))


def split_line_end(raw: bytes, who: str) -> bytes:
    """Return a line without its LF or CR LF.

    A bare LF ends a line for most servers, so it must for us, and goes on as CR LF. What servers disagree about must
    not pass: a bare CR, a NUL.

    Raises:
        ProtocolError: the line holds one of these (`bare_cr`, `nul_byte`).
    """
    line = raw[:-2] if raw.endswith(LINE_END) else raw[:-1]
    if b"\r" in line:
        raise ProtocolError(f"the {who} sent a CR that is not followed by LF", reason="bare_cr")
    if b"\0" in line:
        raise ProtocolError(f"the {who} sent a NUL byte", reason="nul_byte")
    return line


def parse_command(line: bytes) -> Command:
    """Parse a command line.

    Raises:
        ProtocolError: it is none: no verb of letters and digits (`bad_command`), telnet codes other than the signals
            before a verb (`telnet_code`), a request of another protocol (`wrong_protocol`).
    """
    signals = _TELNET_SIGNALS.match(line) if line[:1] == b"\xff" else None
    body = line[signals.end() :] if signals else line
    verb, _, argument = body.partition(b" ")
    if _OTHER_PROTOCOL.match(body):
        raise ProtocolError("the client speaks another protocol than FTP", reason="wrong_protocol")
    if not _VERB.fullmatch(verb):
        if b"\xff" in verb:
            raise ProtocolError("the client sent a telnet code inside a command", reason="telnet_code")
        raise ProtocolError("the client sent a line that is no FTP command", reason="bad_command")
    return Command(verb.decode("ascii").upper(), argument.strip(b" "), line)


def parse_reply(line: bytes) -> tuple[int, bool]:
    """Parse the first line of a reply: its code, and whether it is the only line.

    Raises:
        ProtocolError: it does not begin with a code from 100 to 599 and a space, hyphen or line end (`bad_reply`).
    """
    code, mark = line[:3], line[3:4]
    # `isdigit` of bytes knows ASCII digits only.
    if len(code) < 3 or not code.isdigit() or not b"1" <= code < b"6" or mark not in (b" ", b"-", b""):
        raise ProtocolError("the server sent a reply without a reply code", reason="bad_reply")
    return int(code), mark != b"-"


def is_last_line(line: bytes, code: int) -> bool:
    """Whether a later line ends the multi-line reply of that code: same code, then a space (RFC 959 section 4.2)."""
    return line[:3] == b"%d" % code and line[3:4] in (b" ", b"")


def format_reply(code: int, text: str) -> bytes:
    """Return a one-line reply with its line end. The text must be printable ASCII."""
    return b"%d %s\r\n" % (code, text.encode("ascii"))


# PORT and 227: h1,h2,h3,h4,p1,p2 (RFC 959 section 4.1.2).


def parse_port(argument: bytes) -> Endpoint:
    """Parse the argument of PORT; spaces around the commas and leading zeros are taken as servers take them.

    Raises:
        ProtocolError: it is not six decimal numbers up to 255 (`bad_endpoint`).
    """
    if not _SIX_NUMBERS.fullmatch(argument):
        raise ProtocolError("PORT wants h1,h2,h3,h4,p1,p2", reason="bad_endpoint")
    *address, high, low = (int(number) for number in argument.split(b","))
    if max(*address, high, low) > 255:
        raise ProtocolError("a number of an FTP address is above 255", reason="bad_endpoint")
    return Endpoint.parse(".".join(map(str, address)), high * 256 + low)


def format_port(endpoint: Endpoint) -> bytes:
    """Return h1,h2,h3,h4,p1,p2. The endpoint must be IPv4."""
    numbers = (*endpoint.address.packed, *divmod(endpoint.port, 256))
    return b",".join(b"%d" % number for number in numbers)


def parse_passive(lines: Sequence[bytes]) -> Endpoint | None:
    """Find the endpoint in a 227 reply of one or more lines; None if there is none.

    Servers put it in or without parentheses, behind `=`, after text with digits, and in any line of a multi-line
    reply. The last line is asked first, then the others from the top. Exactly six numbers count.
    """
    for line in (lines[-1], *lines[:-1]):
        for match in _NUMBERS_IN_TEXT.finditer(line):
            if match[2] is None:
                try:
                    return parse_port(match[1])
                except ProtocolError:
                    continue
    return None


def format_passive(endpoint: Endpoint) -> bytes:
    """Return a 227 reply with its line end. The endpoint must be IPv4."""
    return b"227 Entering Passive Mode (%s).\r\n" % format_port(endpoint)


# EPRT and 229: |family|address|port| (RFC 2428).


def parse_eprt(argument: bytes) -> Endpoint:
    """Parse the argument of EPRT. The delimiter is any printable character but a digit (RFC 2428 section 2).

    Raises:
        FamilyError: the family is neither 1 nor 2, or the address is of the other one.
        ProtocolError: the argument is malformed (`bad_endpoint`, `bad_address`, `bad_port`).
    """
    match = _EPRT.fullmatch(argument)
    if not match:
        raise ProtocolError("EPRT wants |1|address|port| or |2|address|port|", reason="bad_endpoint")
    family, address, port = match[2], match[3], match[4]
    if family not in (b"1", b"2"):
        raise FamilyError("the network protocol of EPRT is neither 1 nor 2")
    endpoint = Endpoint.parse(address, port)
    if (b":" in address) != (family == b"2"):
        raise FamilyError("the address of EPRT is not of the network protocol that it names")
    return endpoint


def format_eprt(endpoint: Endpoint) -> bytes:
    """Return |1|address|port| or |2|address|port|, an IPv6 address as RFC 5952 has it (servers compare text)."""
    return b"|%d|%s|" % (1 if endpoint.address.version == 4 else 2, endpoint.to_bytes(b"|"))


def parse_extended_passive(lines: Sequence[bytes]) -> int | None:
    """Find the port in a 229 reply of one or more lines; None if there is none. An address in it is not looked at."""
    for line in (lines[-1], *lines[:-1]):
        match = _EPSV_REPLY.search(line)
        if match and 1 <= int(match[2]) <= 65535:
            return int(match[2])
    return None


def format_extended_passive(port: int) -> bytes:
    """Return a 229 reply with its line end."""
    return b"229 Entering Extended Passive Mode (|||%d|)\r\n" % port

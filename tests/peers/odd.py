"""Unusual but legal-enough spellings, each with a whole download: `python -m tests.peers.odd`.

Two halves. Commands: a raw client spells PORT and EPRT in ways that servers take and that rewriting
gateways are known to miss. Replies: pyftpdlib spells 227 and 229 in ways that clients take.
"""

from __future__ import annotations

import argparse
import functools
import ipaddress
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .gateway import MODES
from .pyftpdlib_server import ODD_227, ODD_229
from .raw_client import OddError, RawClient
from .rig import Rig, built_rig, guarded, summary
from .servers import BLOCK, FTP_PORT, SAMPLE, SERVERS, Server, start_pyftpdlib

Address = tuple[str, int]


def port_numbers(address: Address, separator: str = ",", width: int = 1) -> str:
    """The six numbers of PORT."""
    host, port = address
    numbers = [*host.split("."), str(port // 256), str(port % 256)]
    return separator.join(number.zfill(width) for number in numbers)


def in_pieces(text: str, *cuts: int) -> list[str]:
    """A text cut at these places; negative ones count from the end."""
    edges = [0, *(cut % len(text) for cut in cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def port_line(address: Address) -> str:
    """PORT as everyone writes it."""
    return f"PORT {port_numbers(address)}\r\n"


def full_ipv6(address: Address) -> str:
    """EPRT with every digit of the IPv6 address written out."""
    return f"EPRT |2|{ipaddress.IPv6Address(address[0]).exploded}|{address[1]}|\r\n"


@dataclass(frozen=True)
class Spelling:
    """One way to announce a data port: the segments to send, and which replies will come."""

    name: str
    pieces: Callable[[Address], list[str]]
    family: int = 4
    # Replies to commands that stand before PORT in the same segment.
    replies_before: int = 0
    # RETR is already among the pieces.
    with_retr: bool = False


SPELLINGS = (
    Spelling("plain", lambda a: [port_line(a)]),
    Spelling("split inside the verb", lambda a: in_pieces(port_line(a), 2)),
    Spelling("split inside the address", lambda a: in_pieces(port_line(a), 9)),
    Spelling("split before CR", lambda a: in_pieces(port_line(a), -2)),
    Spelling("split between CR and LF", lambda a: in_pieces(port_line(a), -1)),
    Spelling("byte by byte", lambda a: list(port_line(a))),
    Spelling("pipelined behind NOOP", lambda a: ["NOOP\r\n" + port_line(a)], replies_before=1),
    Spelling("pipelined behind two", lambda a: ["NOOP\r\nPWD\r\n" + port_line(a)], replies_before=2),
    Spelling("pipelined before RETR", lambda a: [port_line(a) + f"RETR {SAMPLE}\r\n"], with_retr=True),
    Spelling("LF only", lambda a: [f"PORT {port_numbers(a)}\n"]),
    Spelling("two spaces", lambda a: [f"PORT  {port_numbers(a)}\r\n"]),
    Spelling("trailing space", lambda a: [f"PORT {port_numbers(a)} \r\n"]),
    Spelling("spaces after commas", lambda a: [f"PORT {port_numbers(a, ', ')}\r\n"]),
    Spelling("lower case", lambda a: [f"port {port_numbers(a)}\r\n"]),
    Spelling("leading zeros", lambda a: [f"PORT {port_numbers(a, width=3)}\r\n"]),
    Spelling("EPRT plain", lambda a: [f"EPRT |1|{a[0]}|{a[1]}|\r\n"]),
    Spelling("EPRT with !", lambda a: [f"EPRT !1!{a[0]}!{a[1]}!\r\n"]),
    Spelling("EPRT IPv6 plain", lambda a: [f"EPRT |2|{a[0]}|{a[1]}|\r\n"], family=6),
    Spelling("EPRT IPv6 upper case", lambda a: [f"EPRT |2|{a[0].upper()}|{a[1]}|\r\n"], family=6),
    Spelling("EPRT IPv6 in full", lambda a: [full_ipv6(a)], family=6),
)

WANTS_CRLF = "ends a line with CR LF only"
COMPARES_TEXT = "compares addresses as text"
# What a server refuses when nobody respells it. Through the gateway, which writes every address
# anew, these rows have to work all the same.
REFUSED_DIRECTLY = {
    ("vsftpd", "EPRT with !"): "takes no delimiter but |",
    ("proftpd", "split between CR and LF"): "waits for another line after a CR that came alone",
    ("proftpd", "byte by byte"): "waits for another line after a CR that came alone",
    ("proftpd", "LF only"): WANTS_CRLF,
    ("proftpd", "spaces after commas"): "counts each space as a separator",
    ("pyftpdlib", "LF only"): WANTS_CRLF,
    ("pyftpdlib", "EPRT IPv6 upper case"): COMPARES_TEXT,
    ("pyftpdlib", "EPRT IPv6 in full"): COMPARES_TEXT,
}
# What no gateway can mend without holding commands back.
BROKEN_IN_SERVER = {("pyftpdlib", "pipelined before RETR"): "never sends a file whose RETR came along with PORT"}


def try_command(rig: Rig, spelling: Spelling) -> str:
    """Announce a port in this spelling and fetch the sample; return what is wrong, or nothing."""
    try:
        with (
            RawClient(rig.lab.client, rig.gateway.hosts[spelling.family], rig.gateway.port) as client,
            client.listen() as listener,
        ):
            host, port = listener.getsockname()[:2]
            client.send(spelling.pieces((host, port)))
            for _ in range(spelling.replies_before):
                client.expect("2")
            client.expect("2")
            if spelling.with_retr:
                client.expect("1")
            else:
                client.retrieve()
            digest = client.digest(client.accept(listener))
    except OddError as error:
        return str(error)
    return "" if digest == rig.site.sample_digest else "the file is different"


def try_reply(rig: Rig, command: str, family: int) -> str:
    """Ask for a passive port and fetch the sample; return what is wrong, or nothing."""
    through_gateway = rig.gateway.pid is not None
    try:
        with RawClient(rig.lab.client, rig.gateway.hosts[family], rig.gateway.port) as client:
            connection = client.passive(command, check_address=through_gateway)
            client.retrieve()
            digest = client.digest(connection)
    except OddError as error:
        return str(error)
    return "" if digest == rig.site.sample_digest else "the file is different"


@dataclass(frozen=True)
class Row:
    """One line of the outcome; `excuse` is why it need not work, `problem` why it did not."""

    name: str
    problem: str = ""
    excuse: str = ""


def command_rows(rig: Rig, only: str) -> Iterator[Row]:
    """Every spelling of a command against every server."""
    for server in SERVERS:
        rows = {f"{server.name}: {spelling.name}": spelling for spelling in SPELLINGS}
        wanted = {name: spelling for name, spelling in rows.items() if only.lower() in name.lower()}
        if not wanted:
            continue
        with server.start(rig.lab, rig.site, rig.scratch):
            rig.lab.check_isolation(FTP_PORT)
            for name, spelling in wanted.items():
                key = (server.name, spelling.name)
                excuse = BROKEN_IN_SERVER.get(key, "")
                if rig.gateway.pid is None:
                    excuse = excuse or REFUSED_DIRECTLY.get(key, "")
                if excuse:
                    yield Row(name, excuse=excuse)
                else:
                    yield Row(name, try_command(rig, spelling))


def reply_rows(rig: Rig, only: str) -> Iterator[Row]:
    """Every spelling of a reply from pyftpdlib."""
    for kind in dict.fromkeys([*ODD_227, *ODD_229]):
        cases = [("227", "PASV", 4)] if kind in ODD_227 else []
        cases += [("229", "EPSV", 4), ("229", "EPSV", 6)] if kind in ODD_229 else []
        rows = {f"pyftpdlib: {code} {kind}, IPv{family}": (verb, family) for code, verb, family in cases}
        wanted = {name: case for name, case in rows.items() if only.lower() in name.lower()}
        if not wanted:
            continue
        server = Server("pyftpdlib", functools.partial(start_pyftpdlib, reply=kind))
        with server.start(rig.lab, rig.site, rig.scratch):
            for name, (verb, family) in wanted.items():
                yield Row(name, try_reply(rig, verb, family))


def run_odd(mode: str, only: str) -> int:
    """Run both halves; each row is printed as it comes."""
    passed = failed = 0
    with built_rig(mode, BLOCK) as rig:
        for rows in (command_rows, reply_rows):
            for row in rows(rig, only):
                word = "n/a " if row.excuse else "FAIL" if row.problem else "ok  "
                note = row.excuse or row.problem
                print(f"{word} {row.name}{f': {note}' if note else ''}", flush=True)
                passed += word == "ok  "
                failed += word == "FAIL"
    return summary(passed, failed, rig.complaints)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.odd", description=__doc__)
    parser.add_argument("--gateway", choices=MODES, default="alg", help="direct: no gateway, to check the lab itself")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="e.g. vsftpd, LF only, 227")
    options = parser.parse_args()
    return guarded(lambda: run_odd(options.gateway, options.only))


if __name__ == "__main__":
    sys.exit(main())

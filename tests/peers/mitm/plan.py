"""The cells of the table, and what clients cannot do in them.

Reverse mode is tried with every client and in every way; the other modes with the clients that people use behind a
proxy. A cell is left out only where a client cannot be told to do it, or fails at it without any proxy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field

from tests.peers.clients import COLUMNS, DIRECTIONS, gap_reason

SERVERS = ("vsftpd", "proftpd", "pure-ftpd", "pyftpdlib")
# Those that demand that a data connection resumes the control connection's TLS session.
STRICT = ("vsftpd", "proftpd")
CLIENTS = ("curl", "lftp", "wget", "ncftp", "tnftp", "ftplib")
TLS_CLIENTS = ("curl", "lftp", "wget", "ftplib")
COMMON_CLIENTS = ("curl", "lftp", "ftplib")
PROXIES = ("socks5", "connect", "transparent", "upstream")
PASSIVE = ("PASV", "EPSV")
ACTIVE = ("PORT", "EPRT")
WAYS = ("plain", "ex P", "ex C", "im P")
PAYLOADS = {
    "empty": b"",
    # The first line looks like an HTTP request: three letters and a space.
    "loss": b"the quick brown fox jumps over the lazy dog\n" * 50,
}


@dataclass(frozen=True)
class Cell:
    """One transfer: through which mode, from which server to which client, in which way."""

    proxy: str
    server: str
    client: str
    security: str = "plain"
    protection: str = "C"
    version: str = ""
    command: str = "PASV"
    family: int = 4
    direction: str = "download"
    payload: str = "sample"
    # How the client names the server; empty: by its address.
    name: str = ""
    # The row that shows what happens without the addon.
    addon: bool = True

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        words = [str(word) for word in astuple(self)[:10] if word]
        return "/".join(
            [*words, *([f"by-name-{self.name}"] if self.name else []), *([] if self.addon else ["without-addon"])]
        )

    @property
    def way(self) -> str:
        """Security and protection, as a column's head."""
        return self.security if self.security == "plain" else f"{self.security[:2]} {self.protection}"

    @property
    def server_commands(self) -> tuple[str, ...]:
        """What the server may see: the same, unless the proxy is free to choose the IP version."""
        if self.name != "server":
            return (self.command,)
        return PASSIVE if self.passive else ACTIVE

    @property
    def passive(self) -> bool:
        """Whether the server listens for the data connection."""
        return self.command in PASSIVE


@dataclass(frozen=True)
class Gap:
    """Some cells and why they are left out; a field that is not named fits everything, words are alternatives."""

    reason: str
    words: dict[str, str] = field(default_factory=dict)

    def fits(self, cell: Cell) -> bool:
        """Whether the cell is one of these."""
        return all(str(getattr(cell, name)) in wanted.split() for name, wanted in self.words.items())


GAPS = (
    Gap(
        "curl 7.88 starts no TLS on a data connection that it accepts",
        {"client": "curl", "protection": "P", "command": "PORT EPRT"},
    ),
    Gap(
        "ncftp wants data from the address that it knows the server by",
        {"client": "ncftp", "command": "PORT", "proxy": "socks5 connect transparent"},
    ),
    Gap("wget only downloads", {"client": "wget", "direction": "upload"}),
    Gap(
        "implicit TLS is a choice at compile time, which Debian's build did not take",
        {"server": "pure-ftpd", "security": "implicit"},
    ),
)


def gap_of(cell: Cell) -> str:
    """Why the cell is left out; empty if it is not."""
    if gap := next((gap for gap in GAPS if gap.fits(cell)), None):
        return gap.reason
    return gap_reason(cell.client, cell.command, cell.family, cell.direction) or ""


def reverse_cells(server: str) -> Iterator[Cell]:
    """Everything that a server and the clients can do."""
    for client, (command, family), direction in itertools.product(CLIENTS, COLUMNS, DIRECTIONS):
        yield Cell("reverse", server, client, command=command, family=family, direction=direction)
    for security, protection in (("explicit", "P"), ("explicit", "C"), ("implicit", "P")):
        for client, command, direction in itertools.product(TLS_CLIENTS, ("PASV", "PORT"), DIRECTIONS):
            yield Cell("reverse", server, client, security, protection, "1.3", command, 4, direction)
    for client, command, direction in itertools.product(COMMON_CLIENTS, ("EPSV", "EPRT"), DIRECTIONS):
        yield Cell("reverse", server, client, "explicit", "P", "1.3", command, 6, direction)
    if server in STRICT:
        for client, command, direction in itertools.product(("curl", "lftp"), ("PASV", "PORT"), DIRECTIONS):
            yield Cell("reverse", server, client, "explicit", "P", "1.2", command, 4, direction)


def proxy_cells(proxy: str, server: str) -> Iterator[Cell]:
    """What people do behind a proxy; the upstream proxy is elsewhere, so nobody can connect back through it."""
    commands = PASSIVE if proxy == "upstream" else (*PASSIVE, *ACTIVE)
    for client, command, direction in itertools.product(COMMON_CLIENTS, commands, DIRECTIONS):
        yield Cell(proxy, server, client, command=command, direction=direction)
    for client, command, direction in itertools.product(COMMON_CLIENTS, commands[::2], DIRECTIONS):
        yield Cell(proxy, server, client, "explicit", "P", "1.3", command, 4, direction)
    if proxy == "upstream":
        return
    for direction in DIRECTIONS:
        yield Cell(proxy, server, "curl", "explicit", "C", "1.3", "PASV", 4, direction)
        yield Cell(proxy, server, "curl", "implicit", "P", "1.3", "PASV", 4, direction)
    for client, command in itertools.product(("wget", "ncftp", "tnftp"), ("PASV", "PORT")):
        yield Cell(proxy, server, client, command=command)
    for command in ("PASV", "PORT"):
        yield Cell(proxy, server, "wget", "explicit", "P", "1.3", command)
    if proxy == "transparent":
        for command, direction in itertools.product(("EPSV", "EPRT"), DIRECTIONS):
            yield Cell(proxy, server, "curl", command=command, family=6, direction=direction)
    elif server == "vsftpd":
        for name, command, direction in itertools.product(("server4", "server"), (*PASSIVE, *ACTIVE), DIRECTIONS):
            yield Cell(proxy, server, "curl", command=command, direction=direction, name=name)


def small_cells(proxy: str) -> Iterator[Cell]:
    """No byte at all, down and up; and the text that mitmproxy alone takes for HTTP, also without the addon."""
    commands = ("PASV",) if proxy == "upstream" else ("PASV", "PORT")
    for (security, version), client, command, direction in itertools.product(
        (("plain", ""), ("explicit", "1.3")), COMMON_CLIENTS, commands, DIRECTIONS
    ):
        protection = "P" if version else "C"
        yield Cell(proxy, "vsftpd", client, security, protection, version, command, 4, direction, "empty")
    yield Cell(proxy, "vsftpd", "curl", direction="upload", payload="loss")


def control_cells() -> Iterator[Cell]:
    """What must fail without the addon: else the table would prove nothing. The text is lost, data has no way."""
    for client, command in itertools.product(("curl", "lftp"), ("PASV", "PORT")):
        yield Cell("reverse", "vsftpd", client, command=command, addon=False)
    for proxy in ("socks5", "connect", "transparent"):
        yield Cell(proxy, "vsftpd", "curl", direction="upload", payload="loss", addon=False)


def planned(only: str) -> list[Cell]:
    """Every cell of the table whose name holds all the words, in the order in which they are made."""
    cells: list[Cell] = []
    for proxy in ("reverse", *PROXIES):
        for server in SERVERS:
            cells += reverse_cells(server) if proxy == "reverse" else proxy_cells(proxy, server)
        cells += small_cells(proxy)
    cells += control_cells()
    chosen = [
        cell for cell in dict.fromkeys(cells) if all(word in f"/{cell.label}/".lower() for word in only.lower().split())
    ]
    return sorted(chosen, key=order)


def order(cell: Cell) -> tuple[bool, int, int, str]:
    """One mitmdump after the other, and behind each one server after the other."""
    proxies = ("reverse", *PROXIES)
    service = f"{cell.security} {cell.protection} {cell.version}"
    return not cell.addon, proxies.index(cell.proxy), SERVERS.index(cell.server), service

"""The cells of the table: server x client x security x protection x mode x TLS version x direction.

The whole product is made. A cell is left out only where server or client cannot be told to do it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tests.peers.clients import DIRECTIONS

from .clients import CLIENTS
from .services import SERVERS

SECURITIES = ("explicit", "implicit")
PROTECTIONS = ("P", "C")
MODES = ("passive", "active")
VERSIONS = ("1.2", "1.3")

# What stands in one column of the table.
COLUMNS = tuple(itertools.product(SECURITIES, PROTECTIONS, MODES))


@dataclass(frozen=True)
class Cell:
    """One transfer of the table."""

    server: str
    client: str
    security: str
    protection: str
    mode: str
    version: str
    direction: str

    @property
    def label(self) -> str:
        """The name that `--only` looks at."""
        parts = (self.server, self.client, self.security, self.protection, self.mode, self.version, self.direction)
        return "/".join(parts)


@dataclass(frozen=True)
class Pattern:
    """Some cells and what is to be said of them; an empty word fits everything."""

    reason: str
    server: str = ""
    client: str = ""
    security: str = ""
    protection: str = ""
    mode: str = ""
    version: str = ""
    direction: str = ""
    # Whether it fails in some runs only.
    by_chance: bool = False

    def fits(self, cell: Cell) -> bool:
        """Whether the cell is one of these; several words in one place are alternatives."""
        pairs = (
            (self.server, cell.server),
            (self.client, cell.client),
            (self.security, cell.security),
            (self.protection, cell.protection),
            (self.mode, cell.mode),
            (self.version, cell.version),
            (self.direction, cell.direction),
        )
        return all(not wanted or given in wanted.split() for wanted, given in pairs)

    def __str__(self) -> str:
        words = (self.server, self.client, self.security, self.protection, self.mode, self.version, self.direction)
        return ", ".join(" or ".join(word.split()) for word in words if word) + f": {self.reason}"


GAPS = (
    Pattern("wget only downloads", client="wget", direction="upload"),
    Pattern("implicit TLS is a choice at compile time, which Debian's build did not take", "pure-ftpd", "", "implicit"),
)


def first_fit(patterns: tuple[Pattern, ...], cell: Cell) -> Pattern | None:
    """The pattern that speaks of this cell."""
    return next((pattern for pattern in patterns if pattern.fits(cell)), None)


def planned(only: str) -> list[Cell]:
    """Every cell of the table whose name holds all the words, in order."""
    cells = [
        Cell(server, client, security, protection, mode, version, direction)
        for server, security, protection, version, client, mode, direction in itertools.product(
            SERVERS, SECURITIES, PROTECTIONS, VERSIONS, CLIENTS, MODES, DIRECTIONS
        )
    ]
    return [cell for cell in cells if all(word in f"/{cell.label}/".lower() for word in only.lower().split())]

"""`Rule`: where the payload of an exchange holds addresses, as declared by a person; nothing is guessed."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


class Part(enum.Enum):
    """What a rule is about."""

    RESPONSE = "response"
    """Bodies of responses: what the server says is mapped for the client."""
    REQUEST = "request"
    """Bodies of requests: what the client says is mapped back for the server."""
    MESSAGE = "message"
    """Text messages of a WebSocket, both ways; then its frames are read."""


@dataclass(frozen=True)
class Rule:
    """Members of JSON and elements of XML that hold URLs or endpoints, by the path of the request.

    `path` is as in file names (`/json/*`), without the query. `json` are names of members, at any depth, or dotted paths
    from the top with `*` for any member or index (`nodes.*.http.publish_address`); `xml` are local names of elements.
    """

    path: str = "*"
    json: tuple[str, ...] = ()
    xml: tuple[str, ...] = ()
    part: Part = Part.RESPONSE

    def fits(self, path: str) -> bool:
        """Whether it is about that path."""
        return fnmatchcase(path, self.path)


def matching(rules: Iterable[Rule], path: str) -> Rule | None:
    """All rules about that path, as one; None if there are none."""
    found = [rule for rule in rules if rule.fits(path)]
    if not found:
        return None
    json = tuple(dict.fromkeys(name for rule in found for name in rule.json))
    return Rule(path, json, tuple(dict.fromkeys(name for rule in found for name in rule.xml)), found[0].part)

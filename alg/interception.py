"""Puts the rules of `alg.nft` into the kernel and takes them out again, by `nft` and `ip`: all of it or nothing.

What was installed is known by the comment of its table; nothing of it is kept elsewhere.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from alg.core.errors import AlgError
from alg.nft import PRIORITY, Numbers, Plan, check_table, read_numbers, routing, script

_PACKAGES = {"nft": "nftables", "ip": "iproute2"}
_VERSIONS = (4, 6)


def apply(plan: Plan) -> None:
    """Install what is planned in place of what we installed before under this name. If it fails, all is as it was.

    Raises:
        AlgError: not root, `nft` or `ip` is missing or refuses; the table, or the routing table, is somebody else's.
    """
    before = _listing(plan.table)
    old = _own_numbers(plan.table, before)
    if old != plan.numbers:
        _refuse_used(plan.numbers)
    there = _routing_there(old) if old else []
    wanted = [(version, plan.numbers) for version in plan.versions]
    with ExitStack() as undo:
        _run(["nft", "-f", "-"], script(plan))
        undo.callback(_run, ["nft", "-f", "-"], _restoring(plan.table, before))
        for each in there:
            if each[:2] not in wanted:
                _delete(each, undo)
        for version, numbers in wanted:
            for part in range(2):
                if (version, numbers, part) not in there:
                    _add((version, numbers, part), undo)
        undo.pop_all()


def remove(table: str) -> bool:
    """Take out exactly what `apply` put in under this name; return whether there was anything. If it fails, all is as it was.

    Raises:
        AlgError: as for `apply`.
    """
    check_table(table)
    before = _listing(table)
    old = _own_numbers(table, before)
    if old is None:
        return False
    with ExitStack() as undo:
        for each in _routing_there(old):
            _delete(each, undo)
        _run(["nft", "delete", "table", "inet", table])  # the last step: it knows what else belongs to it
        undo.pop_all()
    return True


# The table.


def _listing(table: str) -> str | None:
    """The table as text that makes it again; None: there is none."""
    tables = json.loads(_run(["nft", "-j", "list", "tables"]))["nftables"]
    found = any(
        (each["table"]["family"], each["table"]["name"]) == ("inet", table) for each in tables if "table" in each
    )
    return _run(["nft", "list", "table", "inet", table]) if found else None


def _own_numbers(table: str, listing: str | None) -> Numbers | None:
    if listing is None:
        return None
    numbers = read_numbers(listing)
    if numbers is None:
        raise AlgError(f"there is a table inet {table} already, and it is not ours; choose another name by --table")
    return numbers


def _restoring(table: str, before: str | None) -> str:
    return f"table inet {table}\ndelete table inet {table}\n{before or ''}"


# The routing: what there is of it are parts, a rule (0) or a route (1) of an IP version.

_Part = tuple[int, Numbers, int]


def _rules(version: int) -> list[dict[str, object]]:
    return _shown(["ip", "-N", "-j", f"-{version}", "rule", "show"])


def _routes(version: int, route_table: int) -> list[dict[str, object]]:
    return _shown(["ip", "-N", "-j", f"-{version}", "route", "show", "table", str(route_table)])


def _shown(command: Sequence[str]) -> list[dict[str, object]]:
    try:
        said = _run(command)
    except AlgError:  # no such table, no such IP version: nothing is there
        return []
    found: list[dict[str, object]] = json.loads(said or "[]")
    return found


def _is_ours(rule: dict[str, object], numbers: Numbers) -> bool:
    ours = str(numbers.route_table), numbers.mark, PRIORITY
    return (rule.get("table"), int(str(rule.get("fwmark", 0)), 16), rule.get("priority")) == ours


def _routing_there(numbers: Numbers) -> list[_Part]:
    """Those parts that there are."""
    there = []
    for version in _VERSIONS:
        if any(_is_ours(rule, numbers) for rule in _rules(version)):
            there.append((version, numbers, 0))
        if _routes(version, numbers.route_table):
            there.append((version, numbers, 1))
    return there


def _refuse_used(numbers: Numbers) -> None:
    """Raises AlgError if somebody else uses that routing table."""
    table = numbers.route_table
    for version in _VERSIONS:
        if _routes(version, table) or any(rule.get("table") == str(table) for rule in _rules(version)):
            raise AlgError(f"routing table {table} is in use already, and not by us; choose another by --route-table")


def _add(part: _Part, undo: ExitStack) -> None:
    version, numbers, which = part
    _run(routing(version, numbers, "add")[which])
    undo.callback(_run, routing(version, numbers, "del")[which])


def _delete(part: _Part, undo: ExitStack) -> None:
    version, numbers, which = part
    _run(routing(version, numbers, "del")[which])
    undo.callback(_run, routing(version, numbers, "add")[which])


# The programs.


def _run(command: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    except FileNotFoundError:
        package = _PACKAGES[command[0]]
        raise AlgError(f"{command[0]} is not installed; install the package {package}") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        if "not permitted" in said:
            raise AlgError(f"{command[0]} may not change the kernel's rules: run this as root (CAP_NET_ADMIN)")
        raise AlgError(f"{' '.join(command)}: {said or f'ended with {done.returncode}'}")
    return done.stdout

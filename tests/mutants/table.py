"""What a seeded fault is: where it stands in the code, and the tests that must notice. The faults stand beside this, by
what they are in; rows are those of the threat table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: `old` stands exactly once in `path` and is replaced by `new`; then one of `tests` must fail."""

    name: str
    row: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    """Arguments for pytest: files, node names, `-k EXPRESSION`."""


def left_out(name: str, row: str, path: str, check: str, tests: tuple[str, ...]) -> Mutant:
    """A check that is not made: the condition of an `if`."""
    return Mutant(name, row, path, f"if {check}:", "if False:", tests)


ADDRESSES, FLOW, MODEL = "alg/core/addresses.py", "alg/core/flow.py", "alg/core/model.py"
DRIVER, REQUESTS = "alg/core/driver.py", "alg/core/requests.py"
PIPELINE, POLICY, PORTS = "alg/core/pipeline.py", "alg/core/policy.py", "alg/core/ports.py"
SESSION, STREAM = "alg/core/session.py", "alg/core/stream.py"
FTP, WIRE = "plugins/alg_ftp/plugin.py", "plugins/alg_ftp/wire.py"
CONTROL, DATA = "plugins/alg_ftp/control.py", "plugins/alg_ftp/data.py"

TALKS = "tests/plugins/test_conversations.py"
ENDPOINTS = "tests/plugins/test_wire_endpoints.py"
PROPERTIES = "tests/plugins/test_ftp_properties.py"
RULES = "tests/core/test_rules.py"


def talks(*names: str, plugin: str = "ftp") -> tuple[str, ...]:
    """The conversations of these names, played whole."""
    return tuple(f"{TALKS}::test_whole[{plugin}-{name}]" for name in names)


def talks_like(expression: str) -> tuple[str, ...]:
    """The conversations whose names fit, in all ways of cutting them."""
    return TALKS, "-k", expression

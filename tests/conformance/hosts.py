"""The hosts that the suite runs against, and the one table of what does not hold in one of them, each with the reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

from tests.conformance.memory import MemoryStage
from tests.conformance.relay import RelayStage
from tests.conformance.stage import Stage

OpenStage: TypeAlias = Callable[[], AbstractAsyncContextManager[Stage]]


@dataclass(frozen=True)
class HostKind:
    """A host by name: how its stage is made, and why there is none, if so."""

    name: str
    open_stage: OpenStage
    missing: str = ""


def _open_mitmproxy() -> AbstractAsyncContextManager[Stage]:
    """Imported only where it is asked for: it is an extra, and takes its time."""
    from tests.conformance.mitm import MitmStage

    return MitmStage()


def _missing(*modules: str) -> str:
    """Which of these modules cannot be found, in words."""
    for module in modules:
        try:
            found = find_spec(module) is not None
        except ModuleNotFoundError:  # of the package that it is in
            found = False
        if not found:
            return f"{module} is not installed"
    return ""


HOSTS = (
    HostKind("memory", MemoryStage),
    HostKind("relay", RelayStage),
    HostKind("mitmproxy", _open_mitmproxy, _missing("mitmproxy", "alg.mitm.addon")),
)


@dataclass(frozen=True)
class Except:
    """A case that does not hold in a host."""

    why: str
    defect: bool = False
    """Whether the host is to be mended; else it cannot do this at all."""
    probe: bool = True
    """Whether the case is played all the same: it must fail then, or this entry is out of date. Not where a host that
    fails leaves descriptors open."""


EXCEPT: dict[tuple[str, str], Except] = {
    ("memory", "ports-are-hard-to-guess"): Except("a playbook's listeners are those that its author gives it"),
    ("memory", "leases-of-a-client-are-capped"): Except("a playbook is a gateway of its own, with one session"),
    **{
        ("mitmproxy", case): Except("listeners that sessions share are not to be had in mitmproxy")
        for case in (
            "sessions-share-a-listener",
            "another-target-is-another-shared-listener",
            "a-shared-listener-is-for-who-was-told",
            "a-shared-listener-outlives-who-asked-for-it",
            "a-plugin-knows-where-a-shared-listener-leads",
            "a-shared-listener-has-a-lifetime",
            "shared-listeners-are-capped",
        )
    },
}

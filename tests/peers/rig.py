"""What the lab's commands share: the lab with its gateway and site, and how a command ends."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .gateway import Gateway, Orders, plain_orders
from .namespaces import Lab
from .processes import LabError
from .servers import Site


@dataclass(frozen=True)
class Rig:
    """A running lab; `complaints` tells, once it was left, what was wrong with the gateway itself."""

    lab: Lab
    gateway: Gateway
    site: Site
    scratch: Path
    complaints: list[str] = field(default_factory=list)


@contextmanager
def built_lab(direct: bool, size: int, parent: Path | None = None) -> Iterator[tuple[Lab, Site, Path]]:
    """Build namespaces, site and a folder, and take them down whatever happens."""
    with tempfile.TemporaryDirectory(prefix="alg-peers-", dir=parent) as folder:
        scratch = Path(folder)
        site = Site(scratch, size)
        with Lab(direct, site.etc_files()) as lab:
            yield lab, site, scratch


@contextmanager
def built_rig(
    mode: str, size: int, parent: Path | None = None, orders: Callable[[Path], Orders] = plain_orders
) -> Iterator[Rig]:
    """Build everything but the server, and take it down whatever happens; `orders` are for the gateway."""
    with (
        built_lab(mode == "direct", size, parent) as (lab, site, scratch),
        Gateway(lab, mode, orders(scratch)) as gateway,
    ):
        rig = Rig(lab, gateway, site, scratch)
        yield rig
        rig.complaints.extend(gateway.finish())


def guarded(work: Callable[[], int]) -> int:
    """Run a command of the lab: one line for an error, and clean-up on any ordinary signal."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        return work()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def summary(passed: int, failed: int, complaints: list[str]) -> int:
    """Print what is wrong with the gateway and the line of totals; return the exit status."""
    for complaint in complaints:
        print(f"FAIL {complaint}")
    failed += len(complaints)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0

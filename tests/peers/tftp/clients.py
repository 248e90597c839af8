"""The command line of each TFTP client and option; what a client cannot do, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.peers.install import CHECKOUT
from tests.peers.namespaces import bracketed

from .install import PYTHON

GET, PUT = "get", "put"
DIRECTIONS = (GET, PUT)


@dataclass(frozen=True)
class Transfer:
    """One file to move: the client's and the server's name of it, and the server as the client sees it."""

    direction: str
    family: int
    host: str
    port: int
    local: Path
    remote: str


Options = dict[str, str]
"""What the client shall ask for, by the names of RFC 2347 and its relatives."""


def _hpa(transfer: Transfer, options: Options) -> list[str]:
    names = (
        (transfer.remote, str(transfer.local)) if transfer.direction == GET else (str(transfer.local), transfer.remote)
    )
    words = [f"-{transfer.family}", "-m", "binary", transfer.host, str(transfer.port)]
    return ["tftp", *words, "-c", transfer.direction, *names]


def _atftp(transfer: Transfer, options: Options) -> list[str]:
    """Without `--prevent-sas`, a doubled acknowledgement doubles all that follows, with no gateway as well."""
    asked = [word for name, value in options.items() for word in ("--option", f"{name} {value}".rstrip())]
    names = ["--remote-file", transfer.remote, "--local-file", str(transfer.local)]
    return ["atftp", "--prevent-sas", *asked, f"--{transfer.direction}", *names, transfer.host, str(transfer.port)]


def _curl(transfer: Transfer, options: Options) -> list[str]:
    words = ["curl", "--silent", "--show-error", f"-{transfer.family}"]
    words += ["--tftp-blksize", options["blksize"]] if "blksize" in options else ["--tftp-no-options"]
    words += ["--output" if transfer.direction == GET else "--upload-file", str(transfer.local)]
    return [*words, f"tftp://{bracketed(transfer.host)}:{transfer.port}/{transfer.remote}"]


def _busybox(transfer: Transfer, options: Options) -> list[str]:
    names = ["-l", str(transfer.local), "-r", transfer.remote]
    return ["busybox", "tftp", f"-{transfer.direction[0]}", *names, transfer.host, str(transfer.port)]


def _tftpy(transfer: Transfer, options: Options) -> list[str]:
    program = CHECKOUT / "tests" / "peers" / "tftp" / "tftpy_client.py"
    words = [transfer.direction, transfer.host, str(transfer.port), transfer.remote, str(transfer.local)]
    asked = [f"{name}={value}" for name, value in options.items()]
    return ["env", f"PYTHONPATH={PYTHON}", sys.executable, str(program), *words, *asked]


@dataclass(frozen=True)
class Client:
    """A client: how it is called, with which options, over which IP versions."""

    name: str
    command: Callable[[Transfer, Options], list[str]]
    variants: tuple[Options, ...] = ({},)
    families: tuple[int, ...] = (4, 6)
    # Whether it gets an empty file when the server has agreed to options.
    empty_with_options: bool = True
    gaps: tuple[str, ...] = ()


CLIENTS = (
    Client("tftp-hpa", _hpa, gaps=("options: the client has none",)),
    Client(
        "atftp",
        _atftp,
        (
            {},
            {"blksize": "1428"},
            {"blksize": "65464"},
            {"windowsize": "8"},
            {"tsize": "0"},
            {"timeout": "2"},
            {"blksize": "1428", "windowsize": "4", "tsize": "0", "timeout": "2"},
        ),
    ),
    Client(
        "curl",
        _curl,
        ({}, {"blksize": "512"}, {"blksize": "1428"}, {"blksize": "65464"}),
        empty_with_options=False,
        gaps=("an empty file got with options: the client gives up at tsize 0, with status 71",),
    ),
    Client("busybox", _busybox, gaps=("options: Debian builds it without",)),
    Client(
        "tftpy",
        _tftpy,
        ({}, {"blksize": "1428"}, {"blksize": "65464"}, {"tsize": "0"}),
        (4,),
        gaps=("IPv6: it opens an IPv4 socket whatever the address is",),
    ),
)


def title(options: Options) -> str:
    """Options as a row's name has them."""
    return " ".join(f"{name} {value}" for name, value in options.items()) or "plain"

"""Rows of their own for datagrams: name servers that clients ask over UDP and over TCP, and that see us, or their clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.peers.extras.stage import check
from tests.peers.namespaces import CLIENT, GATEWAY_OUTSIDE, SERVER
from tests.peers.processes import Process, run_limited
from tests.peers.ways.servers import ANSWER, ANSWER_NAME, names

from .middle import way_back
from .stage import Single, Stage

DNS = ("--plugin", "53=udp", "--plugin", "53=tcp")
PATIENCE = 15


@contextmanager
def asked(stage: Stage, *more: str, keep: bool = False, ports: tuple[str, ...] = DNS) -> Iterator[Process]:
    """dnsmasq behind the gateway; its output names who asks."""
    with ExitStack() as stack:
        if keep:
            stack.enter_context(way_back(stage.lab))
        server = stack.enter_context(names(stage.scratch).running(stage.lab.server))
        stack.enter_context(stage.gateway(*more, *(["--keep-client-address"] if keep else []), ports=ports))
        yield server


def dig(stage: Stage, family: int, *words: str) -> tuple[int | None, str]:
    """Ask the server at its own address, once; return dig's status and what it said."""
    command = ["dig", f"@{SERVER[family]}", ANSWER_NAME, "A", "+short", "+tries=1", "+time=3", *words]
    return run_limited(stage.lab.client.command(*command), PATIENCE, stage.scratch, {"PATH": os.environ["PATH"]})


def answered(stage: Stage, family: int, *words: str) -> None:
    """It must be answered."""
    status, said = dig(stage, family, *words)
    check((status, said.strip()) == (0, ANSWER), f"dig {' '.join(words)} ended with {status}: {said}")


def name_server(stage: Stage) -> None:
    """dig asks a server that knows nothing of us, over UDP and TCP: it sees our address."""
    with asked(stage) as server:
        for family, ours in GATEWAY_OUTSIDE.items():
            answered(stage, family)
            answered(stage, family, "+tcp")
            server.wait_for_lines(f"from {ours}$", 2, PATIENCE)


def name_server_sees_clients(stage: Stage) -> None:
    """With `--keep-client-address` it sees the client's."""
    with asked(stage, keep=True) as server:
        for family, client in CLIENT.items():
            answered(stage, family)
            answered(stage, family, "+tcp")
            server.wait_for_lines(f"from {client}$", 2, PATIENCE)


def only_what_is_configured(stage: Stage) -> None:
    """Where TCP alone is configured for a port, its datagrams are left alone: here nobody forwards them."""
    with asked(stage, ports=("--plugin", "53=tcp")):
        answered(stage, 4, "+tcp")
        status, said = dig(stage, 4)
        check(status == 9, f"dig over UDP ended with {status}: {said}")  # 9: no reply from server


DATAGRAM_ROWS: dict[str, Single] = {
    "name server": name_server,
    "name server, keep-client-address": name_server_sees_clients,
    "only what is configured": only_what_is_configured,
}

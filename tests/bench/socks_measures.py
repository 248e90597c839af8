"""SOCKS5: whole sessions a second, from the connection to the proxy to its end, and what each costs the gateway."""

from functools import partial

from tests.bench.generators import Figures, whole
from tests.bench.measures import Measure, Settings, per_session
from tests.bench.methods import TCP_PORT, Running
from tests.bench.namespaces import SERVER
from tests.bench.socks_gateways import COMMANDS, SOCKS, SOCKS_PORT

NAME, SUBJECT = "socks", "alg-socks"
PARALLEL = (1, 16)


def _sessions(parallel: int, running: Running, seconds: float) -> Figures:
    """Connect, greet, ask for the server, 9 bytes, 200 bytes, close."""
    arguments = (running.target, SOCKS_PORT, parallel, seconds, SERVER, TCP_PORT)
    figures, cpu = whole(running, seconds, "session", *arguments)
    return per_session(figures, cpu)


def _sample(parallel: int, running: Running, settings: Settings) -> Figures:
    return _sessions(parallel, running, settings.seconds)


def verify_socks(running: Running) -> None:
    """A proxy that joins nobody is not measured."""
    _sessions(PARALLEL[-1], running, 0.2)


SOCKS_MEASURES = tuple(
    Measure(
        NAME,
        f"SOCKS5 sessions, {parallel} at a time",
        SOCKS,
        tuple(COMMANDS),
        partial(_sample, parallel),
        subject=SUBJECT,
    )
    for parallel in PARALLEL
)

"""WebSocket: upgraded sockets a second, small messages, large messages, idle sockets.

`alg-ws` reads the upgrade and leaves the rest alone, `alg-frames` parses every frame, `alg-tcp` looks at nothing:
what the reading costs is the difference. `direct` is no gateway: the ceiling of generator and echo server.
"""

import statistics
import time
from functools import partial

from tests.bench import processes
from tests.bench.endurance import Endurance
from tests.bench.generators import SETTLE, Figures, Generator, whole, window
from tests.bench.measures import BURSTS, Aim, Measure, Settings
from tests.bench.methods import METHODS, Running
from tests.bench.namespaces import CLIENT, CLIENT_ADDRESSES, BenchError
from tests.bench.websocket_gateways import COMMANDS, WEBSOCKET, WEBSOCKET_PORT

NAME, SUBJECT = "websocket", "alg-ws"
PARALLEL, IN_FLIGHT, WARM, IDLE = 16, 64, 100, 1000
SLOW = "mitm-http"
QUICK = tuple(name for name in COMMANDS if name != SLOW)


def _sockets(running: Running, settings: Settings) -> Figures:
    arguments = (running.target, WEBSOCKET_PORT, PARALLEL, settings.seconds)
    figures, cpu = whole(running, settings.seconds, "wssocket", *arguments)
    return {"sockets/s": figures["sockets"] / figures["seconds"], "CPU us": cpu * 1e6 / figures["sockets"]}


def _messages(in_flight: int, running: Running, settings: Settings) -> Figures:
    """The median of short bursts, since the scheduler's choice of cores stays for a whole connection."""
    bursts = [_burst(in_flight, running, settings.seconds / BURSTS) for _ in range(BURSTS)]
    return {figure: statistics.median(burst[figure] for burst in bursts) for figure in bursts[0]}


def _burst(in_flight: int, running: Running, seconds: float) -> Figures:
    before = running.cpu()
    with Generator(running, "wsmessages", running.target, WEBSOCKET_PORT, in_flight, seconds) as generator:
        figures = generator.figures(seconds + 15)
        cpu = running.cpu() - before
    return {
        "messages/s": figures["messages"] / figures["seconds"],
        "p50 us": figures["p50"],
        "p99 us": figures["p99"],
        "CPU us": cpu * 1e6 / figures["echoed"],
    }


def _bulk(connections: int, running: Running, settings: Settings) -> Figures:
    """MB and GB are of message payload that came back; each byte of it has passed the gateway twice."""
    arguments = (running.target, WEBSOCKET_PORT, connections, settings.seconds, "sample")
    figures, cpu = window(running, settings.seconds, "wsbulk", *arguments)
    if figures["starved"]:
        raise BenchError(
            f"{running.method.name}: {figures['starved']:.0f} of {connections} sockets got no whole message"
        )
    return {"MB/s": figures["bytes"] / 1e6 / figures["seconds"], "CPU s/GB": cpu / (figures["bytes"] / 1e9)}


def verify_echo(running: Running) -> None:
    """A gateway that changes a byte is not measured; here every byte is compared."""
    window(running, 0.2, "wsbulk", running.target, WEBSOCKET_PORT, 4, 0.2, "verify")


def _idle(name: str) -> Figures:
    """Private memory by the slope between 100 and 1,100 held sockets, so that start-up costs drop out; 100 that came
    and went before have taught the process what it keeps."""
    with (
        Running(METHODS[name], frozenset({WEBSOCKET}), "-idle") as running,
        Generator(running, "wsidle", running.target, WEBSOCKET_PORT, CLIENT, CLIENT_ADDRESSES) as holder,
    ):

        def ask(order: str) -> Figures:
            holder.order(order)
            return holder.figures(patience=60)

        for order in (f"open {WARM}", "check", "close"):
            ask(order)
        time.sleep(SETTLE)
        ask(f"open {WARM}")
        before = processes.private_bytes(running.pids)
        ask(f"open {WARM + IDLE}")
        after = processes.private_bytes(running.pids)
        answered = ask("check")["answered"] - WARM
        used = processes.private_bytes(running.pids)
    return {
        "KB a socket": (after - before) / IDLE / 1024,
        "KB a socket that has echoed": (used - before) / IDLE / 1024,
        "MB private": used / 1e6,
        "answered": answered,
    }


_AGAINST_BOTH = ("haproxy-splice", "haproxy-copy")

WEBSOCKET_MEASURES = (
    Measure(
        NAME,
        f"WebSocket: sockets, {PARALLEL} at a time",
        WEBSOCKET,
        (*COMMANDS, "nat", "direct"),
        _sockets,
        (),
        SUBJECT,
    ),
    Measure(
        NAME,
        "WebSocket: messages of 125 bytes, one in flight",
        WEBSOCKET,
        (*COMMANDS, "nat", "direct"),
        partial(_messages, 1),
        tuple(Aim("messages/s", other, ">=", 0.8) for other in _AGAINST_BOTH),
        SUBJECT,
    ),
    Measure(
        NAME,
        f"WebSocket: messages of 125 bytes, {IN_FLIGHT} in flight",
        WEBSOCKET,
        (*COMMANDS, "nat", "direct"),
        partial(_messages, IN_FLIGHT),
        (),
        SUBJECT,
    ),
    *(
        Measure(
            NAME,
            f"WebSocket: messages of 1 MiB, two in flight, {connections} connection{'s' if connections > 1 else ''}",
            WEBSOCKET,
            # mitmproxy keeps every message: at one connection its memory already grows by all that passes.
            (*(COMMANDS if connections == 1 else QUICK), "nat", "direct"),
            partial(_bulk, connections),
            tuple(Aim("MB/s", other, ">=", 0.9) for other in _AGAINST_BOTH),
            SUBJECT,
        )
        for connections in (1, 8)
    ),
)

WEBSOCKET_ENDURANCE = (
    Endurance(
        NAME,
        f"WebSocket: {IDLE} idle sockets",
        tuple(COMMANDS),
        _idle,
        (Aim("answered", "", ">=", IDLE),),
        SUBJECT,
    ),
)

"""UDP: datagrams a second as many as come back, and loss and round trips at a fixed rate.

A datagram that comes twice, or changed, ends its sample. `direct` is no gateway: the ceiling of generator and echo.
"""

from functools import partial

from tests.bench.generators import Figures, whole
from tests.bench.measures import Aim, Measure, Settings
from tests.bench.methods import Running
from tests.bench.udp_gateways import COMMANDS, UDP, UDP_PORT

NAME, SUBJECT = "udp", "alg-udp"
METHODS = (*COMMANDS, "nat", "direct")
SIZES, FLOWS, RATES = (64, 1400), (1, 100), (5_000, 20_000, 50_000)


def _load(flows: int, size: int, rate: int, running: Running, settings: Settings) -> tuple[Figures, Figures]:
    """What the generator tells, and the gateway's CPU for each datagram that came back, in microseconds.

    Not of socat with many flows: each of its processes then uses less than the tick that the kernel counts in.
    """
    arguments = (running.target, UDP_PORT, flows, size, rate, settings.seconds)
    figures, cpu = whole(running, settings.seconds + flows, "udpload", *arguments)
    many = running.method.name == "socat" and flows > 1
    return figures, {} if many else {"CPU us": cpu * 1e6 / max(figures["back"], 1)}


def _most(flows: int, size: int, running: Running, settings: Settings) -> Figures:
    """Echoes a second, each of which has passed the gateway twice."""
    figures, cpu = _load(flows, size, 0, running, settings)
    return {"echoes/s": figures["in_time"] / figures["seconds"], "% lost": figures["lost"], **cpu}


def _at_rate(flows: int, size: int, rate: int, running: Running, settings: Settings) -> Figures:
    """The round trip counts from when a datagram was due, so that a queue anywhere shows."""
    figures, cpu = _load(flows, size, rate, running, settings)
    return {"% lost": figures["lost"], "p50 us": figures["p50"], "p99 us": figures["p99"], **cpu}


def _flows(count: int) -> str:
    return f"{count} flow{'s' if count > 1 else ''}"


UDP_MEASURES = (
    *(
        Measure(
            NAME,
            f"UDP: echoes of {size} bytes, as many as come back, {_flows(flows)}",
            UDP,
            METHODS,
            partial(_most, flows, size),
            tuple(Aim("echoes/s", other, ">=", 0.5) for other in ("socat", "nginx-udp")),
            SUBJECT,
        )
        for flows in FLOWS
        for size in SIZES
    ),
    *(
        Measure(
            NAME,
            f"UDP: {rate} datagrams of 64 bytes a second and back, {_flows(flows)}",
            UDP,
            METHODS,
            partial(_at_rate, flows, 64, rate),
            (),
            SUBJECT,
        )
        for flows in FLOWS
        for rate in RATES
    ),
)

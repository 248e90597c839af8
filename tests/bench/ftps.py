"""ALG beside ProFTPD mod_proxy with TLS: sessions and bulk, plain and encrypted, before one and the same server.

Both verify the server, show an EC P-256 certificate of the same authority and speak TLS 1.3; the
generator verifies the gateway's certificate and ends with an error unless every channel of both legs
is what the measure says. `direct` is the generator against the server, without any gateway: the ceiling.
"""

from functools import partial

from tests.bench import certificates
from tests.bench.generators import Figures, whole, window
from tests.bench.measures import Aim, Measure, Settings
from tests.bench.methods import FRONT, FRONT_PORT, FTPS, FTPS_PORT, PLAIN, PLAIN_PORT, Running
from tests.bench.namespaces import BenchError

NAME = "mod_proxy"
PARALLEL = 8
METHODS, GATEWAYS = ("alg", "mod_proxy", "direct"), ("alg", "mod_proxy")
PORTS = {PLAIN: PLAIN_PORT, FTPS: FTPS_PORT, FRONT: FRONT_PORT}


def _arguments(running: Running, service: str, legs: str) -> tuple[object, ...]:
    port = PORTS[service] if running.gateway else FTPS_PORT  # directly, there is nothing but the server
    return running.target, port, certificates.of(running.lab).authority, legs


def _versions(figures: Figures) -> Figures:
    return {"TLS of the client's leg": figures["here"], "TLS of the server's leg": figures["there"]}


def _sessions(service: str, legs: str, running: Running, settings: Settings) -> Figures:
    arguments = (*_arguments(running, service, legs), "sessions", PARALLEL, settings.seconds)
    figures, cpu = whole(running, settings.seconds, "ftpsload", *arguments)
    found = {"sessions/s": figures["sessions"] / figures["seconds"], "CPU us": cpu * 1e6 / figures["sessions"]}
    if legs == "plain":
        return found
    found |= _versions(figures)
    found["TLS data resumed, client's leg"] = figures["data-resumed"]
    if service == FTPS:
        found["TLS data resumed, server's leg"] = figures["server-data-resumed"]
        found["TLS control resumed, server's leg"] = figures["server-control-resumed"]
    return found


def _bulk(connections: int, service: str, legs: str, running: Running, settings: Settings) -> Figures:
    memory: list[int] = []
    figures, cpu = window(
        running,
        settings.seconds,
        "ftpsload",
        *(*_arguments(running, service, legs), "bulk", connections, settings.seconds),
        meanwhile=lambda: memory.append(running.memory(service)),
    )
    if figures["starved"]:
        raise BenchError(f"{running.method.name}: {figures['starved']:.0f} of {connections} connections got no data")
    gigabytes = figures["bytes"] / 1e9
    found = {"GB/s": gigabytes / figures["seconds"], "CPU s/GB": cpu / gigabytes, "MB resident": memory[0] / 1e6}
    return found if legs == "plain" else found | _versions(figures)


_LEGS = (
    (PLAIN, "plain", "plain client, plain server", METHODS),
    (FTPS, "tls", "TLS client, TLS server, PROT P", METHODS),
    (FRONT, "front", "TLS client, plain server, PROT P", GATEWAYS),
)
_AIMS = (Aim("sessions/s", "mod_proxy", ">=", 1), Aim("GB/s", "mod_proxy", ">=", 1))

FTPS_MEASURES = (
    *(
        Measure(
            NAME,
            f"FTP sessions, {PARALLEL} at a time: {title}",
            service,
            methods,
            partial(_sessions, service, legs),
            _AIMS,
        )
        for service, legs, title, methods in _LEGS
    ),
    *(
        Measure(
            NAME,
            f"RETR over {connections} connection{'s' if connections > 1 else ''}: {title}",
            service,
            methods,
            partial(_bulk, connections, service, legs),
            _AIMS,
        )
        for connections in (1, 8)
        for service, legs, title, methods in _LEGS
    ),
)
